"""The engine against what else one could write: numpy with evolving balances, one matrix product, SIMD brute force."""

from __future__ import annotations

import resource
from datetime import timedelta

import numpy as np

import risk_core as rc
from data.sample import book as sample_book
from tests.benchmarks.book import bench_market, bench_scenario, statistics
from tests.benchmarks.numpy_baseline import Dense, price_paths, simulate
from tests.benchmarks.table import Table
from tests.benchmarks.timing import median, seconds


def run(table: Table) -> None:
    """Every engine row."""
    sample_rows(table)
    against_others(table)
    deterministic(table)


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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table.add("simulate_sample_peak_mb", peak, "MB", "peak memory of this process so far", 1000, True)


def check(market: rc.Market, scenario: rc.Scenario, dense: Dense, paths: np.ndarray) -> None:
    """The baseline must give the engine's answer, or the ratio means nothing."""
    mine = rc.simulate(market, scenario, len(paths), threads=1)
    other = simulate(dense, paths)
    np.testing.assert_allclose(mine.repaid_usd, other[:, 0], rtol=1e-6, atol=1)
    np.testing.assert_allclose(mine.seized_usd + mine.fee_usd, other[:, 1], rtol=1e-6, atol=1)
    np.testing.assert_allclose(mine.deficit_usd, other[:, 2], rtol=1e-6, atol=1)


def against_others(table: Table) -> None:
    """One thread, 100,000 accounts, 20 reserves."""
    market = bench_market()
    dense = Dense(market)
    table.title(f"engine: {statistics(market)}; one thread, microseconds a path")
    floors = {"24h": (1000, 25), "30d": (300, 7), "288": (None, 30)}
    for name, n_steps, step in (
        ("24h", 24, timedelta(hours=1)), ("30d", 30, timedelta(days=1)), ("288", 288, timedelta(minutes=5)),
    ):  # fmt: skip
        scenario = bench_scenario(market, n_steps, step)
        paths = price_paths(market, scenario, 1)
        few, many = 16, 1_000
        check(market, scenario, dense, paths)
        brute = rc.simulate(market, scenario, few, threads=1, brute_force=True)
        np.testing.assert_array_equal(brute.path, rc.simulate(market, scenario, few, threads=1).path)
        contestants = {
            "engine": lambda s=scenario, n=many: rc.simulate(market, s, n, threads=1),
            "brute": lambda s=scenario, n=few: rc.simulate(market, s, n, threads=1, brute_force="simd"),
        }
        if name != "288":
            contestants["numpy"] = lambda p=paths: simulate(dense, p)
        taken = seconds(contestants)
        engine, slow = taken["engine"] / many, taken["brute"] / few
        table.note(f"{name}: engine {engine * 1e6:.0f}, SIMD brute force {slow * 1e6:,.0f}" + (
            f", numpy {taken['numpy'] * 1e6:,.0f}" if "numpy" in taken else ""))  # fmt: skip
        if "numpy" in taken:
            table.add(
                f"engine_vs_numpy_{name}",
                taken["numpy"] / engine,
                "x",
                "against numpy, balances evolving",
                floors[name][0],
            )
        table.add(f"engine_vs_brute_{name}", slow / engine, "x", "against SIMD brute force, same bits", floors[name][1])


def deterministic(table: Table) -> None:
    """Health factors and what-ifs of the whole book."""
    table.title("deterministic, one thread")
    for name, n in (("100k", 100_000), ("1m", 1_000_000)):
        market = bench_market(n)
        shock = np.where(bench_scenario(market, 1, timedelta(hours=1)).volatility > 0.1, -0.25, 0.0)
        rc.what_if(market, shock)
        health, fall = {"100k": (4, 1), "1m": (30, 4)}[name]
        table.add(
            f"health_ms_{name}",
            1e3 * median(lambda m=market: rc.health_factor(m)),
            "ms",
            "every health factor",
            health,
            True,
        )
        table.add(
            f"what_if_ms_{name}",
            1e3 * median(lambda m=market, s=shock: rc.what_if(m, s)),
            "ms",
            "what_if at -25 %",
            fall,
            True,
        )
        if name == "100k":
            table.add(
                "sweep_ms_100k",
                1e3 * median(lambda m=market, s=shock: rc.sweep(m, s * 4), 3),
                "ms",
                "91 steps with close-factor amounts",
                25,
                True,
            )
