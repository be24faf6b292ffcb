"""Consecutive blocks as columns of the warehouse's tables: rows as received, and rows decoded from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flows.chain.columns import Columns, block_columns, log_columns, receipt_columns, transaction_columns
from flows.chain.node import Link, WholeBlock
from flows.chain.primitives import primitives
from flows.chain.transfers import token_transfers
from flows.clients.log_columns import Rejected
from flows.errors import MalformedAnswer

SOURCE = "json-rpc"
PLACE = ("chain_id", "block_number", "block_hash", "log_index", "transaction_hash")
"""Columns that a decoded row takes over from its log."""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A log that looks like an event of `table` but cannot be decoded: its row as JSON, and the reason."""

    table: str
    row: str
    reason: str


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Blocks in order. `tables` maps table to columns; `opening` is the first block, `closing` the last.

    `loose`: logs that belong to no transaction; `unlisted`: blocks for which the node could not list such logs;
    `renumbered`: blocks whose logs the node does not number from 0 upwards.
    """

    opening: WholeBlock
    closing: Link
    hashes: frozenset[str]
    tables: dict[str, Columns]
    undecoded: list[Undecoded]
    loose: int = 0
    unlisted: int = 0
    renumbered: int = 0

    @property
    def first(self) -> int:
        """Number of the first block."""
        return self.opening.link.number

    @property
    def last(self) -> int:
        """Number of the last block."""
        return self.closing.number

    @property
    def n_rows(self) -> int:
        """Rows of all tables together."""
        return sum(len(columns["chain_id"]) for columns in self.tables.values())


def block_range(chain_id: int, whole: Sequence[WholeBlock]) -> BlockRange:
    """Columns of consecutive whole blocks. Raises `MalformedAnswer` for fields that cannot be read."""
    receipts = [receipt for part in whole for receipt in part.receipts]
    blocks = block_columns([part.block for part in whole])
    logs, words = log_columns([log for part in whole for log in part.logs])
    places = [place for part in whole for place in range(len(part.logs))]
    renumbered = {
        n
        for n, counted, logged in zip(logs["block_number"], places, logs["log_index"], strict=True)
        if counted != logged
    }
    # A node's own numbering cannot be a key: nodes may start at different numbers, or leave logs out.
    logs["log_index"] = places
    raw = {
        "raw_chain_blocks": blocks,
        "raw_chain_transactions": transaction_columns([part.block for part in whole]),
        "raw_chain_receipts": receipt_columns(receipts),
        "raw_chain_logs": logs,
    }
    for columns in raw.values():
        _fill(columns, chain_id=chain_id, source=SOURCE)
    # All raw tables name the block; a transaction stored under another block would be lost in queries.
    _agree(raw)
    time_of = dict(zip(blocks["block_hash"], blocks["timestamp"], strict=True))
    timestamps = [time_of[block] for block in logs["block_hash"]]
    by_topic = words.by_topic0()
    transfers = token_transfers(words, by_topic)
    acts, swaps = primitives(words, by_topic)
    staged = {
        "stg_chain_blocks": {
            name: blocks[name]
            for name in ("chain_id", "block_number", "block_hash", "parent_hash", "timestamp", "transaction_count",
                         "gas_used", "base_fee_per_gas")
        } | {"log_count": [len(part.logs) for part in whole]},
        "stg_token_transfers": _placed(logs, timestamps, transfers.position) | transfers.columns(),
        "stg_dex_swaps": _placed(logs, timestamps, swaps.position) | swaps.columns,
        "stg_primitives": _placed(logs, timestamps, acts.position) | acts.columns,
    }  # fmt: skip
    for columns in staged.values():
        _fill(columns, orphaned=0)
    undecoded = [
        *_undecoded("stg_token_transfers", logs, transfers.rejected),
        *_undecoded("stg_primitives", logs, acts.rejected),
    ]
    return BlockRange(
        whole[0],
        whole[-1].link,
        frozenset(blocks["block_hash"]),
        raw | staged,
        undecoded,
        loose=sum(part.n_loose for part in whole),
        unlisted=sum(part.listed is None for part in whole),
        renumbered=len(renumbered),
    )


def _fill(columns: Columns, **values: Any) -> None:
    n = len(next(iter(columns.values())))
    for name, value in values.items():
        columns[name] = [value] * n


def _agree(raw: dict[str, Columns]) -> None:
    known = set(zip(raw["raw_chain_blocks"]["block_number"], raw["raw_chain_blocks"]["block_hash"], strict=True))
    for table, columns in raw.items():
        strangers = set(zip(columns["block_number"], columns["block_hash"], strict=True)) - known
        if strangers:
            number, block = min(strangers)
            raise MalformedAnswer(f"{table}: a row names block {number} ({block}), which is not the block it came with")


def _placed(logs: Columns, timestamps: list[int], positions: list[int]) -> Columns:
    placed = {name: list(map(logs[name].__getitem__, positions)) for name in PLACE}
    return placed | {"timestamp": list(map(timestamps.__getitem__, positions))}


def _undecoded(table: str, logs: Columns, rejected: Sequence[Rejected]) -> list[Undecoded]:
    return [
        Undecoded(table, json.dumps({name: column[position] for name, column in logs.items()}, sort_keys=True), reason)
        for position, reason in rejected
    ]
