"""What a Hawkes process will do next: paths by thinning, exact means, chances of events and of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm
from scipy.stats import poisson

from risk_core.analytics.hawkes.process import EventTimes, Hawkes, parts, state
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
)
from risk_core.errors import InputError
from risk_core.kernels import hawkes as kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """A probability by simulation with its 95 % interval (Wilson), and bounds that hold without simulation."""

    value: float
    low: float
    high: float
    paths: int
    lower_bound: float
    upper_bound: float


def simulate(
    model: Hawkes, horizon: float, *, seed: int, path: int = 0, history: EventTimes | None = None, most: int = 1_000_000
) -> EventTimes:
    """One path over `horizon` after the end of the history (without one: from time 0); its times count from that end.

    A pure function of (model, history, seed, path). Raises `InputError` beyond `most` events: the model explodes, or
    the horizon is too long.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    seed, path = checked_int("seed", seed, 0), checked_int("path", path, 0)
    most = checked_int("most", most, 1)
    start, begun = _begun(model, history)
    size = min(most, 1024)
    while True:
        times, kinds = np.empty(size), np.empty(size, np.int64)
        count = _thin(model, start, begun.copy(), horizon, seed, path, times, kinds)
        if count >= 0:
            break
        if size >= most:
            raise InputError(
                f"simulate: more than {most} events within {horizon:g}; the model explodes or the horizon is long"
            )
        size = min(most, 8 * size)
    return EventTimes(
        times=np.minimum(times[:count] - start, horizon), kinds=kinds[:count], end=horizon, n_kinds=len(model.mu)
    )


def chance_of(
    model: Hawkes,
    horizon: float,
    *,
    at_least: int,
    history: EventTimes | None = None,
    kinds: ArrayLike | None = None,
    paths: int = 10_000,
    seed: int = 1,
) -> Chance:
    """Probability of at least `at_least` events (of `kinds`, default all) within `horizon` after the history.

    By thinning from the present state, with Wilson's interval. The lower bound assumes that no event causes others; the
    upper bound is Markov's inequality with the exact mean. Both are known for all kinds together only: with `kinds`
    they are 0 and 1.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    wanted = checked_int("at_least", at_least, 1)
    paths = checked_int("paths", paths, 1)
    seed = checked_int("seed", seed, 0)
    start, begun = _begun(model, history)
    some = None
    if kinds is not None:
        wanted_kinds = checked_array("kinds", kinds, np.int64, (None,))
        n_kinds = len(model.mu)
        require("kinds", wanted_kinds, (wanted_kinds >= 0) & (wanted_kinds < n_kinds), f"must be in [0, {n_kinds})")
        some = set(wanted_kinds.tolist())
    size = 64 if some is None else 4096
    size = max(size, wanted)
    times, found = np.empty(size), np.empty(size, np.int64)
    hits = 0
    for path in range(paths):
        count = _thin(model, start, begun.copy(), horizon, seed, path, times, found)
        if some is None:
            hits += count >= wanted or count < 0  # a full buffer holds at least `wanted` events
        else:
            while count < 0:
                times, found = np.empty(8 * len(times)), np.empty(8 * len(times), np.int64)
                count = _thin(model, start, begun.copy(), horizon, seed, path, times, found)
            hits += int(np.isin(found[:count], list(some)).sum()) >= wanted
    low, high = wilson(hits, paths)
    lower, upper = 0.0, 1.0
    if some is None:
        lower = float(poisson.sf(wanted - 1, _quiet_mean(model, begun, start, horizon)))
        upper = min(1.0, float(expected_counts(model, horizon, history=history).sum()) / wanted)
    return Chance(
        value=hits / paths,
        low=low,
        high=high,
        paths=paths,
        lower_bound=lower,
        upper_bound=upper,
    )


def chance_of_cluster(
    model: Hawkes,
    horizon: float,
    *,
    at_least: int,
    within: float,
    history: EventTimes | None = None,
    paths: int = 10_000,
    seed: int = 1,
) -> Chance:
    """Probability of a cluster within `horizon` after the history: `at_least` events no further apart than `within`.

    Events before the horizon are part of no cluster. The upper bound is that of `at_least` events in the whole horizon,
    the lower bound 0.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    within = checked_number("within", within, SMALLEST, rule="a positive time")
    wanted, paths = checked_int("at_least", at_least, 1), checked_int("paths", paths, 1)
    seed = checked_int("seed", seed, 0)
    start, begun = _begun(model, history)
    times, kinds = np.empty(max(4096, 8 * wanted)), np.empty(max(4096, 8 * wanted), np.int64)
    hits = 0
    for path in range(paths):
        count = _thin(model, start, begun.copy(), horizon, seed, path, times, kinds)
        # A full buffer is a path of thousands of events: what is in it decides, later events could only add clusters.
        held = times[: count if count >= 0 else len(times)]
        hits += has_cluster(held, wanted, within)
    low, high = wilson(hits, paths)
    upper = min(1.0, float(expected_counts(model, horizon, history=history).sum()) / wanted)
    return Chance(value=hits / paths, low=low, high=high, paths=paths, lower_bound=0.0, upper_bound=upper)


