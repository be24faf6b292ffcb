"""The engine against what else one could write: numpy with evolving balances, one matrix product, SIMD brute force."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import process_time

import numpy as np

import risk_core as rc
from data.sample import book as sample_book
from tests.benchmarks.book import bench_market, bench_scenario, statistics
from tests.benchmarks.memory import peak_of
from tests.benchmarks.numpy_baseline import Dense, first_passage_gemm, price_paths, simulate
from tests.benchmarks.table import Table
from tests.benchmarks.timing import median, seconds


def run(table: Table) -> None:
    """Every engine row."""
    sample_rows(table)
    against_others(table)
    law_costs(table)
    deterministic(table)


SAMPLE_MEMORY = """
from datetime import timedelta
import risk_core as rc
from data.sample import book
from tests.benchmarks.book import bench_scenario
market = book(20_000)
rc.simulate(market, bench_scenario(market, 24, timedelta(hours=1)), 2_000, threads=1)
"""


def sample_rows(table: Table) -> None:
    """The sample, 2,000 paths x 24 steps: seconds, rate, memory."""
    market = sample_book(20_000)
    scenario = bench_scenario(market, 24, timedelta(hours=1))
    table.title(f"sample: {statistics(market)}")
    n_paths = 2_000
    taken = median(lambda: rc.simulate(market, scenario, n_paths, threads=1), 5)
    table.add("simulate_sample_s", taken, "s", f"{n_paths:,} paths x 24 steps, one thread")
    table.add(
        "simulate_sample_rate", market.n_accounts * n_paths * 24 / taken / 1e9, "G/s", "account-path-steps a second"
    )
    dense = Dense(market)
    paths = price_paths(market, scenario, 4)
    base = median(lambda: simulate(dense, paths), 3) / 4
    check(market, scenario, dense, paths)
    table.add(
        "sample_vs_numpy", base / (taken / n_paths), "x", "per path, against numpy with the same rules and answer"
    )
    table.add("simulate_sample_peak_mb", peak_of(SAMPLE_MEMORY), "MB", "the same, in a process of its own", 1000, True)


def check(market: rc.Market, scenario: rc.Scenario, dense: Dense, paths: np.ndarray) -> None:
    """The baseline must give the engine's answer, or the ratio means nothing."""
    mine = rc.simulate(market, scenario, len(paths), threads=1)
    other = simulate(dense, paths)
    np.testing.assert_allclose(mine.repaid_usd, other[:, 0], rtol=1e-6, atol=1)
    np.testing.assert_allclose(mine.seized_usd + mine.fee_usd, other[:, 1], rtol=1e-6, atol=1)
    np.testing.assert_allclose(mine.deficit_usd, other[:, 2], rtol=1e-6, atol=1)


HORIZONS = (
    ("24h", 24, timedelta(hours=1), {"numpy": 1000, "brute": 25, "gemm": 100}),
    ("30d", 30, timedelta(days=1), {"numpy": 300, "brute": 7}),
    ("288", 288, timedelta(minutes=5), {"brute": 30}),
)
"""name, steps, step, floors"""


def against_others(table: Table) -> None:
    """One thread, 100,000 accounts, 20 reserves."""
    market = bench_market()
    dense = Dense(market)
    table.title(f"engine: {statistics(market)}; one thread")
    for name, n_steps, step, floors in HORIZONS:
        scenario = bench_scenario(market, n_steps, step)
        paths = price_paths(market, scenario, 1)
        check(market, scenario, dense, paths)
        few, many = 32, 2_000

        def engine(policy="largest_legs", n=many, brute=False, scenario=scenario):
            return rc.simulate(market, scenario, n, threads=1, policy=policy, brute_force=brute)

        for method in (True, "simd"):
            np.testing.assert_array_equal(engine(n=few, brute=method).path, engine(n=few).path)
        contestants = {
            "engine": engine,
            "profitable": lambda e=engine: e("most_profitable"),
            "brute": lambda e=engine, n=few: e(n=n, brute="simd"),
        }
        if "numpy" in floors:
            contestants["numpy"] = lambda p=paths: simulate(dense, p)
        if "gemm" in floors:
            several = price_paths(market, scenario, 20)
            check_first_passage(market, scenario, dense, several)
            contestants["gemm"] = lambda p=several: first_passage_gemm(dense, p)
            contestants["passage"] = lambda e=engine: e("first_passage")
        taken = seconds(contestants, clock=process_time)
        each = {k: v / {"numpy": 1, "gemm": 20, "brute": few}.get(k, many) for k, v in taken.items()}
        table.note(f"{name}, microseconds a path: " + ", ".join(f"{k} {1e6 * v:,.0f}" for k, v in each.items()))
        if "numpy" in each:
            ratio = each["numpy"] / each["engine"]
            table.add(f"engine_vs_numpy_{name}", ratio, "x", "against numpy, balances evolving", floors["numpy"])
        if "gemm" in each:
            ratio = each["gemm"] / each["passage"]
            table.add(f"engine_vs_gemm_{name}", ratio, "x", "first passage, against one matrix product", floors["gemm"])
        ratio = each["brute"] / each["engine"]
        table.add(f"engine_vs_brute_{name}", ratio, "x", "against SIMD brute force, same bits", floors["brute"])
        ratio = each["profitable"] / each["engine"]
        table.add(f"most_profitable_cost_{name}", ratio, "x", "policy most_profitable over largest_legs")


