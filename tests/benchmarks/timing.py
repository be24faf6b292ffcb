"""Medians of interleaved rounds: what drifts on a shared machine drifts for every contestant alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

ROUNDS = 5


def seconds(
    contestants: dict[str, Callable[[], object]], rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each contestant over `rounds` rounds in turn, after one warm-up each.

    clock: `time.process_time` for contestants of one thread each, so that a neighbour who takes the core away for a
    while does not count.
    """
    for run in contestants.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in contestants.items():
                start = clock()
                run()
                taken[name].append(clock() - start)
    finally:
        gc.enable()
    return {name: statistics.median(values) for name, values in taken.items()}


def median(run: Callable[[], object], rounds: int = 9, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of one call, after a warm-up; `clock` as in `seconds`."""
    return seconds({"it": run}, rounds, clock)["it"]
