"""Reads that go through their rounds side by side, and the number of requests that are under way at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flows.clients import abis, bounded
from flows.clients.block_reader import Call
from flows.clients.json_rpc import JsonRpc
from flows.clients.rounds import Read, beside, carried_out

A, B = "0x" + "a" * 40, "0x" + "b" * 40


class Told:
    """In place of a reader: answers each call by the number of calls before it, and keeps the rounds."""

    def __init__(self) -> None:
        self.rounds: list[list[Call]] = []

    def read_raw(self, calls: Any) -> list[bytes]:
        before = sum(map(len, self.rounds))
        self.rounds.append(list(calls))
        return [str(before + i).encode() for i in range(len(calls))]


def counting(to: str, *sizes: int) -> Read[list[bytes]]:
    found: list[bytes] = []
    for size in sizes:
        found += yield [Call(to, abis.SYMBOL) for _ in range(size)]
    return found


def test_rounds_of_several_reads_are_one_round_and_each_gets_its_own_answers():
    reader: Any = Told()
    one, two, none = carried_out(reader, beside(counting(A, 2, 1), counting(B, 1, 0, 3), counting(A)))

    assert [[call.to for call in calls] for calls in reader.rounds] == [[A, A, B], [A], [B, B, B]]
    assert (one, two, none) == ([b"0", b"1", b"3"], [b"2", b"4", b"5", b"6"], [])


def test_reads_can_be_nested():
    reader: Any = Told()

    def outer() -> Read[list[Any]]:
        [first] = yield [Call(A, abis.SYMBOL)]
        found = yield from beside(counting(A, 1, 1), counting(B, 1))
        return [first, found]

    assert carried_out(reader, beside(outer(), counting(B, 1))) == [[b"0", [[b"2", b"4"], [b"3"]]], [b"1"]]
    assert len(reader.rounds) == 3


def test_of_several_errors_the_first_read_decides():
    reader: Any = Told()

    def failing(words: str) -> Read[None]:
        yield [Call(A, abis.SYMBOL)]
        raise ValueError(words)

    with pytest.raises(ValueError, match="the first"):
        carried_out(reader, beside(counting(A, 1), failing("the first"), failing("the second")))


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_requests_are_under_way_than_allowed_whoever_asks(monkeypatch: pytest.MonkeyPatch, at_once: int):
    lock = threading.Lock()
    under_way: list[int] = [0]

    def exchange(*args: Any, **options: Any) -> bounded.Received:
        with lock:
            under_way.append(under_way[-1] + 1)
        time.sleep(0.02)
        with lock:
            under_way.append(under_way[-1] - 1)
        return bounded.Received(200, {}, b'{"jsonrpc":"2.0","id":0,"result":"0x1"}')

    monkeypatch.setattr(bounded, "exchange", exchange)
    rpc = JsonRpc("http://127.0.0.1:1")
    rpc.limit(at_once)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: rpc.call("eth_chainId"), range(12))) == ["0x1"] * 12
    assert max(under_way) == at_once
