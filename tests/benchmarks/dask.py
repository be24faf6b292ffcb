"""`risk-scenarios --dask`: two worker processes over one, and over two threads of one process, for the same bits."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import numpy as np

import risk_core as rc
from flows.risk.workers import simulator
from tests.benchmarks.book import bench_market, bench_scenario
from tests.benchmarks.table import Table
from tests.benchmarks.timing import seconds

ACCOUNTS = 100_000
PATHS = 200_000
STEPS = 24
ROUNDS = 3


def run(table: Table) -> None:
    """Every row of the cluster."""
    table.title(f"Dask on one machine: {ACCOUNTS:,} accounts, {PATHS:,} paths of {STEPS} hours")
    market = bench_market(ACCOUNTS)
    scenario = bench_scenario(market, STEPS, timedelta(hours=1))
    with ExitStack() as opened:
        start = time.perf_counter()
        one, two = (opened.enter_context(simulator(f"local:{n}")) for n in (1, 2))
        table.note(f"three workers started in {time.perf_counter() - start:.1f} s")
        runs: dict[str, Callable[[], rc.Result]] = {
            "one": lambda: one(market, scenario, PATHS, 7, policy="largest_legs"),
            "two": lambda: two(market, scenario, PATHS, 7, policy="largest_legs"),
            "threads": lambda: rc.simulate(market, scenario, PATHS, 7, threads=2),
        }
        results = [each() for each in runs.values()]
        for name in ("path", "by_step", "fan", "hits"):
            arrays = [getattr(result, name) for result in results]
            assert all(np.array_equal(arrays[0], other) for other in arrays[1:]), name
        del results
        taken = seconds(runs, ROUNDS)
    table.note(", ".join(f"{name} {spent:.2f} s" for name, spent in taken.items()))
    table.add("dask_2", taken["one"] / taken["two"], "x", "two worker processes over one", 1.7)
    table.add("dask_overhead", taken["two"] / taken["threads"], "x", "two workers over two threads here", 1.15, True)
