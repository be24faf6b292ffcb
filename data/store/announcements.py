"""What a write announces: events that are written in the transaction that makes them true.

`data.events` has the list of them, and the side of those who read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.store.batches import Effect

NEW_RAW_DATASET = "new_raw_dataset"


@dataclass(frozen=True, slots=True)
class News:
    """An event that is yet to be written."""

    topic: str
    type: str
    payload: Mapping[str, Any]


def announce(connection: sqlite3.Connection, news: Iterable[News], at: int) -> None:
    """Write events in the caller's transaction, which holds the write lock, so nobody else takes their numbers."""
    rows = [(item.topic, item.type, json.dumps(item.payload, sort_keys=True), at) for item in news]
    if not rows:
        return
    last = newest(connection)
    connection.executemany(
        "INSERT INTO fact_pipeline_event (event_id, topic, type, payload, created_at) VALUES (?, ?, ?, ?, ?)",
        [(last + place, *row) for place, row in enumerate(rows, start=1)],
    )


def of_write(batch: int, source: str, key: str, effects: Sequence[Effect]) -> list[News]:
    """What a write of a source is worth saying: the raw tables in which it changed something, if any."""
    changed = {e.table: e.changed + e.removed for e in effects if e.table.startswith("raw_") and e.changed + e.removed}
    return [News(source, NEW_RAW_DATASET, {"batch": batch, "key": key, "tables": changed})] if changed else []


def newest(connection: sqlite3.Connection) -> int:
    """Number of the newest event, 0 before the first."""
    return connection.execute("SELECT coalesce(max(event_id), 0) FROM fact_pipeline_event").fetchone()[0]
