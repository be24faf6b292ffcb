"""What another sampling gains: time that plain draws would need for the same error, over its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from time import process_time

import numpy as np

import risk_core as rc
from tests.benchmarks.book import bench_market, bench_scenario, statistics
from tests.benchmarks.table import Table
from tests.benchmarks.timing import seconds

PATHS, TWO_PHASE_PATHS, REFERENCE = 10_000, 150_000, 400_000
SEEDS = 30
"""Runs of each sampling: a root mean square of 30 errors is itself uncertain by 13 %, their squared ratio by 37 %."""
WANTED = 0.01


def run(table: Table) -> None:
    """Every row: errors of 30 seeds against a run of 400,000 paths with another seed."""
    market = bench_market()
    table.title(f"sampling: {statistics(market)}; Student-t with 5 degrees, paths of 24 hours")
    plain = replace(bench_scenario(market, 24, timedelta(hours=1)), law=rc.StudentT(nu=5.0))
    quasi = replace(plain, sampling="quasi")

    def figures(result: rc.Result) -> np.ndarray:
        lars = [rc.measures.lar(result, level).value for level in (0.99, 0.95)]
        return np.array([*lars, result.repaid_usd.mean()])

    def two_phase(seed: int, threads: int | None = 1) -> float:
        return rc.two_phase.lar(market, plain, 0.99, TWO_PHASE_PATHS, seed, threads=threads).value

    truth = figures(rc.simulate(market, quasi, REFERENCE, seed=10_000))
    runs: dict[str, Callable[[int], np.ndarray]] = {
        "plain": lambda seed: figures(rc.simulate(market, plain, PATHS, seed=seed)),
        "quasi": lambda seed: figures(rc.simulate(market, quasi, PATHS, seed=seed)),
        "two-phase": lambda seed: np.array([two_phase(seed), np.nan, np.nan]),
    }
    errors = {name: np.array([found(seed) / truth - 1 for seed in range(SEEDS)]) for name, found in runs.items()}
    rms = {name: np.sqrt((found**2).mean(axis=0)) for name, found in errors.items()}
    taken = seconds(
        {
            "plain": lambda: rc.simulate(market, plain, PATHS, threads=1),
            "quasi": lambda: rc.simulate(market, quasi, PATHS, threads=1),
            "two-phase": lambda: two_phase(7),
        },
        clock=process_time,
    )
    for name, found in rms.items():
        top, high, mean = 100 * found
        others = "" if name == "two-phase" else f", {high:.2f} % of LaR 95 %, {mean:.2f} % of the mean"
        of = TWO_PHASE_PATHS if name == "two-phase" else PATHS
        table.note(f"{name}, {of:,} paths, {taken[name]:.3f} s: root mean square error {top:.2f} % of LaR 99 %{others}")

    def gain(name: str, figure: int) -> float:
        return float((rms["plain"][figure] / rms[name][figure]) ** 2 * taken["plain"] / taken[name])

    table.add("sampling_gain", gain("two-phase", 0), "x", "time of plain over two-phase for one error of LaR 99 %", 2)
    table.add("sampling_gain_quasi", gain("quasi", 0), "x", "time of plain over quasi for one error of LaR 99 %")
    table.add("sampling_gain_95", gain("quasi", 1), "x", "the same of LaR 95 %")
    table.add("sampling_gain_mean", gain("quasi", 2), "x", "the same of the mean")
    whole = seconds({"all": lambda: two_phase(7, None)})["all"]
    needed = whole * (float(rms["two-phase"][0]) / WANTED) ** 2
    what = f"LaR 99 % within {WANTED:.0%}, all cores, two-phase; from {TWO_PHASE_PATHS:,} paths, as errors fall"
    table.add("lar_1pct_s", needed, "s", what, 0.5, True)
