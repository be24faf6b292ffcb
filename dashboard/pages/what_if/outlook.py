"""The next day under both scenarios: Monte Carlo from the same random numbers, with the error of the difference."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.loaded import LoadedMarket, ShownFigure
from dashboard.market.state import WhatIf
from dashboard.pages.what_if.compared import MEASURES, ON_THE_WAY, RESPONDED, WAITING, Comparison, paired_errors
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
