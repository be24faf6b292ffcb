"""Reads of contracts in rounds: what several reads ask next goes to the node together, so that they wait for it once.

A read is a generator: it yields the calls whose answers it needs next, and is sent these answers.

    def symbol_of(reader, pool):
        calls = [Call(pool, TOKEN)]
        [raw] = yield calls
        token = reader.decoded(calls[0], raw)
        [raw] = yield [Call(token, SYMBOL)]
        return raw

    first, second = carried_out(reader, beside(symbol_of(reader, pool), symbol_of(reader, other)))     # two rounds
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from flows.clients.block_reader import BlockReader, Call, Failure

T = TypeVar("T")
Read = Generator[Sequence[Call], Sequence[bytes | Failure], T]
"""Yields calls, is sent the answer of each (bytes, or a `Failure` where a contract refused), returns what it read."""


def beside(*reads: Read[Any]) -> Read[list[Any]]:
    """One read that goes through all `reads` at the same time; returns what each returned, in their order.

    Where several fail on the answers of one round, the error of the first is raised.
    """
    found: list[Any] = [None] * len(reads)
    wanted: dict[int, Sequence[Call]] = {}

    def go_on(place: int, answers: Sequence[bytes | Failure] | None) -> None:
        try:
            wanted[place] = reads[place].send(answers)  # type: ignore[arg-type]  # None begins a generator
        except StopIteration as end:
            wanted.pop(place, None)
            found[place] = end.value

    for place in range(len(reads)):
        go_on(place, None)
    while wanted:
        answers = yield [call for calls in wanted.values() for call in calls]
        begin = 0
        for place, calls in list(wanted.items()):
            go_on(place, answers[begin : begin + len(calls)])
            begin += len(calls)
    return found


def carried_out(reader: BlockReader, read: Read[T]) -> T:
    """What `read` returns, its calls answered by `reader`, each round in as few requests as it can."""
    answers: Sequence[bytes | Failure] | None = None
    while True:
        try:
            calls = read.send(answers)  # type: ignore[arg-type]
        except StopIteration as end:
            return end.value
        answers = reader.read_raw(calls)
