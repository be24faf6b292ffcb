"""Event logs by the column: many logs of one event at once become columns of 32-byte words, then of values.

A client library decodes a log in 0.2 ms, because it builds an object for every word. Here the words of all logs are
joined, turned into bytes in one call and looked at through numpy; only the texts of the values are made one by one.

    decoded = TRANSFER.decode(LogColumns.of(logs))
    decoded.columns["value"]       # ["1500000000000000000", ...], exact decimal text
    decoded.rejected               # [(17, "2 topics, expected 3"), ...]

What is accepted and what is not follows the contract ABI specification ("Strict Encoding Mode" for padding): the same
logs that `eth_abi` decodes, with the same values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from eth_utils import keccak

from flows.clients.words import HEX_WORD, WORD, Kind, decimal_texts, hex_of, is_hex, values_of, words_of

__all__ = ["WORD", "Decoded", "EventAbi", "Input", "Kind", "LogColumns", "Rejected", "decimal_texts"]

PIECE = 5_000
"""Logs decoded at a time."""


@dataclass(frozen=True, slots=True)
class LogColumns:
    """Logs as parallel lists: hex text as a node sends it. `topics[i]` are the topics of log i, none to four."""

    address: list[str]
    topics: list[list[str]]
    data: list[str]

    @classmethod
    def of(cls, logs: Iterable[Mapping[str, Any]]) -> LogColumns:
        """Columns of logs in the shape of JSON-RPC. Raises `KeyError` where one has no address, topics or data."""
        rows = logs if isinstance(logs, list) else list(logs)
        return cls(*(list(map(itemgetter(name), rows)) for name in ("address", "topics", "data")))

    def __len__(self) -> int:
        return len(self.data)

    def by_topic0(self) -> dict[str, list[int]]:
        """Positions of the logs by their first topic, lower case; anonymous logs (no topic) are under ""."""
        found: dict[str, list[int]] = {}
        for position, topics in enumerate(self.topics):
            name = topics[0] if topics else ""
            at = found.get(name)
            if at is None:
                at = found[name] = []
            at.append(position)
        if any(name != name.lower() for name in found):
            merged: dict[str, list[int]] = {}
            for name, at in found.items():
                merged.setdefault(name.lower(), []).extend(at)
            return {name: sorted(at) for name, at in merged.items()}
        return found


class Rejected(NamedTuple):
    """A log that does not fit its event: its position and the reason."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """`columns[name][j]` is the value in log `positions[j]`.

    uintN and intN: `int` up to 63 bits, exact decimal text above. address: lower case with 0x. bool: `bool`.
    bytesN: hex with 0x. Arrays: a list of these.
    """

    positions: list[int]
    columns: dict[str, list[Any]]
    rejected: list[Rejected] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.positions)


class Input(NamedTuple):
    """One input of an event, as its declaration says."""

    name: str
    type: str
    indexed: bool
    kind: Kind
    array: bool


class EventAbi:
    """An event by its declaration, such as `Transfer(address indexed from, address indexed to, uint256 value)`.

    Words only: address, bool, uintN, intN, bytesN, and dynamic arrays of these that are not indexed. Raises
    `ValueError` for any other type.
    """

    def __init__(self, declaration: str) -> None:
        match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", declaration, re.DOTALL)
        if match is None:
            raise ValueError(f"expected a declaration like Name(type indexed name, ...), found {declaration!r}")
        self.name = match[1]
        parts = [part.split() for part in match[2].split(",")] if match[2].strip() else []
        self.inputs = [_input(words, number) for number, words in enumerate(parts)]
        self.signature = f"{self.name}({','.join(i.type for i in self.inputs)})"
        self.topic0 = "0x" + keccak(text=self.signature).hex()
        self.indexed = [i for i in self.inputs if i.indexed]
        self.plain = [i for i in self.inputs if not i.indexed]
        if any(i.array for i in self.indexed):
            raise ValueError(f"{self.name}: an indexed array is stored as a hash and has no values")

    def __repr__(self) -> str:
        return f"EventAbi({self.signature!r}, {len(self.indexed)} indexed)"

    def fits(self, topics: Sequence[str], data: str) -> bool:
        """Whether a log has this event's number of topics and at least its length of data."""
        return len(topics) == len(self.indexed) + 1 and len(data) >= 2 + HEX_WORD * len(self.plain)

    def decode(self, logs: LogColumns, positions: Sequence[int] | None = None, *, as_int: bool = False) -> Decoded:
        """Values of the logs at `positions` (None: all), whose first topic is taken to be this event's.

        `as_int`: integers of any size become `int`, none of them text; only for an event without arrays.
        Logs with another number of topics, too little data, text that is not hexadecimal, or a value that does not
        fit its type are rejected with the reason; further data behind the last value is allowed, as in `eth_abi`.
        """
        rows = list(range(len(logs))) if positions is None else list(positions)
        topics, data = logs.topics, logs.data
        if positions is not None:
            topics, data = list(map(topics.__getitem__, rows)), list(map(data.__getitem__, rows))
        # In pieces that stay in the processor's cache: 1.5 times as fast as all at once.
        pieces = [
            self._piece(topics[at : at + PIECE], data[at : at + PIECE], rows[at : at + PIECE], as_int)
            for at in range(0, len(rows), PIECE)
        ] or [self._piece([], [], [], as_int)]
        if len(pieces) == 1:
            return pieces[0]
        return Decoded(
            [position for piece in pieces for position in piece.positions],
            {i.name: [value for piece in pieces for value in piece.columns[i.name]] for i in self.inputs},
            [item for piece in pieces for item in piece.rejected],
        )

    def _piece(self, topics: list[list[str]], data: list[str], rows: list[int], as_int: bool) -> Decoded:
        rejected: list[Rejected] = []
        try:
            words = self._blocks(topics, data)
        except ValueError:  # one of them is wrong: check each
            keep = self._well_shaped(topics, data, rows, rejected)
            rows, topics, data = ([values[j] for j in keep] for values in (rows, topics, data))
            words = self._blocks(topics, data)
        if any(i.array for i in self.plain):
            return self._with_arrays(words, data, rows, rejected)
        return self._values(words, [*self.indexed, *self.plain], rows, rejected, as_int)

    def _blocks(self, topics: list[list[str]], data: list[str]) -> list[np.ndarray]:
        """A column of words for each indexed input, then for each word of the data's head. Raises `ValueError`."""
        count = len(self.indexed)
        if not set(map(len, topics)) <= {count + 1}:
            raise ValueError("another number of topics")
        words = [words_of(list(map(itemgetter(n), topics)), 1, exact=True)[:, 0] for n in range(1, count + 1)]
        if self.plain:
            block = words_of(data, len(self.plain))
            words += [block[:, n] for n in range(len(self.plain))]
        return words

    def _well_shaped(
        self, topics: list[list[str]], data: list[str], rows: list[int], rejected: list[Rejected]
    ) -> list[int]:
        """Which logs have the right number of topics and whole words, all hexadecimal."""
        count, least = len(self.indexed) + 1, 2 + HEX_WORD * len(self.plain)
        good = []
        for j, (named, text) in enumerate(zip(topics, data, strict=True)):
            if len(named) != count:
                reason = f"{len(named)} topics, expected {count} for {self.signature}"
            elif not all(is_hex(topic) and len(topic) == 2 + HEX_WORD for topic in named):
                reason = f"a topic is not 32 bytes in hexadecimal: {named!r:.300}"
            elif self.plain and not is_hex(text):
                reason = f"data is not hexadecimal: {text[:80]!r}"
            elif len(text) < least and self.plain:
                reason = f"{(len(text) - 2) // 2} bytes of data, expected {(least - 2) // 2} for {self.signature}"
            else:
                good.append(j)
                continue
            rejected.append(Rejected(rows[j], reason))
        return good

    def _values(
        self,
        words: list[np.ndarray],
        inputs: list[Input],
        rows: list[int],
        rejected: list[Rejected],
        as_int: bool = False,
    ) -> Decoded:
        columns, unfit = {}, np.zeros(len(rows), dtype=bool)
        for column, item in zip(words, inputs, strict=True):
            columns[item.name], bad = values_of(item.kind, column, as_int=as_int)
            if bad.any():
                rejected += [
                    Rejected(
                        rows[j], f"{item.name} of {self.signature} does not fit {item.type}: 0x{hex_of(column[j])}"
                    )
                    for j in np.flatnonzero(bad & ~unfit)
                ]
                unfit |= bad
        if unfit.any():
            keep = np.flatnonzero(~unfit).tolist()
            columns = {name: [values[j] for j in keep] for name, values in columns.items()}
            rows = [rows[j] for j in keep]
        order = [i.name for i in self.inputs if i.name in columns]
        return Decoded(rows, {name: columns[name] for name in order}, rejected)

    def _with_arrays(
        self, words: list[np.ndarray], data: list[str], rows: list[int], rejected: list[Rejected]
    ) -> Decoded:
        """Arrays have a length of their own in every log: one log at a time, the fixed words by the column."""
        head = WORD * len(self.plain)
        arrays = [(WORD * n, item) for n, item in enumerate(self.plain) if item.array]
        good, bodies = [], {}
        for j, text in enumerate(data):
            raw = bytes.fromhex(text[2:])
            try:
                bodies[rows[j]] = [_array(raw, at, head, item) for at, item in arrays]
            except ValueError as wrong:
                rejected.append(Rejected(rows[j], f"{wrong} in {self.signature}"))
            else:
                good.append(j)
        inputs = [*self.indexed, *self.plain]
        static = [n for n, item in enumerate(inputs) if not item.array]
        decoded = self._values(
            [words[n][good] for n in static], [inputs[n] for n in static], [rows[j] for j in good], rejected
        )
        for n, (_, item) in enumerate(arrays):
            decoded.columns[item.name] = [bodies[position][n] for position in decoded.positions]
        return Decoded(decoded.positions, {i.name: decoded.columns[i.name] for i in self.inputs}, rejected)


