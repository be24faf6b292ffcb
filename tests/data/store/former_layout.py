"""A file of today's layout as layout 5 had it: every account and every position at every block."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd

from data import amounts, snapshot
from data.store.holding import HOLDS
from data.store.store import Store
from tests.data.conftest import as_asked, as_live
from tests.data.snapshot.test_untouched import moved

_DDL = """
DROP TABLE stg_positions;
DROP VIEW raw_aave_user_accounts;
CREATE TABLE raw_aave_user_accounts (
  market TEXT NOT NULL, block INTEGER NOT NULL, account TEXT NOT NULL, emode_id INTEGER NOT NULL,
  config_bitmap TEXT NOT NULL, total_collateral_base TEXT, total_debt_base TEXT, health_factor_raw TEXT,
  batch INTEGER NOT NULL, PRIMARY KEY (market, block, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE stg_positions (
  market TEXT NOT NULL, block INTEGER NOT NULL, account TEXT NOT NULL, asset TEXT NOT NULL,
  reserve_id INTEGER NOT NULL, scaled_supply TEXT NOT NULL, supply_raw TEXT NOT NULL, scaled_debt TEXT NOT NULL,
  debt_raw TEXT NOT NULL, is_collateral INTEGER NOT NULL, supply REAL NOT NULL, debt REAL NOT NULL,
  batch INTEGER NOT NULL, PRIMARY KEY (market, block, account, asset)
) STRICT, WITHOUT ROWID;
"""
_RESERVE = (
    "reserve_id", "decimals", "liquidity_index", "liquidity_rate", "variable_borrow_index", "variable_borrow_rate",
    "last_update_timestamp",
)  # fmt: skip


def three_blocks(path: Path, frames: dict[str, pd.DataFrame]) -> None:
    """A market at blocks 10, 20 and 30, of which 20 has fewer accounts and other debts, and one of Aave v2."""
    first = as_live(frames, block=10, block_time=1_760_000_010)
    with Store.open(path) as store:
        snapshot.save_snapshot(store, "s", first | {"raw_aave_account_data": as_asked(first, 2 * 10**18)}, "a")
        snapshot.save_snapshot(store, "s", moved(frames, 20), "b")
        snapshot.save_snapshot(store, "s", as_live(frames, block=30, block_time=1_760_000_030), "c")
        other = as_live(frames, block=7, market="AaveV2Polygon", protocol="aave_v2")
        balances = other["raw_aave_balances"]
        stable = [str(7 + row) if row % 3 == 0 else None for row in range(len(balances))]
        other["raw_aave_balances"] = balances.assign(stable_debt=stable)
        snapshot.save_snapshot(store, "s", other, "d")


def as_layout_5(path: Path) -> None:
    """Turn the file into one of layout 5; nothing else has it open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        heads = connection.execute("SELECT market, block, block_time, protocol, batch FROM fact_snapshot").fetchall()
        accounts = connection.execute("SELECT * FROM raw_aave_user_accounts").fetchall()
        batch_of = {(market, block): batch for market, block, _, _, batch in heads}
        rows = [row for head in heads for row in _positions(connection, *head)]
        connection.execute("BEGIN")
        for statement in _DDL.split(";"):
            connection.execute(statement)
        connection.executemany(
            "INSERT INTO raw_aave_user_accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*row[:8], batch_of[row[0], row[1]]) for row in accounts],
        )
        connection.executemany(f"INSERT INTO stg_positions VALUES ({', '.join('?' * 13)})", rows)
        for table in ("raw_aave_account_states", "raw_aave_balances", "raw_aave_account_data"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM schema_version")
        connection.execute("PRAGMA user_version = 5")
        connection.execute("COMMIT")


def _positions(connection: sqlite3.Connection, market: str, block: int, time: int, protocol: str, batch: int) -> list:
    found = connection.execute(
        f"SELECT {', '.join(_RESERVE)} FROM raw_aave_reserves WHERE market = ? AND block = ?", (market, block)
    ).fetchall()
    reserve = {name: [row[place] for row in found] for place, name in enumerate(_RESERVE)}
    terms = amounts.terms(reserve, time, protocol)
    flags = dict(
        connection.execute(
            f"SELECT account, config_bitmap FROM raw_aave_account_states WHERE {HOLDS}", (market, block)
        ).fetchall()
    )
    rows = []
    for account, asset, number, supply, debt, stable in connection.execute(
        "SELECT account, asset, reserve_id, scaled_supply, scaled_debt, stable_debt FROM raw_aave_balances "
        f"WHERE {HOLDS}",
        (market, block),
    ):
        at = terms[number]
        held, owed = at.supplied(int(supply)), at.owed(int(debt)) + int(stable or 0)
        enabled = int(flags[account]) >> 2 * number + 1 & 1
        rows.append((
            market, block, account, asset, number, supply, str(held), debt, str(owed), enabled, held / at.unit,
            owed / at.unit, batch,
        ))  # fmt: skip
    return rows
