"""Where the engine's time goes over 30 daily steps: the bound on what pruning can give.

Each part is the same run on a book of those accounts only. A quiet market (volatilities a thousandth of the bench's)
touches no account and leaves what every path costs: prices, pair minima, group bounds.

Over 30 days one account in thirty is liquidated, and nine of ten that the engine looks at are: pruning has nothing left
to give there. What remains is the calls themselves, which brute force makes as well, in the same code.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import process_time

import numpy as np

import risk_core as rc
from risk_core.kernels.settle import ACCOUNTS, CALLS
from tests.benchmarks.book import bench_market, bench_scenario
from tests.benchmarks.table import Table
from tests.benchmarks.timing import seconds

N_PATHS, FEW_PATHS = 1_000, 32


def run(table: Table) -> None:
    """Microseconds a path by the shape of the account, one thread, and nanoseconds a liquidation call."""
    market = bench_market()
    scenario = bench_scenario(market, 30, timedelta(days=1))
    quiet = replace(scenario, volatility=scenario.volatility * 1e-3)
    collaterals, debts = np.diff(market.collateral.indptr), np.diff(market.debt.indptr)
    one = (collaterals == 1) & (debts == 1)
    few = (collaterals <= 3) & (debts <= 2) & ~one
    books = {"one_pair": accounts(market, one), "few_legs": accounts(market, few)}
    books["many_legs"] = accounts(market, ~one & ~few)
    table.title("profile: 30 daily steps, microseconds a path, one thread")
    runs = {name: lambda b=book: rc.simulate(b, scenario, N_PATHS, threads=1) for name, book in books.items()}
    runs |= {"whole": lambda: rc.simulate(market, scenario, N_PATHS, threads=1)}
    runs |= {"fixed": lambda: rc.simulate(market, quiet, N_PATHS, threads=1)}
    runs |= {"brute": lambda: rc.simulate(market, scenario, FEW_PATHS, threads=1, brute_force="simd")}
    spent = seconds(runs, clock=process_time)
    taken = {name: 1e6 * value / (FEW_PATHS if name == "brute" else N_PATHS) for name, value in spent.items()}
    counts = runs["whole"]().path.mean(axis=0)
    table.note(f"{counts[CALLS]:,.0f} calls on {counts[ACCOUNTS]:,.0f} accounts a path")
    for name, what in (
        ("whole", "the whole book"),
        ("fixed", "prices, pair minima and bounds: a market that touches nobody"),
        ("one_pair", "one collateral, one debt"),
        ("few_legs", "up to three collaterals and two debts"),
        ("many_legs", "larger accounts"),
    ):
        table.add(f"profile_{name}_us", taken[name], "us", what)
    each = 1e3 * (taken["whole"] - taken["fixed"]) / counts[CALLS]
    table.add("profile_call_ns", each, "ns", "a liquidation call, found and settled")
    ratio = taken["brute"] / (taken["whole"] - taken["fixed"])
    table.add("profile_bound_30d", ratio, "x", "over SIMD brute force if all but these calls were free")


def accounts(market: rc.Market, kept: np.ndarray) -> rc.Market:
    """The market with some of its accounts only."""
    rows = np.flatnonzero(kept)
    place = np.full(market.n_accounts, -1)
    place[rows] = np.arange(len(rows))

    def cut(side: rc.Positions) -> rc.Positions:
        owner = place[np.repeat(np.arange(market.n_accounts), np.diff(side.indptr))]
        mine = owner >= 0
        return rc.Positions.from_entries(owner[mine], side.reserve[mine], side.amount[mine], len(rows))

    return replace(
        market,
        accounts=market.accounts[rows],
        emode=market.emode[rows],
        collateral=cut(market.collateral),
        debt=cut(market.debt),
    )
