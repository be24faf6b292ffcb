"""The next day under both scenarios: Monte Carlo from the same random numbers, with the error of the difference."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.loaded import LoadedMarket, ShownFigure
from dashboard.market.state import WhatIf

Array = NDArray[np.float64]

Progress = Callable[[int, int], object]

PATHS = 10_000
"""Paths of a what-if: 100 of them lie beyond 99 %; below 30 the error of a tail figure is not shown."""
RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure under both scenarios with the same random numbers. `error` is the half width of 95 %."""

    label: str
    unit: str
    baseline: ShownFigure
    scenario: ShownFigure
    change: float
    error: float

    @property
    def clear(self) -> bool:
        """The difference is larger than its error."""
        return abs(self.change) > self.error


@dataclass(frozen=True, slots=True)
class Simulation:
    """Baseline and scenario side by side, and how they were computed."""

    query: str
    n_paths: int
    seed: int
    horizon_hours: float
    code_version: str
    rows: tuple[Comparison, ...]


def quantile(level: float) -> Callable[[Array], float]:
    """A function that gives the engine's quantile of a sample (n,): an order statistic."""

    def at(x: Array) -> float:
        rank = max(int(np.ceil(len(x) * level)), 1) - 1
        return float(np.partition(x, rank)[rank])

    return at


def mean_of_worst(level: float) -> Callable[[Array], float]:
    """A function that gives the mean of the worst 1 - level share of a sample (n,)."""

    def mean(x: Array) -> float:
        worst = max(1, round(len(x) * (1 - level)))
        return float(np.partition(x, len(x) - worst)[-worst:].mean())

    return mean


def share_above_zero(x: Array) -> float:
    """Fraction of the entries of (n,) `x` that are above zero."""
    return float((x > 0).mean())


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the comparison: its name, the engine's estimate of it, and the same statistic of a sample (n,)."""

    label: str
    unit: str
    column: str
    estimate: Callable[[rc.Result], rc.measures.Estimate]
    statistic: Callable[[Array], float]


MEASURES = (
    Measure("Debt repaid, LaR 95 %", "USD", "repaid_usd", lambda r: rc.measures.lar(r, 0.95), quantile(0.95)),
    Measure("Debt repaid, LaR 99 %", "USD", "repaid_usd", lambda r: rc.measures.lar(r, 0.99), quantile(0.99)),
    Measure(
        "Collateral seized, 99 %", "USD", "seized_usd", lambda r: rc.measures.lar(r, 0.99, "seized"), quantile(0.99)
    ),
    Measure("Deficit, VaR 99 %", "USD", "deficit_usd", lambda r: rc.measures.var(r, 0.99), quantile(0.99)),
    Measure(
        "Deficit, ES 99 %", "USD", "deficit_usd", lambda r: rc.measures.expected_shortfall(r, 0.99), mean_of_worst(0.99)
    ),
    Measure("P(deficit above $0)", "share", "deficit_usd", rc.measures.probability_of_loss, share_above_zero),
)


def simulate(
    loaded: LoadedMarket,
    scenario: rc.Scenario,
    state: WhatIf,
    n_paths: int = PATHS,
    seed: int = 7,
    progress: Progress | None = None,
) -> Simulation:
    """Run baseline and what-if from the same seed; the what-if starts at shocked prices with its volatility multiplied.

    progress: called with (paths done, paths in all) of both runs together; an exception in it stops the work.
    """
    both = 2 * n_paths

    def half(before: int) -> Progress | None:
        return None if progress is None else lambda done, _total: progress(before + done, both)

    base = baseline(loaded, scenario, n_paths, seed, half(0))
    then = base
    if state.changed:
        then = rc.simulate(
            *world(loaded, scenario, state), n_paths=n_paths, seed=seed, threads=threads(), progress=half(n_paths)
        )
    estimates = [(m, ShownFigure.of(m.estimate(base)), ShownFigure.of(m.estimate(then))) for m in MEASURES]
    errors = paired_errors(base, then) if state.changed else [0.0] * len(MEASURES)
    return Simulation(
        query=state.to_query(),
        n_paths=n_paths,
        seed=seed,
        horizon_hours=scenario.horizon.total_seconds() / 3600,
        code_version=rc.code_version(),
        rows=tuple(
            Comparison(m.label, m.unit, one, two, two.value - one.value, error)
            for (m, one, two), error in zip(estimates, errors, strict=True)
        ),
    )


def threads() -> int:
    """Threads of a simulation: all cores but one, which is left for pages. The result is the same for any number."""
    return max(1, (os.cpu_count() or 1) - 1)


_baselines: OrderedDict[tuple[LoadedMarket, rc.Scenario, int, int], rc.Result] = OrderedDict()
_baselines_lock = threading.Lock()
_BASELINES_KEPT = 4


def baseline(
    loaded: LoadedMarket, scenario: rc.Scenario, n_paths: int, seed: int, progress: Progress | None = None
) -> rc.Result:
    """The run without any change: the same for every reader, so the last few are cached."""
    key = (loaded, scenario, n_paths, seed)
    with _baselines_lock:
        if key in _baselines:
            _baselines.move_to_end(key)
            return _baselines[key]
    result = rc.simulate(loaded.market, scenario, n_paths=n_paths, seed=seed, threads=threads(), progress=progress)
    with _baselines_lock:
        _baselines[key] = result
        while len(_baselines) > _BASELINES_KEPT:
            _baselines.popitem(last=False)
    return result


def world(loaded: LoadedMarket, scenario: rc.Scenario, state: WhatIf) -> tuple[rc.Market, rc.Scenario]:
    """The market at the shocked prices, and the scenario from there with its volatility multiplied.

    Where an oracle's cap limits a shocked price, the feed is assumed to be at the cap.
    """
    market = replace(loaded.market, price=loaded.market.shocked(loaded.assets.moves(state.moves)))
    return market, replace(scenario, name="what-if", volatility=scenario.volatility * state.vol)


def paired_errors(one: rc.Result, two: rc.Result, n: int = RESAMPLES, seed: int = 1) -> list[float]:
    """Half width of the 95 % interval of each measure's difference: paths are resampled in pairs (bootstrap).

    Both runs share their random numbers, so most of the sampling error cancels in the difference.
    """
    rng = np.random.default_rng(seed)
    columns = {m.column for m in MEASURES}
    sides = [{name: getattr(result, name) for name in columns} for result in (one, two)]
    differences = np.empty((n, len(MEASURES)))
    for k in range(n):
        pick = rng.integers(0, one.n_paths, size=one.n_paths)
        before, after = ({name: values[pick] for name, values in side.items()} for side in sides)
        differences[k] = [m.statistic(after[m.column]) - m.statistic(before[m.column]) for m in MEASURES]
    return (1.96 * differences.std(axis=0, ddof=1)).tolist()
