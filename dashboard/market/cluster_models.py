"""Models fitted to the same liquidations, and how far those that were seen and those that are expected cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.market.checks import Damaged
from data.store.reader import Reader
from risk_core.analytics.hawkes import OF

HOURS = 24
FIGURES = ("mean", "dispersion_step", "dispersion_window", "in_bursts", "gain")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """One model of the same liquidations. Gains: log-likelihood per event above Poisson; half-lives in hours.

    `note`: what else is worth saying of it.
    """

    name: str
    log_likelihood: float
    n_parameters: int
    gain_in_sample: float
    gain_out_of_sample: float
    half_lives: tuple[float, ...] = ()
    converged: bool = True
    note: str = ""

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 parameters - 2 log-likelihood: smaller is better."""
        return 2.0 * self.n_parameters - 2.0 * self.log_likelihood


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayRates:
    """Rates without earlier liquidations by hour of the day from 0 h UTC on, of all kinds: (24,) events per hour.

    low, high: ends of the 95 % intervals, NaN where the data do not determine them.
    """

    rate: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """A row of `mart_cluster_comparison`; a figure is (value, low, high), NaN where it is not known.

    levels, greatest, low, high: (K,) the chance that the fullest step of a window has as many events.
    """

    of: str
    at_least: int
    step_seconds: int
    window_seconds: int
    n_windows: int
    n_events: int
    figures: Mapping[str, tuple[float, float, float]]
    levels: np.ndarray
    greatest: np.ndarray
    low: np.ndarray
    high: np.ndarray
    run_id: str | None
    missing: str


def rivals(parameters: Mapping[str, Any], poisson: float, n_events: int) -> tuple[FittedModel, ...]:
    """What was fitted beside the process with one exponential, as far as it is stored."""
    out = []
    n = max(n_events, 1)
    for key, name in (("two_speed", "Hawkes, two exponentials"), ("by_hour", "Hawkes, base by hour of day"),
                      ("renewal", "Weibull renewal, one a kind")):  # fmt: skip
        found = parameters.get(key)
        if not found:
            continue
        bursts = [float(shape) for shape in found.get("shape", ())]
        out.append(
            FittedModel(
                name=name, log_likelihood=float(found["log_likelihood"]), n_parameters=int(found["n_parameters"]),
                gain_in_sample=(float(found["log_likelihood"]) - poisson) / n,
                gain_out_of_sample=float(found["gain_out_of_sample"]),
                half_lives=half_lives(np.array(found["beta"])) if "beta" in found else (),
                converged=bool(found.get("converged", True)),
                note=f"shapes {', '.join(f'{shape:.2f}' for shape in bursts)}; below 1: in bursts" if bursts else "",
            )
        )  # fmt: skip
    return tuple(out)


def half_lives(beta: np.ndarray) -> tuple[float, ...]:
    """Hours in which each exponential halves, the fast one first; decays are shared by all pairs."""
    return tuple(sorted(float(np.log(2) / value) for value in beta[0, 0]))


def day_rates(parameters: Mapping[str, Any]) -> DayRates | None:
    """The stored rates by hour; None in fits of older versions. Raises `Damaged`."""
    found = parameters.get("by_hour")
    if not found:
        return None
    try:
        rate, low, high = (np.array(found[name], dtype=np.float64) for name in ("rates", "low", "high"))
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"parameters: expected rates as by_hour, found {type(error).__name__}: {error}") from error
    if any(values.shape != (HOURS,) for values in (rate, low, high)) or not (np.isfinite(rate) & (rate >= 0)).all():
        raise Damaged(f"parameters: expected {HOURS} rates of at least 0 in by_hour, found {found.get('rates')!r:.60}")
    return DayRates(rate=rate, low=low, high=high)


def check_rivals(parameters: Mapping[str, Any], n_kinds: int) -> None:
    """Raise `Damaged` where what was fitted beside it has figures that cannot be shown."""
    for key in ("two_speed", "by_hour", "renewal"):
        found = parameters.get(key)
        if found is None:
            continue
        try:
            figures = [float(found[name]) for name in ("log_likelihood", "n_parameters", "gain_out_of_sample")]
            if key == "renewal":
                each = np.array([found["shape"], found["scale"]], dtype=np.float64)
                good = each.shape == (2, n_kinds) and bool((np.isfinite(each) & (each > 0)).all())
            else:
                each = np.array(found["beta"], dtype=np.float64)
                good = each.ndim == 3 and each.shape[:2] == (n_kinds, n_kinds)
                good = good and bool(each.size and (np.isfinite(each) & (each > 0)).all())
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"parameters: expected a fit as {key}, found {type(error).__name__}: {error}") from error
        if not good or not np.isfinite(figures).all():
            raise Damaged(f"parameters: expected finite figures of {key}, and as many kinds as were fitted")
    day_rates(parameters)


def load_compared(store: Reader, calibration_id: str) -> tuple[Compared, ...]:
    """The newest comparison of a fit, in its own order; empty without one. Raises `Damaged`."""
    columns = (
        "of", "at_least", "step_seconds", "window_seconds", "n_windows", "n_events", "curve", "run_id", "missing",
        *(f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")),
    )  # fmt: skip
    rows = store.rows(
        f"SELECT {', '.join(columns)} FROM mart_cluster_comparison AS c WHERE calibration_id = ? AND at_least = "
        "(SELECT at_least FROM mart_cluster_comparison WHERE calibration_id = c.calibration_id "
        "ORDER BY batch DESC LIMIT 1) ORDER BY place",
        (calibration_id,),
    )
    return tuple(_compared(dict(zip(columns, row, strict=True))) for row in rows)


def _compared(row: dict[str, Any]) -> Compared:
    where = f"mart_cluster_comparison: {row['of']}"
    if row["of"] not in OF:
        raise Damaged(f"mart_cluster_comparison: expected one of {', '.join(OF)}, found {row['of']!r:.40}")
    try:
        curve = json.loads(row.pop("curve"))
        levels, greatest, low, high = (
            np.array(curve[name], dtype=np.float64) for name in ("levels", "greatest", "low", "high")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{where}: expected a curve, found {type(error).__name__}: {error}") from error
    shares = np.stack([greatest, low, high]) if greatest.shape == low.shape == high.shape == levels.shape else None
    if shares is None or levels.ndim != 1 or not ((shares >= -1e-12) & (shares <= 1 + 1e-12)).all():
        raise Damaged(f"{where}: expected chances from 0 to 1 for each level; fit again")
    figures = {
        name: tuple(_number(f"{where}: {name}", row.pop(f"{name}{end}")) for end in ("", "_low", "_high"))
        for name in FIGURES
    }
    if min(row["step_seconds"], row["window_seconds"], row["at_least"]) < 1:
        raise Damaged(f"{where}: expected a step, a window and a burst of at least 1")
    return Compared(figures=figures, levels=levels, greatest=greatest, low=low, high=high, **row)  # type: ignore[arg-type]


def _number(where: str, value: object) -> float:
    if value is None:
        return float("nan")
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise Damaged(f"{where}: expected a number, found {value!r:.60}")
    return float(value)
