"""Token transfers from event logs: ERC-20, ERC-721 and ERC-1155, single and batch.

`Transfer` has one topic for ERC-20 and ERC-721; the number of indexed arguments tells them apart:

| topics | data | read as |
|---|---|---|
| 3 | 1 word | ERC-20 |
| 4 | nothing | ERC-721 (and ERC-20 look-alikes that index the value: a log does not show which) |
| 1 or 2 | 3 or 2 words | tokens older than the standard, arguments in order |
| anything else | | rejected with the reason |

Source: ERC-20, ERC-721 and ERC-1155 for the events. ethereum-etl reads the older forms in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flows.clients.log_columns import Decoded, EventAbi, LogColumns, Rejected

# By the number of indexed arguments, from none to all three; the first three are read as ERC-20.
TRANSFERS = (
    EventAbi("Transfer(address from, address to, uint256 value)"),
    EventAbi("Transfer(address indexed from, address to, uint256 value)"),
    EventAbi("Transfer(address indexed from, address indexed to, uint256 value)"),
    EventAbi("Transfer(address indexed from, address indexed to, uint256 indexed value)"),
)
SINGLE = EventAbi(
    "TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value)"
)
BATCH = EventAbi(
    "TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values)"
)
TRANSFER_TOPIC = TRANSFERS[0].topic0
TOPICS = (TRANSFER_TOPIC, SINGLE.topic0, BATCH.topic0)


@dataclass(slots=True)
class Transfers:
    """Parallel columns; `position` is the place of each transfer's log, `item` its place within an ERC-1155 batch."""

    position: list[int] = field(default_factory=list)
    item: list[int] = field(default_factory=list)
    standard: list[str] = field(default_factory=list)
    token: list[str] = field(default_factory=list)
    operator: list[str | None] = field(default_factory=list)
    from_address: list[str] = field(default_factory=list)
    to_address: list[str] = field(default_factory=list)
    token_id: list[str | None] = field(default_factory=list)
    amount: list[str] = field(default_factory=list)
    indexed_arguments: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.position)

    def columns(self) -> dict[str, list[Any]]:
        """The columns that only `stg_token_transfers` has, by name."""
        names = ("item", "standard", "token", "operator", "from_address", "to_address", "token_id", "amount",
                 "indexed_arguments")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def _add(self, logs: LogColumns, decoded: Decoded, standard: str, indexed: int, **columns: Sequence[Any]) -> None:
        n = len(decoded)
        self.rejected += decoded.rejected
        self.position += decoded.positions
        self.item += columns.get("item", [0] * n)
        self.standard += [standard] * n
        self.token += [logs.address[i] for i in decoded.positions]
        self.operator += columns.get("operator", [None] * n)
        self.from_address += decoded.columns["from"]
        self.to_address += decoded.columns["to"]
        self.token_id += columns.get("token_id", [None] * n)
        self.amount += columns["amount"]
        self.indexed_arguments += [indexed] * n


def token_transfers(logs: LogColumns, by_topic: dict[str, list[int]] | None = None) -> Transfers:
    """Every token transfer among `logs`. `by_topic` saves sorting them again (`LogColumns.by_topic0`)."""
    groups = logs.by_topic0() if by_topic is None else by_topic
    found = Transfers()
    for indexed, positions in _by_form(logs, groups.get(TRANSFER_TOPIC, []), found.rejected).items():
        decoded = TRANSFERS[indexed].decode(logs, positions)
        value = decoded.columns["value"]
        if indexed == 3:
            found._add(logs, decoded, "ERC721", 3, token_id=value, amount=["1"] * len(value))
        else:
            found._add(logs, decoded, "ERC20", indexed, amount=value)
    if SINGLE.topic0 in groups:
        singles = SINGLE.decode(logs, groups[SINGLE.topic0])
        held = singles.columns
        found._add(logs, singles, "ERC1155", 3, operator=held["operator"], token_id=held["id"], amount=held["value"])
    if BATCH.topic0 in groups:
        many = _unrolled(BATCH.decode(logs, groups[BATCH.topic0]))
        held = many.columns
        found._add(logs, many, "ERC1155", 3, item=held["item"], operator=held["operator"], token_id=held["id"],
                   amount=held["value"])  # fmt: skip
    return found


def _by_form(logs: LogColumns, positions: list[int], rejected: list[Rejected]) -> dict[int, list[int]]:
    """Positions by the number of indexed arguments; what adds up to other than three arguments is rejected."""
    where = np.array(positions, dtype=np.int64)
    counts = np.array(list(map(len, map(logs.topics.__getitem__, positions))), dtype=np.int64)
    sizes = np.array(list(map(len, map(logs.data.__getitem__, positions))), dtype=np.int64)
    # One number for each pair; the shapes in the order in which they come.
    shape = sizes * (counts.max(initial=0) + 1) + counts
    _, begins = np.unique(shape, return_index=True)
    forms: dict[int, list[int]] = {}
    for begin in np.sort(begins).tolist():
        topics, size, at = int(counts[begin]), int(sizes[begin]), where[shape == shape[begin]].tolist()
        if 1 <= topics <= 4 and size == 2 + 64 * (4 - topics):
            forms[topics - 1] = at
        else:
            reason = f"Transfer with {topics} topics and {max(size - 2, 0) / 2:g} bytes of data: not three arguments"
            rejected += [Rejected(i, reason) for i in at]
    return forms


def _unrolled(batch: Decoded) -> Decoded:
    """One entry for each token of a batch. A batch whose lists differ in length is rejected."""
    names = ("operator", "from", "to")
    positions: list[int] = []
    columns: dict[str, list[Any]] = {name: [] for name in (*names, "id", "value", "item")}
    rejected = list(batch.rejected)
    for j, position in enumerate(batch.positions):
        ids, values = batch.columns["ids"][j], batch.columns["values"][j]
        if len(ids) != len(values):
            rejected.append(Rejected(position, f"TransferBatch with {len(ids)} ids and {len(values)} values"))
            continue
        positions += [position] * len(ids)
        columns["id"] += ids
        columns["value"] += values
        columns["item"] += range(len(ids))
        for name in names:
            columns[name] += [batch.columns[name][j]] * len(ids)
    return Decoded(positions, columns, rejected)
