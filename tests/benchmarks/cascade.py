"""Cascades inside a step: pruned against brute force with the same bits, and what they cost over no cascade."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import process_time

import numpy as np

import risk_core as rc
from tests.benchmarks.book import BTC_LIKE, ETH_LIKE, OTHERS, bench_market, bench_scenario, statistics
from tests.benchmarks.table import Table
from tests.benchmarks.timing import seconds

ETH, BTC = 100, 101
"""Numbers of the two markets that several reserves share; every other reserve is sold in its own."""


def bench_impact(market: rc.Market) -> rc.Impact:
    """A fifth of all debt sold lowers ether or bitcoin by 1 - 1/e; a hundredth a small coin; twice it a stable one."""
    symbols = market.reserves.symbol
    debt = float((market.debt.amount * market.price[market.debt.reserve]).sum())
    share = [0.2 if s in ETH_LIKE | BTC_LIKE else 0.01 if s in OTHERS else 2.0 for s in symbols]
    where = [ETH if s in ETH_LIKE else BTC if s in BTC_LIKE else i for i, s in enumerate(symbols)]
    return rc.Impact.exponential(np.array(share) * debt, market=where)


def full(table: Table, market: rc.Market, impact: rc.Impact) -> None:
    """Everything at once over the plain run: Student-t, late oracles, depth, capital, borrowers' response.

    Brute force with the same settings gives the same bits.
    """
    scenario = bench_scenario(market, 24, timedelta(hours=1))
    debt = float((market.debt.amount * market.price[market.debt.reserve]).sum())
    more = {
        "impact": impact,
        "liquidators": rc.Liquidators(cost=0.0005, feedback=0.0, capital_usd=0.02 * debt),
        "feeds": rc.Feeds.alike(market.n_reserves, deviation=0.005, heartbeat=86_400.0, lag=3_600.0),
        "borrowers": rc.Borrowers(),
    }
    late = replace(scenario, law=rc.StudentT(nu=5.0))
    few, many = 4, 1_000
    brute = rc.simulate(market, late, few, threads=1, brute_force=True, **more)
    found = rc.simulate(market, late, many, threads=1, **more)
    np.testing.assert_array_equal(brute.path, found.path[:few])
    np.testing.assert_array_equal(brute.waiting, found.waiting[:few])
    taken = seconds(
        {
            "full": lambda: rc.simulate(market, late, many, threads=1, **more),
            "plain": lambda: rc.simulate(market, scenario, many, threads=1),
        },
        clock=process_time,
    )
    table.note(
        f"full: {taken['full'] / many * 1e6:,.0f} us a path, plain {taken['plain'] / many * 1e6:,.0f}; mean repaid "
        f"{found.repaid_usd.mean() / 1e6:,.1f} m USD, the most that waits {found.waiting_usd.mean() / 1e6:,.1f} m USD"
    )
    what = "Student-t, late oracles, depth, queue, capital and response over the plain run; bits of brute force"
    table.add("full_scenario_cost", taken["full"] / taken["plain"], "x", what, 20, True)


def run(table: Table) -> None:
    """Every cascade row."""
    market = bench_market()
    impact = bench_impact(market)
    table.title(f"cascades: {statistics(market)}; one thread")
    floors = {"24h": (50, 10), "30d": (None, None), "288": (None, None)}
    for name, n_steps, step in (
        ("24h", 24, timedelta(hours=1)),
        ("30d", 30, timedelta(days=1)),
        ("288", 288, timedelta(minutes=5)),
    ):
        scenario = bench_scenario(market, n_steps, step)
        few, many = (8, 1_000) if name == "24h" else (2, 300)
        brute = rc.simulate(market, scenario, few, threads=1, impact=impact, brute_force=True)
        pruned = rc.simulate(market, scenario, many, threads=1, impact=impact)
        np.testing.assert_array_equal(brute.path, pruned.path[:few])
        plain = rc.simulate(market, scenario, many, threads=1)
        taken = seconds(
            {
                "cascade": lambda s=scenario, n=many: rc.simulate(market, s, n, threads=1, impact=impact),
                "plain": lambda s=scenario, n=many: rc.simulate(market, s, n, threads=1),
                "brute": lambda s=scenario, n=few: rc.simulate(
                    market, s, n, threads=1, impact=impact, brute_force=True
                ),
            },
            clock=process_time,
        )
        table.note(
            f"{name}: cascade {taken['cascade'] / many * 1e6:,.0f} us a path, none {taken['plain'] / many * 1e6:,.0f}, "
            f"brute force {taken['brute'] / few * 1e6:,.0f}; mean repaid {pruned.repaid_usd.mean() / 1e6:,.1f} m USD, "
            f"{plain.repaid_usd.mean() / 1e6:,.1f} without impact"
        )
        against, cost = floors[name]
        ratio = taken["brute"] / few / (taken["cascade"] / many)
        table.add(f"cascade_vs_brute_{name}", ratio, "x", "against brute-force cascades, same bits", against)
        key = "cascade_cost" if name == "24h" else f"cascade_cost_{name}"
        table.add(key, taken["cascade"] / taken["plain"], "x", "cascades over no cascades", cost, True)
    full(table, market, impact)
