"""Logs of many blocks, read in ranges that the node accepts; used wherever logs are read.

| the node says (`flows.clients.answers`) | what is done |
|---|---|
| limit, or it fails (5xx, no answer in time, cut) | narrow the range at once |
| passing | wait once and ask for the same range, then narrow it: the code may have meant a limit |
| any other refusal | narrow the range down to one block: a limit may be in words that are not known yet | | a method
that it does not offer | give up with the node's own message |
| a single block is refused | give up with its own message; for a passing refusal after `TRIES` |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flows.clients.answers import says_passing
from flows.clients.json_rpc import JsonRpc, RpcError
from flows.errors import SourceUnavailable

LONGEST_RANGE = 1_000_000
AGAIN_AFTER = 256
"""Answers after which a range that was refused is asked for again."""
PLENTY = 20_000
"""Logs in one answer above which the next range is made no longer."""
TRIES = 5
"""How often a single block is asked for while the node says that it is busy."""
FIRST_PAUSE = 0.5
"""Seconds before a range is asked for again; doubles each time."""

Logs = list[dict[str, Any]]


class RangeSize:
    """How many blocks to ask for at once: doubles until the node refuses, then approaches the largest that it accepts.

    Logs are denser in some years than in others, so what was refused is tried again after a while.
    """

    def __init__(self, first: int, longest: int = LONGEST_RANGE) -> None:
        self.now = min(first, longest)
        self.best = 0
        """Largest range that was answered since the last refusal below it."""
        self._longest = longest
        self._refused = longest + 1
        self._answers = 0

    def answered(self, blocks: int, logs: int = 0) -> None:
        """A range of `blocks` came with `logs`: a longer one may be tried next."""
        self.best = max(self.best, blocks)
        self._answers += 1
        if self._answers > AGAIN_AFTER:
            self._refused, self._answers = self._longest + 1, 0
        if logs >= PLENTY:
            return
        if self._refused > self._longest:
            self.now = min(self._longest, max(self.now, 2 * self.best))
        elif self._refused - self.best > 1 + self.best // 8:
            self.now = (self.best + self._refused) // 2
        else:
            self.now = self.best

    def refused(self, blocks: int) -> None:
        """A range of `blocks` was refused as too long: a shorter one is tried next."""
        self._refused, self._answers = min(self._refused, blocks), 0
        if self.best >= blocks:
            self.best = 0
        self.now = max(1, self.best or blocks // 2)


def log_ranges(
    rpc: JsonRpc, get: Callable[[int, int], Logs], first: int, last: int, size: RangeSize, *, concurrency: int = 1
) -> Iterator[tuple[int, int, Logs]]:
    """(first block, last block, logs) of ranges that together cover `first` to `last`, in order.

    `get(first, last)` asks the node once, and raises `RpcError` where it refuses. `concurrency` ranges are asked for at
    once. Raises `RpcError` that names the block when a single one is refused, `SourceUnavailable` when the node stays
    busy.
    """

    def attempt(span: tuple[int, int]) -> Logs | RpcError:
        try:
            return get(*span)
        except RpcError as refusal:
            return refusal

    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        while first <= last:
            step = size.now
            starts = range(first, min(last, first + concurrency * step - 1) + 1, step)
            wave = [(start, min(start + step - 1, last)) for start in starts]
            for (start, until), answer in zip(wave, pool.map(attempt, wave), strict=True):
                if isinstance(answer, RpcError):
                    yield from _in_parts(rpc, attempt, start, until, answer, size)
                else:
                    size.answered(until - start + 1, len(answer))
                    yield start, until, answer
            first = wave[-1][1] + 1


def _in_parts(
    rpc: JsonRpc,
    attempt: Callable[[tuple[int, int]], Logs | RpcError],
    first: int,
    last: int,
    refusal: RpcError,
    size: RangeSize,
) -> Iterator[tuple[int, int, Logs]]:
    """`first` to `last`, which the node refused as a whole, in pieces that it does not refuse."""
    until, waited = last, 0
    answer: Logs | RpcError = refusal
    while first <= last:
        if isinstance(answer, RpcError):
            blocks = until - first + 1
            if answer.is_unknown_method:
                raise RpcError(f"{rpc} does not give logs: {answer.reason}", answer.code, answer.reason) from answer
            in_vain = waited >= TRIES - 1
            if blocks == 1 and (not answer.is_busy or (in_vain and not says_passing(answer.reason))):
                raise RpcError(
                    f"{rpc} refuses the logs of the single block {first}: {answer.reason}. "
                    "The scan up to that block is kept; a re-run goes on from there",
                    answer.code,
                    answer.reason,
                    answer.data,
                ) from answer
            if blocks == 1 and in_vain:
                raise SourceUnavailable(
                    f"{rpc} keeps refusing the logs of block {first} for its load ({answer.reason}); tried "
                    f"{waited + 1} times. The scan up to that block is kept; run again later"
                ) from answer
            if answer.is_busy and (waited == 0 or blocks == 1):
                rpc.rest(FIRST_PAUSE * 2**waited)
                waited += 1
            else:
                size.refused(blocks)
                waited = 0
                until = min(first + size.now - 1, last)
        else:
            size.answered(until - first + 1, len(answer))
            yield first, until, answer
            first, waited = until + 1, 0
            until = min(first + size.now - 1, last)
        if first <= last:
            answer = attempt((first, until))
