"""What another sampling gains: paths that plain draws would need for the same error, at the cost of both."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import process_time

import numpy as np

import risk_core as rc
from tests.benchmarks.book import bench_market, bench_scenario, statistics
from tests.benchmarks.table import Table
from tests.benchmarks.timing import seconds

PATHS, REFERENCE = 10_000, 400_000
SEEDS = 30
"""Runs of each sampling: a root mean square of 30 errors is itself uncertain by 13 %, their squared ratio by 37 %."""
WANTED = 0.01


def run(table: Table) -> None:
    """Every row: errors of 30 seeds against a run of 400,000 paths with another seed."""
    market = bench_market()
    table.title(f"sampling: {statistics(market)}; Student-t with 5 degrees, {PATHS:,} paths of 24 hours")
    plain = replace(bench_scenario(market, 24, timedelta(hours=1)), law=rc.StudentT(nu=5.0))
    quasi = replace(plain, sampling="quasi")

    def figures(result: rc.Result) -> np.ndarray:
        lars = [rc.measures.lar(result, level).value for level in (0.99, 0.95)]
        return np.array([*lars, result.repaid_usd.mean()])

    truth = figures(rc.simulate(market, quasi, REFERENCE, seed=10_000))
    errors = {
        name: np.array([figures(rc.simulate(market, of, PATHS, seed=seed)) / truth - 1 for seed in range(SEEDS)])
        for name, of in (("plain", plain), ("quasi", quasi))
    }
    rms = {name: np.sqrt((found**2).mean(axis=0)) for name, found in errors.items()}
    taken = seconds(
        {
            "plain": lambda: rc.simulate(market, plain, PATHS, threads=1),
            "quasi": lambda: rc.simulate(market, quasi, PATHS, threads=1),
        },
        clock=process_time,
    )
    for name, found in rms.items():
        top, high, mean = 100 * found
        words = f"{top:.2f} % of LaR 99 %, {high:.2f} % of LaR 95 %, {mean:.2f} % of the mean"
        table.note(f"{name}: root mean square error {words}")
    gain = (rms["plain"] / rms["quasi"]) ** 2 * taken["plain"] / taken["quasi"]
    table.add("sampling_gain", float(gain[0]), "x", "time of plain over quasi for one error of LaR 99 %", 2)
    table.add("sampling_gain_95", float(gain[1]), "x", "the same of LaR 95 %")
    table.add("sampling_gain_mean", float(gain[2]), "x", "the same of the mean")
    whole = seconds({"quasi": lambda: rc.simulate(market, quasi, PATHS)})["quasi"]
    needed = whole * (float(rms["quasi"][0]) / WANTED) ** 2
    what = f"LaR 99 % within {WANTED:.0%} by quasi, all cores; from {PATHS:,} paths, as errors fall with the root"
    table.add("lar_1pct_s", needed, "s", what, 0.5, True)
