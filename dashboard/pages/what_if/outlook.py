"""The next day under both scenarios: Monte Carlo from the same random numbers, with the error of the difference."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.loaded import LoadedMarket, ShownFigure
from dashboard.market.state import WhatIf
from dashboard.pages.what_if.on_the_way import on_the_way
from dashboard.pages.what_if.spread import Spread, spread
from dashboard.pages.what_if.world import NO_DEPTH, Depth, Progress, World, limits_words, world

Array = NDArray[np.float64]

PATHS = 10_000
"""Paths of a what-if: 100 of them lie beyond 99 %; below 30 the error of a tail figure is not shown."""
FIRST = 4_096
"""Paths of the first answer, while a handle moves: 40 of them lie beyond 99 %. They are the first of `PATHS`."""
LIMITED = 4_096
"""Paths where liquidators have limits: whoever waits is looked at again in each step, which is slow after a fall."""
SEED = 7
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
    is_loss: bool = True
    """More of it is worse. Of what is repaid that is not so where liquidators have limits: the rest waits."""

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
    """Empty where only the first paths are in."""
    spread: Spread
    limits: str = ""
    """What limits liquidators and oracles in the what-if, in words; empty where nothing does."""


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


WAITING = (
    Measure("Waiting, 99 %", "USD", "waiting_usd",
            lambda r: rc.measures.quantile(r.waiting_usd, 0.99, r.cluster), quantile(0.99)),
    Measure("Shortfall, ES 99 %", "USD", "shortfall_usd",
            lambda r: rc.measures.tail_mean(r.shortfall_usd, 0.99, r.cluster), mean_of_worst(0.99)),
)  # fmt: skip
"""Beside `MEASURES` where liquidators have limits. Without limits nothing waits."""
RESPONDED = Measure("By borrowers, mean", "USD", "responded_usd",
                    lambda r: rc.measures.average(r.responded_usd, r.cluster), lambda x: float(x.mean()))  # fmt: skip
"""Beside `MEASURES` where borrowers respond."""
ON_THE_WAY = Measure("On the way there, mean", "USD", "repaid_usd",
                     lambda r: rc.measures.average(r.repaid_usd, r.cluster), lambda x: float(x.mean()))  # fmt: skip
"""Of paths that end at the prices of the what-if: below the others where prices move and nothing else limits them."""


def simulate(
    loaded: LoadedMarket,
    scenario: rc.Scenario,
    state: WhatIf,
    n_paths: int = PATHS,
    seed: int = SEED,
    progress: Progress | None = None,
    depth: Depth = NO_DEPTH,
) -> Simulation:
    """Run baseline and what-if from the same seed; `world` says what the what-if is.

    depth: the limits that liquidators have where the what-if gives them any. progress: called with (paths done, paths
    in all) of both runs together; an exception in it stops the work.
    """
    both = 2 * n_paths

    def half(before: int) -> Progress | None:
        return None if progress is None else lambda done, _total: progress(before + done, both)

    base = run_of(loaded, scenario, state.base, n_paths, seed, half(0), depth)
    then = run_of(loaded, scenario, state.alone, n_paths, seed, half(n_paths), depth) if state.differs else base
    waits = then.waiting is not None or base.waiting is not None
    measures = MEASURES + WAITING if waits else MEASURES
    if then.responded is not None or base.responded is not None:
        measures = (*measures, RESPONDED)
    estimates = [(m, ShownFigure.of(m.estimate(base)), ShownFigure.of(m.estimate(then))) for m in measures]
    errors = paired_errors(base, then, measures) if state.differs else [0.0] * len(measures)
    served = {"responded_usd"} | ({"repaid_usd", "seized_usd"} if waits else set())
    rows = tuple(
        Comparison(m.label, m.unit, one, two, two.value - one.value, error, m.column not in served)
        for (m, one, two), error in zip(estimates, errors, strict=True)
    )
    return _simulation(state, base, then, n_paths, depth, (*rows, *_there(loaded, scenario, state, seed)))


def _there(loaded: LoadedMarket, scenario: rc.Scenario, state: WhatIf, seed: int) -> tuple[Comparison, ...]:
    """The row of what is repaid on the way to these prices, or none."""
    sides = (state.base, state.alone)
    if not any(side.moved for side in sides) or any(side.limited or side.lag or side.respond for side in sides):
        return ()
    found = [on_the_way(loaded, scenario, side, seed) for side in sides]
    if found[0] is None or found[1] is None:
        return ()
    one, two = (ShownFigure.of(ON_THE_WAY.estimate(result)) for result in found)
    (error,) = paired_errors(found[0], found[1], (ON_THE_WAY,))
    return (Comparison(ON_THE_WAY.label, ON_THE_WAY.unit, one, two, two.value - one.value, error),)


def first(loaded: LoadedMarket, scenario: rc.Scenario, state: WhatIf, seed: int = SEED) -> Simulation:
    """`simulate` from the first paths alone, without its rows: quick enough to follow a handle.

    The full run begins with these paths and does not draw them again.
    """
    base = run_of(loaded, scenario, state.base, FIRST, seed)
    then = run_of(loaded, scenario, state.alone, FIRST, seed) if state.differs else base
    return _simulation(state, base, then, PATHS, NO_DEPTH)


def _simulation(
    state: WhatIf,
    base: rc.Result,
    then: rc.Result,
    of_paths: int,
    depth: Depth,
    rows: tuple[Comparison, ...] = (),
) -> Simulation:
    return Simulation(
        query=state.to_query(),
        n_paths=base.n_paths,
        seed=base.seed,
        horizon_hours=then.horizon.total_seconds() / 3600,
        code_version=rc.code_version(),
        rows=rows,
        spread=spread(base, then, of_paths, changed=state.differs),
        limits=both_limits(state, depth),
    )


def threads(n_paths: int) -> int:
    """All cores but one, which is left for pages; all for a first answer, which is short. The result is the same."""
    return max(1, (os.cpu_count() or 1) - (n_paths > FIRST))


class Kept:
    """The last few results by key, for any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[Hashable, rc.Result] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> rc.Result | None:
        """The result, if it is still kept."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: Hashable, result: rc.Result) -> rc.Result:
        """Keep the result, and forget the one that nobody has asked for longest where there are too many."""
        with self._lock:
            self._found[key] = result
            self._found.move_to_end(key)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return result


_baselines = Kept(6)
_beginnings = Kept(6)


def both_limits(state: WhatIf, depth: Depth) -> str:
    """The limits of both scenarios in words; empty where neither has any."""
    base, then = limits_words(state.base, depth), limits_words(state, depth)
    if base == then or state.held is None:
        return then
    return f"A: {base or 'no limits'}; B: {then or 'no limits'}"


def run_of(
    loaded: LoadedMarket,
    scenario: rc.Scenario,
    state: WhatIf,
    n_paths: int,
    seed: int,
    progress: Progress | None = None,
    depth: Depth = NO_DEPTH,
) -> rc.Result:
    """The run of one side. Without any change it is the same for every reader, and the last few are kept.

    Of a what-if the first `FIRST` paths are kept, and not drawn again for the full run.
    """
    key = (loaded, scenario, seed)
    if state.is_today:
        kept, key = _baselines, (*key, n_paths)
        begun = kept.get(key)
        there = World(loaded.market, scenario)
    else:
        kept, key = _beginnings, (*key, state, depth.key)
        begun = kept.get(key) if n_paths >= FIRST else None
        there = world(loaded, scenario, state, depth)
    if begun is not None and begun.n_paths == n_paths:
        return begun
    start = 0 if begun is None else begun.n_paths
    more = None if progress is None else lambda done, _total: progress(start + done, n_paths)
    result = there.simulate(n_paths, seed, threads(n_paths), start, more)
    if state.is_today or n_paths == FIRST:
        return kept.put(key, result)
    return result if begun is None else begun + result


def paired_errors(
    one: rc.Result, two: rc.Result, measures: Sequence[Measure] = MEASURES, n: int = RESAMPLES, seed: int = 1
) -> list[float]:
    """Half width of the 95 % interval of each measure's difference: paths are resampled in pairs (bootstrap).

    Both runs share their random numbers, so most of the sampling error cancels in the difference. Paths that were drawn
    together (`Result.cluster`) are resampled together.
    """
    rng = np.random.default_rng(seed)
    columns = {m.column for m in measures}
    sides = [{name: getattr(result, name) for name in columns} for result in (one, two)]
    differences = np.empty((n, len(measures)))
    draw = resampling(one.n_paths, one.cluster, rng)
    for k in range(n):
        pick = draw()
        before, after = ({name: values[pick] for name, values in side.items()} for side in sides)
        differences[k] = [m.statistic(after[m.column]) - m.statistic(before[m.column]) for m in measures]
    return (1.96 * differences.std(axis=0, ddof=1)).tolist()


def resampling(n: int, cluster: Array | None, rng: np.random.Generator) -> Callable[[], Array]:
    """A function that draws n paths with replacement, or whole clusters; cluster: (n,) numbers, None: by itself."""
    if cluster is None:
        return lambda: rng.integers(0, n, size=n)
    order = np.argsort(cluster, kind="stable")
    together = np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)
    return lambda: np.concatenate([together[i] for i in rng.integers(0, len(together), size=len(together))])
