"""Writes are numbered: the number is in every row (`batch`) and in `fact_batch`, with the source of the write."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effect:
    """What a write did to one table: rows given, new or different, removed; the newest time in the rows."""

    table: str
    rows: int
    changed: int
    removed: int
    newest_at: int | None


def next_batch(connection: sqlite3.Connection) -> int:
    """The number of the current write; the caller holds the transaction, so no other writer gets the same number."""
    return connection.execute("SELECT coalesce(max(batch), 0) + 1 FROM fact_batch").fetchone()[0]


def note_batch(
    connection: sqlite3.Connection,
    number: int,
    source: str,
    key: str,
    *,
    run_id: str,
    payload_sha256: str,
    at: int,
    effects: Sequence[Effect] = (),
) -> None:
    """Enter a write that changed something into `fact_batch`, and its effect on each table into `fact_batch_rows`."""
    connection.execute(
        "INSERT INTO fact_batch (batch, source, key, run_id, payload_sha256, written_at) VALUES (?, ?, ?, ?, ?, ?)",
        (number, source, key, run_id, payload_sha256, at),
    )
    connection.executemany(
        "INSERT INTO fact_batch_rows (batch, table_name, n_rows, n_changed, n_removed, newest_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(number, e.table, e.rows, e.changed, e.removed, e.newest_at) for e in effects if e.changed or e.removed],
    )