def law_costs(table: Table) -> None:
    """Each law of price moves over geometric Brownian motion: one thread, 100,000 accounts, 24 hourly steps."""
    market = bench_market()
    base = bench_scenario(market, 24, timedelta(hours=1))
    n = len(base.factors)
    # A year of hours, heavy tails, with the scenario's correlation.
    rng = np.random.default_rng(7)
    root = np.linalg.cholesky(base.correlation)
    past = 0.01 * rng.standard_t(5, (8_760, n)) @ root.T
    numbers = dict(alpha=[0.05] * n, beta=[0.9] * n, long_run=[1.0] * n)
    laws = {
        "gbm": rc.GBM(),
        "student_t": rc.StudentT(5.0),
        "jumps": rc.Jumps(36.5, -0.03, 0.04),
        "ou": rc.OrnsteinUhlenbeck([50.0] * n),
        "bootstrap": rc.Bootstrap(past),
        "garch": rc.Garch(**numbers),
        "garch_t": rc.Garch(**numbers, nu=5.0),
        "fhs": rc.FilteredHistory(past, **numbers),
    }
    table.title("laws of price moves, against geometric Brownian motion")
    taken = seconds(
        {
            name: lambda law=law: rc.simulate(market, replace(base, law=law), 2_000, threads=1)
            for name, law in laws.items()
        },
        clock=process_time,
    )
    for name in laws:
        if name != "gbm":
            what = f"{type(laws[name]).__name__} over GBM, same book, paths and steps"
            table.add(f"law_cost_{name}", taken[name] / taken["gbm"], "x", what, 3 if name == "fhs" else 2, True)


def check_first_passage(market: rc.Market, scenario: rc.Scenario, dense: Dense, paths: np.ndarray) -> None:
    """The matrix product must give the engine's exposure at first passage."""
    mine = rc.simulate(market, scenario, len(paths), threads=1, policy="first_passage").repaid_usd
    np.testing.assert_allclose(mine, first_passage_gemm(dense, paths), rtol=1e-6, atol=1)


def deterministic(table: Table) -> None:
    """Health factors and what-ifs of the whole book."""
    table.title("deterministic, one thread, its own time on the core")
    for name, n, health, fall in (("100k", 100_000, 4, 1), ("1m", 1_000_000, 30, 4)):
        market = bench_market(n)
        shock = np.where(bench_scenario(market, 1, timedelta(hours=1)).volatility > 0.1, -0.25, 0.0)
        taken = 1e3 * median(lambda m=market: rc.health_factor(m), clock=process_time)
        table.add(f"health_ms_{name}", taken, "ms", "every health factor", health, True)
        taken = 1e3 * median(lambda m=market, s=shock: rc.what_if(m, s), clock=process_time)
        table.add(f"what_if_ms_{name}", taken, "ms", "what_if at -25 %", fall, True)
        if name == "100k":
            taken = 1e3 * median(lambda m=market, s=shock: rc.sweep(m, s * 4), 9, process_time)
            table.add("sweep_ms_100k", taken, "ms", "91 steps with close-factor amounts", 25, True)
