"""Medians of interleaved rounds: what drifts on a shared machine drifts for every contestant alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

ROUNDS = 5


def seconds(contestants: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each contestant over `rounds` rounds in turn, after one warm-up each."""
    for run in contestants.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                taken[name].append(time.perf_counter() - start)
    finally:
        gc.enable()
    return {name: statistics.median(values) for name, values in taken.items()}


def median(run: Callable[[], object], rounds: int = 9) -> float:
    """Median seconds of one call, after a warm-up."""
    return seconds({"it": run}, rounds)["it"]
