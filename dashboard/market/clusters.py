"""The newest stored fit of liquidation clusters, with the events it was made of and the chances computed from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import data
from dashboard.market.checks import Damaged
from dashboard.market.cluster_models import (
    Compared,
    DayRates,
    FittedModel,
    check_rivals,
    day_rates,
    half_lives,
    load_compared,
    rivals,
)
from dashboard.market.series import YEAR_10000
from data.liquidations import events_of, stored_liquidations
from risk_core.analytics.hawkes import EventTimes, Hawkes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """The chance of a cluster in the horizon after each `ts` (n,).

    `seen`: 1 where one came, 0 where none came, -1 while the horizon is not over.
    """

    ts: np.ndarray
    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    poisson: np.ndarray
    seen: np.ndarray
    horizon_seconds: int
    within_seconds: int
    at_least: int
    n_paths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFit:
    """A stored calibration: names of the kinds, the process per hour, its events in hours from `first_ts`."""

    market: str
    kinds: tuple[str, ...]
    model: Hawkes
    parameters: Mapping[str, Any]
    events: EventTimes
    usd: np.ndarray
    first_ts: int
    last_ts: int
    fitted_at: int
    calibration_id: str
    spectral_radius: float
    gain_in_sample: float
    gain_out_of_sample: float
    ks_statistic: float
    ks_p: float
    log_likelihood: float
    poisson_log_likelihood: float
    chances: Chances
    compared: tuple[Compared, ...] = ()

    @property
    def models(self) -> tuple[FittedModel, ...]:
        """What was fitted to the same events: one exponential, its rivals that were fitted as well, and Poisson."""
        n, kinds = len(self.events), len(self.kinds)
        one = FittedModel(
            name="Hawkes, one exponential", log_likelihood=self.log_likelihood,
            n_parameters=int(self.parameters.get("n_parameters", kinds + kinds**2 + 1)),
            gain_in_sample=self.gain_in_sample, gain_out_of_sample=self.gain_out_of_sample,
            half_lives=half_lives(self.model.beta), converged=bool(self.parameters.get("converged", True)),
        )  # fmt: skip
        flat = FittedModel(
            name="Poisson, constant rates", log_likelihood=self.poisson_log_likelihood, n_parameters=kinds,
            gain_in_sample=0.0, gain_out_of_sample=0.0,
        )  # fmt: skip
        return (one, *rivals(self.parameters, self.poisson_log_likelihood, n), flat)

    @property
    def day_rates(self) -> DayRates | None:
        """Rates by hour of the day; None in a fit of an older version."""
        return day_rates(self.parameters)


def load_clusters(market: str, path: Path | str | None) -> ClusterFit | None:
    """The newest fit of a market with its chances; None where no fit or no chances are stored.

    Raises `Damaged` where a stored value cannot belong to a fit.
    """
    columns = (
        "calibration_id, kinds, first_ts, last_ts, fitted_at, parameters, spectral_radius, gain_in_sample, "
        "gain_out_of_sample, ks_statistic, ks_p, log_likelihood, poisson_log_likelihood"
    )
    with data.store.Reader.open(path) as store, store.one_state():
        rows = store.rows(
            f"SELECT {columns} FROM fact_cluster_calibration WHERE market = ? "
            "ORDER BY last_ts DESC, fitted_at DESC LIMIT 1",
            (market,),
        )
        if not rows:
            return None
        row = dict(zip(columns.split(", "), rows[0], strict=True))
        chances = store.rows(
            "SELECT ts, probability, low, high, poisson, coalesce(seen, -1), horizon_seconds, within_seconds, "
            "at_least, n_paths FROM mart_cluster_probability WHERE calibration_id = ? ORDER BY batch, ts",
            (row["calibration_id"],),
        )
        found = stored_liquidations(store, market, row["first_ts"], row["last_ts"])
        compared = load_compared(store, row["calibration_id"])
    if not chances:
        return None
    kinds = tuple(json.loads(row.pop("kinds")))
    parameters = json.loads(row.pop("parameters"))
    shape = [tuple(chance[6:]) for chance in chances]
    asked = shape[-1]  # chances of one question are shown: the last one stored for this fit
    held = np.array([chance[:6] for chance in chances if tuple(chance[6:]) == asked], dtype=np.float64)
    return check_fit(ClusterFit(
        market=market, kinds=kinds, parameters=parameters,
        model=Hawkes(**{name: np.array(parameters[name]) for name in ("mu", "alpha", "beta")}),
        events=events_of(found, kinds), usd=found.usd, compared=compared,
        chances=Chances(
            ts=held[:, 0].astype(np.int64), probability=held[:, 1], low=held[:, 2], high=held[:, 3], poisson=held[:, 4],
            seen=held[:, 5].astype(np.int64), horizon_seconds=int(asked[0]), within_seconds=int(asked[1]),
            at_least=int(asked[2]), n_paths=int(asked[3]),
        ),
        **row,
    ))  # fmt: skip


def check_fit(fit: ClusterFit) -> ClusterFit:
    """The fit itself when every figure in it can be shown. Raises `Damaged` that names the first that cannot."""
    if not fit.kinds or not all(isinstance(kind, str) for kind in fit.kinds):
        raise Damaged(f"kinds: expected a list of names, found {fit.kinds!r:.80}")
    n = len(fit.kinds)
    if len(fit.model.mu) != n:
        raise Damaged(f"parameters: expected {n} kinds of events in mu, found {len(fit.model.mu)}")
    for end in ("low", "high"):
        _interval(fit, f"branching_{end}")
    numbers = ("spectral_radius", "gain_in_sample", "gain_out_of_sample", "ks_statistic", "ks_p", "log_likelihood",
               "poisson_log_likelihood")  # fmt: skip
    for name in numbers:
        found = getattr(fit, name)
        if not isinstance(found, int | float) or not np.isfinite(found):
            raise Damaged(f"{name}: expected a number, found {found!r:.60}")
    check_rivals(fit.parameters, n)
    for name in ("first_ts", "last_ts", "fitted_at"):
        _time(name, getattr(fit, name))
    chances = fit.chances
    if min(chances.horizon_seconds, chances.within_seconds, chances.at_least, chances.n_paths) < 1:
        raise Damaged("mart_cluster_probability: expected a horizon, a time, events and paths of at least 1")
    for name, low, high in (
        ("low", np.zeros(1), chances.probability),
        ("probability", chances.low, chances.high),
        ("high", chances.probability, np.ones(1)),
        ("poisson", np.zeros(1), np.ones(1)),
        ("seen", -np.ones(1), np.ones(1)),
    ):
        wrong = ~((low <= getattr(chances, name)) & (getattr(chances, name) <= high))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise Damaged(
                f"mart_cluster_probability: {name} of the forecast at {chances.ts[at]} is "
                f"{getattr(chances, name)[at]:g}; expected 0 <= low <= probability <= high <= 1; "
                "remove the row and fit again"
            )
    for at in (chances.ts[0], chances.ts[-1]):
        _time("mart_cluster_probability: ts", int(at))
    if not len(fit.events):
        raise Damaged("stg_lending_events: none of the liquidations that were fitted is stored any more; fit again")
    if not np.isfinite(fit.usd).all():
        raise Damaged("stg_lending_events: expected finite amounts of USD")
    return fit


def _interval(fit: ClusterFit, name: str) -> None:
    """Check one end of the branching intervals: a number or null for each pair of kinds. Raises `Damaged`."""
    n = len(fit.kinds)
    try:
        found = np.array(fit.parameters[name], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"parameters: expected numbers as {name}, found {type(error).__name__}: {error}") from error
    if found.shape[:2] != (n, n) or found.ndim not in (2, 3) or found.size != n * n:
        raise Damaged(f"parameters: expected {n} x {n} numbers as {name}, found the shape {found.shape}")


def _time(name: str, found: object) -> None:
    """Check that `found` is a time before the year 10000. Raises `Damaged`."""
    if not isinstance(found, int) or not 0 <= found < YEAR_10000:
        raise Damaged(f"{name}: expected seconds since 1970, found {found!r:.60}")
