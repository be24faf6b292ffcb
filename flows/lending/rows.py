"""Lending events as rows of the raw tables, and rows that tell which events a newer reading of a block has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from data.schemas.lending import RECEIVED
from flows.errors import MalformedAnswer
from flows.lending.events import LendingEvent

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.pipeline import Run

LOGS = "logs"
"""`source` of events that were decoded from a node's logs."""
EVER = 2**62
"""A block number beyond every chain."""


def row_of(event: LendingEvent, source: str) -> dict[str, Any]:
    """One row of the raw table of the event's kind."""
    return {
        "source": source, "chain_id": event.chain_id, "block_number": event.block_number,
        "log_index": event.log_index, "market": event.market, "protocol": event.protocol,
        "contract": event.contract or None, "event": event.event, "block_hash": event.block_hash or None,
        "block_timestamp": event.block_timestamp, "tx_hash": event.tx_hash, "owner": event.owner,
        "initiator": event.initiator, "counterparty": event.counterparty, "asset": event.asset,
        "amount_raw": str(event.amount), "debt_asset": event.debt_asset,
        "debt_amount_raw": None if event.debt_amount is None else str(event.debt_amount), "part": event.part,
        "usd_e8": None if event.usd_e8 is None else str(event.usd_e8), "payload_sha256": event.payload_sha256,
    }  # fmt: skip


def frames_of(events: Iterable[LendingEvent], source: str) -> dict[str, pd.DataFrame]:
    """Raw table to rows, for the kinds that occur."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        rows.setdefault(RECEIVED[event.event_type], []).append(row_of(event, source))
    return {table: pd.DataFrame(found) for table, found in rows.items()}


def with_withdrawn(
    store: Store, frames: dict[str, pd.DataFrame], blocks: Sequence[dict[str, Any]], source: str, market: str
) -> dict[str, pd.DataFrame]:
    """`frames` of a complete reading, with a row for each stored event of its blocks that it no longer has.

    A block of the same hash may be read differently a second time: a node numbered its logs in another way, or a log
    was misread. Rows of events are never changed, so such an event gets a further row without a hash; it then no longer
    counts. `blocks`: the rows of `raw_lending_blocks` of the same reading.
    """
    hashes = {(row["chain_id"], row["block_number"]): row["block_hash"] for row in blocks if row["block_hash"]}
    if not hashes:
        return frames
    first, last = (pick(number for _, number in hashes) for pick in (min, max))
    found = dict(frames)
    for table in RECEIVED.values():
        frame = frames.get(table)
        contradicted = (
            set()
            if frame is None
            else set(zip(frame["chain_id"], frame["block_number"], frame["log_index"], strict=True))
        )
        stored = store.read(
            f"SELECT e.* FROM {table} AS e WHERE source = ? AND market = ? AND block_number BETWEEN ? AND ? "
            "AND block_hash IS NOT NULL AND batch = (SELECT max(n.batch) FROM "
            f"{table} AS n WHERE n.source = e.source AND n.market = e.market AND n.chain_id = e.chain_id "
            "AND n.block_number = e.block_number AND n.log_index = e.log_index)",
            (source, market, first, last),
        )
        gone = [
            hashes.get((chain, number)) == block and (chain, number, index) not in contradicted
            for chain, number, index, block in zip(
                stored["chain_id"], stored["block_number"], stored["log_index"], stored["block_hash"], strict=True
            )
        ]
        if any(gone):
            arrival = [name for name in ("ingested_at", "run_id", "content_sha256", "batch") if name in stored]
            rows = stored[gone].drop(columns=arrival).astype(object).assign(block_hash=None)
            found[table] = rows if frame is None else pd.concat([frame.astype(object), rows], ignore_index=True)
    return found


def blocks_of(
    store: Store, events: Sequence[LendingEvent], source: str, market: str, chain_id: int, first: int, last: int
) -> list[dict[str, Any]]:
    """Rows of `raw_lending_blocks` for a complete reading of blocks `first` to `last`.

    One for each block with events, and one with `n_events` 0 for each that had some at its last reading and has none
    now: a reorganisation removed them.
    """
    about = {"source": source, "market": market, "chain_id": chain_id}
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        row = found.setdefault(
            event.block_number,
            about
            | {
                "block_number": event.block_number,
                "block_hash": event.block_hash or None,
                "block_timestamp": event.block_timestamp,
                "n_events": 0,
            },
        )
        row["n_events"] += 1
    stored = store.rows(
        "SELECT block_number, block_timestamp, n_events, max(batch) FROM raw_lending_blocks "
        "WHERE source = ? AND market = ? AND chain_id = ? AND block_number BETWEEN ? AND ? GROUP BY block_number",
        (source, market, chain_id, first, last),
    )
    for number, moment, n_events, _ in stored:
        if n_events and number not in found:
            found[number] = about | {
                "block_number": number,
                "block_hash": None,
                "block_timestamp": moment,
                "n_events": 0,
            }
    return [found[number] for number in sorted(found)]


def span_of(source: str, market: str, chain_id: int, first: tuple[int, int], last: tuple[int, int]) -> pd.DataFrame:
    """The row of `raw_lending_reads`: every event from block `first` to block `last` (number, time) is stored.

    Blocks of one second may follow each other, so the last second that is stored for certain is the one before.
    """
    row = {
        "source": source, "market": market, "chain_id": chain_id, "first_block": first[0], "first_time": first[1],
        "last_block": last[0], "last_time": max(last[1] - 1, first[1]),
    }  # fmt: skip
    return pd.DataFrame([row])


def with_reading(events: Sequence[LendingEvent]) -> list[LendingEvent]:
    """Events of a source without block hashes, with a digest of their block's events in place of the hash.

    It works like a hash: when the source changes what it has of a block, the older rows no longer count.
    """
    by_block: dict[tuple[int, int], list[str]] = {}
    for event in events:
        by_block.setdefault((event.chain_id, event.block_number), []).append(event.payload_sha256)
    digests = {at: "0x" + hashlib.sha256("".join(sorted(seen)).encode()).hexdigest() for at, seen in by_block.items()}
    return [
        event if event.block_hash else replace(event, block_hash=digests[event.chain_id, event.block_number])
        for event in events
    ]


def store_events(run: Run, events: Sequence[LendingEvent], source: str, market: str, first: int, last: int) -> int:
    """Store a complete reading of blocks `first` to `last` by another route than logs; returns the number of new rows.

    Raises `MalformedAnswer` for an event of another market or outside the blocks, `data.errors.BatchRefused`.
    """
    for event in events:
        if event.market != market or not first <= event.block_number <= last:
            raise MalformedAnswer(
                f"{source}: expected events of {market} in blocks {first} to {last}, found one of {event.market} in "
                f"block {event.block_number} (log {event.log_index})"
            )
    events = with_reading(events)
    frames = frames_of(events, source)
    chains = run.store.rows(
        "SELECT DISTINCT chain_id FROM raw_lending_blocks WHERE source = ? AND market = ?", (source, market)
    )
    blocks = [
        row
        for chain_id in sorted({event.chain_id for event in events} | {c for (c,) in chains})
        for row in blocks_of(
            run.store, [e for e in events if e.chain_id == chain_id], source, market, chain_id, first, last
        )
    ]
    if not blocks:
        return 0
    frames = with_withdrawn(run.store, frames, blocks, source, market)
    frames["raw_lending_blocks"] = pd.DataFrame(blocks)
    report = run.write(source, f"{market}:{first}-{last}", frames)
    return sum(n for table, n in report.changed.items() if table.endswith("_events"))
