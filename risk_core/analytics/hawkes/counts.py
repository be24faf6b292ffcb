"""How far events cluster, told by their counts alone: what was seen, what a process implies, what a simulation brings.

Counts stand in W windows (days) of T steps (hours). Events of the same step have no order, so nothing finer than a step
is told; whatever is compared must be counted in the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics.hawkes.process import EventTimes, Hawkes, log_likelihood
from risk_core.analytics.shares import wilson
from risk_core.checks import (
    SMALLEST,
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_kind,
    checked_number,
    require,
    require_rising,
)
from risk_core.errors import InputError

RESAMPLES = 1_000
"""Resamples of whole windows behind an interval."""
LEAST_WINDOWS = 10
"""Windows below which no interval is drawn from them."""

SEEN, PRICES, PROCESS, INDEPENDENT = "seen", "prices", "process", "independent"
OF = (SEEN, PRICES, PROCESS, INDEPENDENT)
"""What counts that are compared are of: what happened, prices alone, a fitted process, a Poisson process."""

Figure = tuple[float, float, float]
"""(value, low, high): a figure with its 95 % interval; NaN where it is not known."""
UNKNOWN: Figure = (float("nan"),) * 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clustering:
    """How far the events of W windows of T steps cluster; K levels. A figure is (value, low, high).

    mean: events a window. dispersion_step, dispersion_window: variance over mean of the counts of steps and of windows;
    1 where events are independent, more where they cluster. in_bursts: share of the events that lie in steps with
    `at_least` or more. levels: (K,) counts; greatest, greatest_low, greatest_high: (K,) chance that the fullest step of
    a window holds as many. Intervals resample windows, and are Wilson's for chances.
    """

    n_windows: int
    n_steps: int
    n_events: int
    at_least: int
    mean: Figure
    dispersion_step: Figure
    dispersion_window: Figure
    in_bursts: Figure
    levels: IntArray
    greatest: FloatArray
    greatest_low: FloatArray
    greatest_high: FloatArray


def counts_in_steps(times: ArrayLike, *, end: float, step: float, n_steps: int) -> IntArray:
    """(W, T) counts of the events of [0, end] in whole windows of `n_steps` steps, the last of which ends at `end`.

    times: (n,) in [0, end]. What lies before the first whole window is left out. An event at the border of two steps
    counts in the later one, one at `end` in the last. Raises `InputError` where not one window fits.
    """
    at = checked_array("times", times, np.float64, (None,))
    end = checked_number("end", end, SMALLEST, rule="a positive time")
    step = checked_number("step", step, SMALLEST, rule="a positive time")
    n_steps = checked_int("n_steps", n_steps, 1)
    require("times", at, (at >= 0) & (at <= end), f"must be in [0, {end:g}]")
    # A window that is whole but for rounding counts.
    n_windows = int(np.floor(end / (step * n_steps) + 1e-9))
    if n_windows < 1:
        raise InputError(f"end: expected at least one window of {n_steps} steps of {step:g}, found {end:g}")
    whole = n_windows * n_steps
    place = np.minimum(np.floor((at - (end - whole * step)) / step + 1e-9), whole - 1)
    return np.bincount(place[place >= 0].astype(np.int64), minlength=whole).reshape(n_windows, n_steps)


def clustering(counts: ArrayLike, *, at_least: int, levels: ArrayLike, seed: int = 1) -> Clustering:
    """How far the events of `counts` (W, T) cluster. levels: (K,) rising counts of at least 1.

    `seed`: of the resamples of windows, which are taken as independent. With fewer than 10 windows the intervals are
    NaN; figures that need an event are NaN without one. Raises `InputError`.
    """
    found = checked_counts(counts)
    at_least, seed = checked_int("at_least", at_least, 1), checked_int("seed", seed, 0)
    wanted = _levels(levels)
    n = found.sum(axis=1)
    sums = np.column_stack([n, n**2, (found**2).sum(axis=1), np.where(found >= at_least, found, 0).sum(axis=1)]).astype(
        np.float64
    )
    windows, steps = found.shape

    def figures(total: FloatArray) -> FloatArray:
        """(..., 4) mean, both dispersions and the share in bursts, from sums over windows (..., 4)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            of_window, of_step = total[..., 0] / windows, total[..., 0] / (windows * steps)
            return np.stack(
                [
                    of_window,
                    total[..., 2] / (windows * steps) / of_step - of_step,
                    total[..., 1] / windows / of_window - of_window,
                    total[..., 3] / total[..., 0],
                ],
                axis=-1,
            )

    value = figures(sums.sum(axis=0))
    low, high = resampled(sums, figures, seed)
    fullest = found.max(axis=1)
    reached = (fullest[:, None] >= wanted).sum(axis=0)
    ends = np.array([wilson(int(hits), windows) for hits in reached])
    mean, of_step, of_window, bursts = (tuple(map(float, row)) for row in zip(value, low, high, strict=True))
    return Clustering(
        n_windows=windows, n_steps=steps, n_events=int(found.sum()), at_least=at_least, mean=mean,  # type: ignore[arg-type]
        dispersion_step=of_step, dispersion_window=of_window, in_bursts=bursts, levels=wanted,  # type: ignore[arg-type]
        greatest=reached / windows, greatest_low=ends[:, 0], greatest_high=ends[:, 1],
    )  # fmt: skip


