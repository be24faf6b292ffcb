"""Writes are numbered: the number stands in every row (`batch`) and in `fact_batch`, with where it came from."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def next_batch(connection: sqlite3.Connection) -> int:
    """The number of the write that is under way; the caller holds the transaction, so nobody else gets the same."""
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
    removed_from: Sequence[str] = (),
) -> None:
    """Enter a write that changed something into `fact_batch`; `removed_from` names the tables that lost rows."""
    connection.execute(
        "INSERT INTO fact_batch (batch, source, key, run_id, payload_sha256, written_at, removed_from) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number, source, key, run_id, payload_sha256, at, ",".join(removed_from)),
    )