def has_cluster(times: FloatArray, at_least: int, within: float) -> bool:
    """Whether `at_least` of the ascending times (n,) lie no further apart than `within`, from first to last."""
    spans = times[at_least - 1 :] - times[: max(len(times) - at_least + 1, 0)]
    return bool((spans <= within).any())


def expected_counts(model: Hawkes, horizon: float, *, history: EventTimes | None = None) -> FloatArray:
    """Exact mean number of events of each kind within `horizon`, (D,), from the state after the history.

    The mean excitation follows a linear equation, solved by a matrix exponential for each part of the period.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    now, begun = _begun(model, history)
    r = begun.ravel()
    d, u = len(model.mu), model.alpha.shape[2]
    size = d * d * u
    # Unknowns: R (size), counts (D), and a constant 1.
    system = np.zeros((size + d + 1, size + d + 1))
    place = np.arange(size).reshape(d, d, u)
    for i in range(d):
        for j in range(d):
            for k in range(u):
                system[size + i, place[i, j, k]] = model.alpha[i, j, k]
    for i in range(d):
        for j in range(d):
            for k in range(u):
                row = place[i, j, k]
                system[row] += system[size + j]
                system[row, row] -= model.beta[i, j, k]
    x = np.concatenate([r, np.zeros(d), [1.0]])
    for at, until in parts(model, now, now + horizon):
        drift = system.copy()
        base = model.mu[:, at]
        drift[size : size + d, -1] = base
        for i in range(d):
            for j in range(d):
                drift[place[i, j], -1] += base[j]
        x = expm(drift * until) @ x
    return x[size : size + d]


def _thin(
    model: Hawkes,
    start: float,
    begun: FloatArray,
    horizon: float,
    seed: int,
    path: int,
    times: FloatArray,
    kinds: IntArray,
) -> int:
    """Write one path into `times` and `kinds`, both (most,); return its number of events, -1 for more than `most`."""
    per_bin = model.mu.shape[1]
    return kernels.thin(
        model.mu, start, per_bin, model.period / per_bin, model.alpha, model.beta, begun, horizon, seed, path,
        np.empty(len(model.mu)), times, kinds,
    )  # fmt: skip


def _quiet_mean(model: Hawkes, begun: FloatArray, start: float, horizon: float) -> float:
    """Integral of all intensities if no further event came."""
    base = sum(model.mu[:, at].sum() * length for at, length in parts(model, start, start + horizon))
    left = (model.alpha * begun / model.beta * -np.expm1(-model.beta * horizon)).sum()
    return float(base + left)


def _begun(model: Hawkes, history: EventTimes | None) -> tuple[float, FloatArray]:
    """(time at which a path begins, excitation (D, D, U) left from the history: zeros without one)."""
    if history is not None:
        left = state(model, history)
        return history.end, left
    checked_kind("model", model, Hawkes)
    return 0.0, np.zeros_like(model.beta)
