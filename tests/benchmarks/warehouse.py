"""The warehouse: how long a snapshot takes to come back as a market."""

from __future__ import annotations

import tempfile
from pathlib import Path

import data
from data.sample import fill
from tests.benchmarks.table import Table
from tests.benchmarks.timing import median

ACCOUNTS = 100_000


def run(table: Table) -> None:
    """Every warehouse row."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "risk.sqlite"
        fill(ACCOUNTS, db=db)
        market = data.load_market(db=db)
        positions = len(market.collateral.reserve) + len(market.debt.reserve)
        table.title(f"warehouse: {ACCOUNTS:,} accounts, {positions:,} positions, {db.stat().st_size / 1e6:,.0f} MB")
        assert market.n_accounts == ACCOUNTS
        taken = median(lambda: data.load_market(db=db), 5)
        table.add("load_market_s", taken, "s", "load_market, all checks, file in the system's cache", 2, True)
