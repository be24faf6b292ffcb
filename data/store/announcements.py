"""Events about a write, stored in the transaction of that write.

`data.events` lists the events and has the functions for readers.
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
    """An event to be written."""

    topic: str
    type: str
    payload: Mapping[str, Any]


def announce(connection: sqlite3.Connection, news: Iterable[News], at: int) -> None:
    """Write events in the caller's transaction, which holds the write lock, so no other writer takes their numbers."""
    rows = [(item.topic, item.type, json.dumps(item.payload, sort_keys=True), at) for item in news]
    if not rows:
        return
    last = newest(connection)
    connection.executemany(
        "INSERT INTO fact_pipeline_event (event_id, topic, type, payload, created_at) VALUES (?, ?, ?, ?, ?)",
        [(last + place, *row) for place, row in enumerate(rows, start=1)],
    )


def of_write(batch: int, source: str, key: str, effects: Sequence[Effect]) -> list[News]:
    """The event of a write of a source: names the raw tables that changed; empty where none did."""
    changed = {e.table: e.changed + e.removed for e in effects if e.table.startswith("raw_") and e.changed + e.removed}
    return [News(source, NEW_RAW_DATASET, {"batch": batch, "key": key, "tables": changed})] if changed else []


def newest(connection: sqlite3.Connection) -> int:
    """Number of the newest event; 0 where there is none."""
    return connection.execute("SELECT coalesce(max(event_id), 0) FROM fact_pipeline_event").fetchone()[0]