def _input(words: list[str], number: int) -> Input:
    indexed = "indexed" in words[1:]
    names = [word for word in words[1:] if word != "indexed"]
    text = {"uint": "uint256", "int": "int256"}.get(words[0], words[0])
    array = text.endswith("[]")
    item = text.removesuffix("[]")
    match = re.fullmatch(r"(uint|int|bytes)(\d+)", item)
    if item == "address":
        kind = Kind("address", 160)
    elif item == "bool":
        kind = Kind("bool", 1)
    elif match:
        kind = Kind(match[1], int(match[2]) * (8 if match[1] == "bytes" else 1))
    else:
        raise ValueError(f"type {text}: expected address, bool, uintN, intN, bytesN or an array of one of these")
    return Input(names[0] if names else f"arg{number}", text, indexed, kind, array)


def _array(data: bytes, at: int, head: int, item: Input) -> list[Any]:
    """A dynamic array whose offset stands at byte `at` of `data`. Raises `ValueError` with the reason."""
    if len(data) < head:
        raise ValueError(f"{len(data)} bytes of data, expected at least {head}")
    start = int.from_bytes(data[at : at + WORD], "big")
    if not head <= start < len(data):
        raise ValueError(f"offset {start} of {item.name} points outside the {len(data)} bytes of data")
    if start + WORD > len(data):
        raise ValueError(f"length of {item.name} is cut off at byte {len(data)}")
    length = int.from_bytes(data[start : start + WORD], "big")
    first, last = start + WORD, start + WORD + WORD * length
    if last > len(data):
        raise ValueError(f"{length} values of {item.name} need {last} bytes, found {len(data)}")
    words = np.frombuffer(data[first:last], dtype=np.uint8).reshape(length, WORD)
    values, bad = values_of(item.kind, words)
    if bad.any():
        raise ValueError(f"a value of {item.name} does not fit {item.type}: 0x{hex_of(words[int(np.argmax(bad))])}")
    return values