def clustering_of_poisson(mean: float, *, n_steps: int, at_least: int, levels: ArrayLike) -> Clustering:
    """The same of independent events, exactly: a Poisson process with `mean` events in a window of `n_steps` steps."""
    # Here, not at the top: the engine starts without scipy.
    from scipy.stats import poisson

    mean = checked_number("mean", mean, SMALLEST, rule="a positive number of events")
    n_steps, at_least = checked_int("n_steps", n_steps, 1), checked_int("at_least", at_least, 1)
    wanted = _levels(levels)
    rate = mean / n_steps
    # 1 - F^T without losing what is rare.
    greatest = -np.expm1(n_steps * poisson.logcdf(wanted - 1, rate))
    # Of the events in steps of k or more: sum n P(n) / rate from k on, which is P(N >= k - 1).
    bursts = float(poisson.sf(at_least - 2, rate))
    return Clustering(
        n_windows=0, n_steps=n_steps, n_events=0, at_least=at_least, mean=(mean,) * 3, dispersion_step=(1.0,) * 3,
        dispersion_window=(1.0,) * 3, in_bursts=(bursts,) * 3, levels=wanted, greatest=greatest, greatest_low=greatest,
        greatest_high=greatest,
    )  # fmt: skip


def branching_of(dispersion: float) -> float:
    """Followers of one event, by the dispersion of counts in long windows: 1 - 1 / sqrt(F); 0 where F is at most 1.

    For windows much longer than the excitement lasts, F of a stationary Hawkes process of one kind is 1 / (1 - n)^2.
    (Hardiman and Bouchaud, Physical Review E 90, 2014.) Counts that move together for another reason, such as a common
    price, show an n as well: it says how many followers a process without that reason would need.
    """
    found = checked_number("dispersion", dispersion, 0.0, rule="a variance over a mean")
    return 1.0 - 1.0 / float(np.sqrt(found)) if found > 1 else 0.0


def gain_of_counts(model: Hawkes, counts: ArrayLike, *, step: float, seed: int = 1) -> Figure:
    """Log-likelihood per event of `counts` (W, T) under the excitement of `model`, above independent events.

    `model`: one kind, one base rate; its time is in the unit of `step`. Both are given the mean rate of the counts, so
    the gain tells how events lie to each other and not how many there are: the base rate is scaled, excitement and its
    decay stay. Each window stands alone. The m events of a step are spread evenly over it. The interval resamples
    windows. NaN without events, and where the model is explosive.
    """
    checked_kind("model", model, Hawkes)
    if model.mu.shape != (1, 1):
        raise InputError(f"model: expected one kind of events and one base rate, found {model.mu.shape}")
    found = checked_counts(counts)
    step = checked_number("step", step, SMALLEST, rule="a positive time")
    windows, steps = found.shape
    if not found.any() or not model.is_stationary:
        return UNKNOWN
    rate = float(found.sum()) / (windows * steps * step)
    at_rate = Hawkes(mu=[rate * (1 - model.spectral_radius)], alpha=model.alpha, beta=model.beta)
    end = steps * step
    quiet = -float(at_rate.mu[0, 0]) * end + rate * end
    sums = np.zeros((windows, 2))
    for w, row in enumerate(found):
        n = int(row.sum())
        if not n:
            sums[w] = quiet, 0
            continue
        rank = np.arange(n) - np.repeat(np.cumsum(row) - row, row)
        times = (np.repeat(np.arange(steps), row) + (rank + 0.5) / np.repeat(row, row)) * step
        events = EventTimes(times=times, kinds=np.zeros(n, dtype=np.int64), end=end, n_kinds=1)
        sums[w] = log_likelihood(at_rate, events)[0] - (n * np.log(rate) - rate * end), n

    def gain(total: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return total[..., :1] / total[..., 1:]

    low, high = resampled(sums, gain, seed)
    return float(gain(sums.sum(axis=0))[0]), float(low[0]), float(high[0])


def resampled(
    sums: FloatArray, figures: Callable[[FloatArray], FloatArray], seed: int
) -> tuple[FloatArray, FloatArray]:
    """Ends of the 95 % intervals of `figures` of sums over windows, by drawing as many windows with replacement."""
    windows = len(sums)
    if windows < LEAST_WINDOWS:
        nothing = np.full(figures(sums.sum(axis=0)).shape, np.nan)
        return nothing, nothing
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.multinomial(windows, np.full(windows, 1 / windows), size=RESAMPLES)
    every = figures(drawn @ sums)
    # A resample without an event has no share: the other resamples make the interval.
    ends = np.full((2, every.shape[1]), np.nan)
    for column, values in enumerate(every.T):
        known = values[np.isfinite(values)]
        if len(known):
            ends[:, column] = np.quantile(known, [0.025, 0.975])
    return ends[0], ends[1]


def checked_counts(counts: ArrayLike) -> IntArray:
    """`counts` as (W, T) int64 of at least one window and step, none negative. Raises `InputError`."""
    found = checked_array("counts", counts, np.int64, (None, None))
    if not found.size:
        raise InputError(f"counts: expected at least one window of one step, found the shape {found.shape}")
    require("counts", found, found >= 0, "must not be negative (entry: window, step)")
    return found


def _levels(levels: ArrayLike) -> IntArray:
    wanted = checked_array("levels", levels, np.int64, (None,))
    require("levels", wanted, wanted >= 1, "must be at least 1")
    require_rising("levels", wanted, strictly=True)
    return wanted
