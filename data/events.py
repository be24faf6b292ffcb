"""Stored events: what happened to the data (`fact_pipeline_event`), and how far each consumer has read.

An event is written in the same transaction as the change it is about: none is lost, and none is about a change that was
rolled back. Event numbers rise without gaps, in the order in which transactions were committed.

    for event in read_events(store, "my-service", "chain-1", limit=100):
        act(event)                                      # may happen twice after a crash: act on event.id once
        commit_offset(store, "my-service", "chain-1", event.id)

| type | topic | payload |
|---|---|---|
| new_block | chain-ID | chain_id, number, hash, parent_hash, timestamp; orphaned: hashes that it replaces |
| new_raw_dataset | source | batch, key, tables: rows that are new or different, by table |
| updated_aggregated_dataset | table | batch: the newest that went in; rebuilt, changed, removed: rows |
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from data.errors import WarehouseError
from data.store.announcements import NEW_RAW_DATASET, News, announce, newest
from data.store.store import Store

__all__ = [
    "EVERYTHING",
    "NEW_BLOCK",
    "NEW_RAW_DATASET",
    "UPDATED_AGGREGATED_DATASET",
    "News",
    "PipelineEvent",
    "announce",
    "commit_offset",
    "newest",
    "offset",
    "read_events",
]

NEW_BLOCK = "new_block"
UPDATED_AGGREGATED_DATASET = "updated_aggregated_dataset"
EVERYTHING = "*"
"""Topic of a consumer that reads all events."""


@dataclass(frozen=True, slots=True)
class PipelineEvent:
    """A row of `fact_pipeline_event`; `created_at` in unix seconds UTC."""

    id: int
    topic: str
    type: str
    payload: dict[str, Any]
    created_at: int


def offset(store: Store, consumer: str, topic: str = EVERYTHING) -> int | None:
    """The last event that the consumer has committed, None where it has committed none."""
    found = store.rows("SELECT last_id FROM pipeline_offset WHERE consumer = ? AND topic = ?", (consumer, topic))
    return found[0][0] if found else None


def read_events(store: Store, consumer: str, topic: str = EVERYTHING, limit: int = 100) -> list[PipelineEvent]:
    """The next events after the consumer's offset, oldest first, at most `limit`; all topics for `*`.

    Reading does not move the offset: until `commit_offset` the same events are returned again.
    """
    rows = store.rows(
        "SELECT event_id, topic, type, payload, created_at FROM fact_pipeline_event "
        "WHERE event_id > :after AND topic = :topic ORDER BY event_id LIMIT :limit"
        if topic != EVERYTHING
        else "SELECT event_id, topic, type, payload, created_at FROM fact_pipeline_event "
        "WHERE event_id > :after ORDER BY event_id LIMIT :limit",
        {"after": offset(store, consumer, topic) or 0, "topic": topic, "limit": limit},
    )
    return [PipelineEvent(number, about, kind, json.loads(payload), at) for number, about, kind, payload, at in rows]


def commit_offset(store: Store, consumer: str, topic: str, last_id: int) -> None:
    """Note that the consumer has dealt with everything up to event `last_id`; a lower id changes nothing.

    Raises `WarehouseError` for an event that does not exist yet: what came under that number later would be skipped.
    """
    with store.transaction() as connection:
        there = newest(connection)
        if not 0 <= last_id <= there:
            raise WarehouseError(
                f"{store.path}: consumer {consumer} commits event {last_id}, but the newest is {there}; commit the id "
                "of an event that was read"
            )
        connection.execute(
            "INSERT INTO pipeline_offset (consumer, topic, last_id, updated_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (consumer, topic) DO UPDATE SET last_id = excluded.last_id, updated_at = excluded.updated_at "
            "WHERE excluded.last_id > last_id",
            (consumer, topic, last_id, int(time.time())),
        )
