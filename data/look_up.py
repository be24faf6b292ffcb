"""Find accounts, tokens, markets and price series by a part of their names: `python -m data find 0xabc`.

The names stand in a table of their own with a full-text index (SQLite's FTS5, by sqlite-utils). Both are made anew by
the first look-up after a write that changed one of the tables they come from, so they are never older than the rest.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from dataclasses import dataclass

from data.errors import DataError
from data.store.shape import database
from data.store.store import Store

TABLE = "look_up"
KINDS = ("account", "token", "market", "series")
SOURCES = ("fact_snapshot", "raw_aave_account_states", "raw_aave_reserves", "dim_lending_asset", "dim_prices")
"""Tables that the names come from."""

_NEWEST = (
    "WITH newest AS (SELECT market, max(block) AS block, chain_id, max(block_time) AS at FROM fact_snapshot "
    "GROUP BY market)"
)
_NAMES = f"""
{_NEWEST}
SELECT 'account', a.account, '', a.market, n.at
FROM newest AS n CROSS JOIN raw_aave_account_states AS a
  ON a.market = n.market AND a.valid_from <= n.block AND (a.valid_to IS NULL OR a.valid_to > n.block)
UNION ALL
SELECT 'token', r.symbol, r.asset, r.market, n.at
FROM newest AS n CROSS JOIN raw_aave_reserves AS r ON r.market = n.market AND r.block = n.block
UNION ALL
SELECT 'token', l.symbol, l.asset, 'chain-' || l.chain_id, NULL FROM dim_lending_asset AS l
WHERE NOT EXISTS (
  SELECT 1 FROM newest AS n CROSS JOIN raw_aave_reserves AS r ON r.market = n.market AND r.block = n.block
  WHERE n.chain_id = l.chain_id AND r.asset = l.asset)
UNION ALL
SELECT 'market', market, '', market, at FROM newest
UNION ALL
SELECT 'series', symbol, '', source, max(ts) FROM dim_prices GROUP BY symbol, source
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A name: its kind, the token's address or "", the market, chain or source it is in, and its newest unix second."""

    kind: str
    name: str
    address: str
    place: str
    newest_at: int | None


def find(store: Store, text: str, *, kind: str | None = None, limit: int = 20) -> list[Found]:
    """Names in which each word of `text` is the beginning of a word, the best match first; at most `limit`.

    `0xabc` finds addresses that begin so, `weth` tokens and markets. `kind`: one of `KINDS`, None for all. Raises
    `DataError` for a text without a letter or digit, and for an unknown kind.
    """
    words = _words(text)
    if not words:
        raise DataError(f"find: expected a letter or digit to look for, found {text!r}")
    if kind is not None and kind not in KINDS:
        raise DataError(f"find: kind must be one of {', '.join(KINDS)}, found {kind!r}")
    with store.one_state() as connection:
        current = _is_current(connection)
    if not current:
        with store.transaction() as connection:
            _renew(connection)
    with store.one_state() as connection:
        rows = (
            database(connection)
            .table(TABLE)
            .search(
                " ".join(f'"{word}"*' for word in words),
                columns=["kind", "name", "address", "place", "newest_at"],
                where=None if kind is None else "kind = :kind",
                where_args=None if kind is None else {"kind": kind},
                limit=limit,
            )
        )
        return [Found(**row) for row in rows]


def _words(text: str) -> list[str]:
    """Runs of letters and digits, as the index has them: `PT-sUSDE` is two words."""
    return "".join(sign if sign.isalnum() else " " for sign in text).split()


def _digest() -> str:
    return hashlib.sha256(_NAMES.encode()).hexdigest()


def _is_current(connection: sqlite3.Connection) -> bool:
    state = connection.execute("SELECT sql_sha256, watermark FROM mart_state WHERE target = ?", (TABLE,)).fetchone()
    if state is None or state[0] != _digest():
        return False
    marks = ", ".join("?" * len(SOURCES))
    sql = f"SELECT 1 FROM fact_batch_rows WHERE table_name IN ({marks}) AND batch > ? LIMIT 1"
    return connection.execute(sql, (*SOURCES, state[1])).fetchone() is None


def _renew(connection: sqlite3.Connection) -> None:
    """Make the table and its index anew, in the transaction of the caller."""
    db = database(connection)
    table = db.table(TABLE)
    if table.exists():
        table.disable_fts()
        table.drop()
    columns = {"kind": "TEXT", "name": "TEXT", "address": "TEXT", "place": "TEXT", "newest_at": "INTEGER"}
    table.create(columns, strict=True)
    db.execute(f"INSERT INTO {TABLE} {_NAMES}")
    table.enable_fts(["name", "address", "place"])
    newest = connection.execute("SELECT coalesce(max(batch), 0) FROM fact_batch").fetchone()[0]
    connection.execute(
        "INSERT OR REPLACE INTO mart_state (target, sql_sha256, watermark, generation, removals, inputs, refreshed_at) "
        "VALUES (?, ?, ?, 0, 0, '', ?)",
        (TABLE, _digest(), newest, int(time.time())),
    )
