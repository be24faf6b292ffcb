"""From stored liquidations to a fitted process and the chance of a cluster, with what a simpler model would say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from flows.errors import FlowError
from risk_core.analytics import hawkes

HOUR = 3_600
BLOCK_SECONDS = 12
"""Liquidations of one block are spread over the seconds that the block stands for."""
SPLIT = 0.75
"""Share of the window that is fitted to judge the rest."""
LEAST = 200
"""Liquidations below which nothing is fitted."""
LEAST_DAYS = 7
"""Days of history below which nothing is fitted: a rate of some hours says nothing of a day."""
LEAST_OF_A_KIND = 60
"""A kind with fewer is counted among "other"."""
METHOD = {
    "version": 1, "model": "multivariate Hawkes, one exponential, shared decay", "unit": "hours",
    "ties": f"spread evenly over {BLOCK_SECONDS} s", "split": SPLIT,
}  # fmt: skip


class TooFewEvents(FlowError):
    """The stored liquidations are too few to fit."""


class Liquidations(NamedTuple):
    """Stored liquidations in order of time: UTC seconds (n,), names of their kinds (n,), and the window in seconds."""

    seconds: np.ndarray
    kinds: tuple[str, ...]
    first: int
    last: int


class Fitted(NamedTuple):
    """A fit with its judgement; gains are log-likelihood per event above Poisson processes of constant rates."""

    id: str
    names: tuple[str, ...]
    events: hawkes.EventTimes
    fit: hawkes.Fit
    poisson: float
    gain_in_sample: float
    gain_out_of_sample: float
    ks_statistic: float
    ks_p: float


def enough(found: Liquidations) -> None:
    """Raise `TooFewEvents`, with what is missing, where the liquidations cannot be fitted and judged."""
    ask = "Read more with `python -m flows lending-events`, or ask for more --days"
    if len(found.seconds) < LEAST:
        raise TooFewEvents(
            f"{len(found.seconds)} liquidations are stored between {found.first} and {found.last}; a fit needs at "
            f"least {LEAST}. {ask}"
        )
    if found.last - found.first < LEAST_DAYS * 24 * HOUR:
        raise TooFewEvents(
            f"the stored liquidations begin {(found.last - found.first) / HOUR:.0f} h before the snapshot; a fit needs "
            f"at least {LEAST_DAYS} days. {ask}"
        )
    split = found.first + SPLIT * (found.last - found.first)
    early = int((found.seconds <= split).sum())
    if early < hawkes.LEAST_EVENTS:
        raise TooFewEvents(
            f"{early} of {len(found.seconds)} liquidations lie in the first {SPLIT:.0%} of the window, which is fitted "
            f"to judge the rest; at least {hawkes.LEAST_EVENTS} are needed. {ask}"
        )


def events_of(found: Liquidations) -> tuple[tuple[str, ...], hawkes.EventTimes]:
    """Names of the kinds, most frequent first, and the events in hours from the start of the window."""
    counts: dict[str, int] = {}
    for kind in found.kinds:
        counts[kind] = counts.get(kind, 0) + 1
    named = sorted((k for k, n in counts.items() if n >= LEAST_OF_A_KIND and k != "other"), key=lambda k: -counts[k])
    if any(kind not in named for kind in counts):
        named.append("other")
    place = {kind: i for i, kind in enumerate(named)}
    spread = hawkes.spread_ties(found.seconds.astype(np.float64), BLOCK_SECONDS)
    end = (found.last - found.first) / HOUR
    times = np.clip((spread - found.first) / HOUR, 0.0, end)
    kinds = np.array([place.get(kind, place.get("other", 0)) for kind in found.kinds], dtype=np.int64)
    return tuple(named), hawkes.EventTimes(times=times, kinds=kinds, end=end, n_kinds=len(named))


def fitted(found: Liquidations) -> Fitted:
    """Fit the window, and judge: in the window, on its last quarter by a fit to the rest, and by its residuals.

    Raises `TooFewEvents`.
    """
    enough(found)
    names, events = events_of(found)
    fit = hawkes.fit(events)
    poisson = hawkes.poisson_log_likelihood(events)
    split = SPLIT * events.end
    before = events.until(split)
    rates = np.maximum(np.bincount(before.kinds, minlength=events.n_kinds), 0.5) / split
    flat = hawkes.Hawkes(mu=rates, alpha=np.zeros((events.n_kinds,) * 2), beta=np.ones((events.n_kinds,) * 2))
    later = max(len(events) - len(before), 1)
    gain = hawkes.out_of_sample(hawkes.fit(before).model, events, split) - hawkes.out_of_sample(flat, events, split)
    statistic, p = hawkes.residual_test(fit.model, events)
    content = json.dumps([METHOD, names, events.times.tolist(), events.kinds.tolist(), events.end, found.first])
    return Fitted(
        id=hashlib.sha256(content.encode()).hexdigest(), names=names, events=events, fit=fit, poisson=poisson,
        gain_in_sample=(fit.log_likelihood - poisson) / len(events), gain_out_of_sample=gain / later,
        ks_statistic=statistic, ks_p=p,
    )  # fmt: skip


def calibration_row(market: str, found: Liquidations, done: Fitted, now: int) -> dict[str, Any]:
    """The row of `fact_cluster_calibration`."""
    fit = done.fit
    parameters = {
        "mu": fit.model.mu.tolist(), "alpha": fit.model.alpha.tolist(), "beta": fit.model.beta.tolist(),
        "branching": fit.model.branching.tolist(), "branching_low": _plain(fit.branching_low[:, :, 0]),
        "branching_high": _plain(fit.branching_high[:, :, 0]), "mu_low": _plain(fit.mu_low),
        "mu_high": _plain(fit.mu_high), "beta_low": _plain(fit.beta_low), "beta_high": _plain(fit.beta_high),
        "converged": fit.converged,
    }  # fmt: skip
    return {
        "calibration_id": done.id, "market": market, "kinds": json.dumps(done.names), "first_ts": found.first,
        "last_ts": found.last, "n_events": len(done.events), "fitted_at": now, "method": json.dumps(METHOD),
        "parameters": json.dumps(parameters), "spectral_radius": fit.model.spectral_radius,
        "log_likelihood": fit.log_likelihood, "poisson_log_likelihood": done.poisson,
        "gain_in_sample": done.gain_in_sample, "gain_out_of_sample": done.gain_out_of_sample,
        "ks_statistic": done.ks_statistic, "ks_p": done.ks_p,
    }  # fmt: skip


def probability_rows(
    market: str,
    found: Liquidations,
    done: Fitted,
    starts: Sequence[int],
    *,
    horizon: int,
    within: int,
    at_least: int,
    paths: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of `mart_cluster_probability`: one for each start, UTC seconds inside the window or at its end.

    The parameters are those of the whole window, so rows of the past are not forecasts made at the time.
    """
    model, events = done.fit.model, done.events
    rates = np.bincount(events.kinds, minlength=events.n_kinds) / events.end
    flat = hawkes.Hawkes(mu=rates, alpha=np.zeros((events.n_kinds,) * 2), beta=np.ones((events.n_kinds,) * 2))
    asked = {"at_least": at_least, "within": within / HOUR, "paths": paths, "seed": seed}
    simple = hawkes.chance_of_cluster(flat, horizon / HOUR, **asked)
    rows = []
    for start in starts:
        at = (start - found.first) / HOUR
        chance = hawkes.chance_of_cluster(model, horizon / HOUR, history=events.until(at), **asked)
        rows.append({
            "market": market, "ts": int(start), "horizon_seconds": horizon, "within_seconds": within,
            "at_least": at_least, "calibration_id": done.id, "probability": chance.value, "low": chance.low,
            "high": chance.high, "poisson": simple.value, "n_paths": paths,
            "seen": _seen(events.times, at, at + horizon / HOUR, within / HOUR, at_least, events.end),
        })  # fmt: skip
    return rows


def _seen(times: np.ndarray, start: float, stop: float, within: float, at_least: int, end: float) -> int | None:
    """1 when a cluster came in the window, 0 when none did, None while it is not over."""
    held = times[(times > start) & (times <= stop)]
    came = len(held) >= at_least and (held[at_least - 1 :] - held[: len(held) - at_least + 1] <= within).any()
    return 1 if came else 0 if stop <= end + 1e-9 else None


def model_of(parameters: Mapping[str, Any]) -> hawkes.Hawkes:
    """The process of a stored row."""
    return hawkes.Hawkes(**{name: np.array(parameters[name]) for name in ("mu", "alpha", "beta")})


def _plain(values: np.ndarray) -> Any:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in np.atleast_2d(values)]
