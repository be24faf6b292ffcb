"""Which past blocks are stored: named ones, every so many blocks, or the first of each hour or UTC day."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from flows.clients.block_reader import Block, get_block
from risk_core.types import REVISIONS

if TYPE_CHECKING:
    from flows.clients.json_rpc import JsonRpc

SECONDS = {"hour": 3_600, "day": 86_400}


def supported(upgrades: Sequence[tuple[int, int]], first: int, last: int) -> tuple[int, int] | None:
    """(first, last) of the blocks whose rules the engine knows, None without one.

    `upgrades`: (block, `POOL_REVISION` from that block on), in order. Revisions only rise, so the blocks are one range.
    """
    spans = [*upgrades, (last + 1, 0)]
    known = [
        (max(start, first), min(end - 1, last))
        for (start, revision), (end, _) in pairwise(spans)
        if revision in REVISIONS and start < end
    ]
    known = [(start, end) for start, end in known if start <= end]
    return (known[0][0], known[-1][1]) if known else None


def chosen(rpc: JsonRpc, every: str | int, first: int, last: int) -> list[int]:
    """The blocks from `first` to `last`: multiples of a number, or the first block of each hour or day (UTC).

    Times are searched for in block headers, which every node has.
    """
    if isinstance(every, int):
        return list(range(-(-first // every) * every, last + 1, every))
    period = SECONDS[every]
    low, high = get_block(rpc, first), get_block(rpc, last)
    found = [low.number] if low.time % period == 0 else []
    for time in range((low.time // period + 1) * period, high.time + 1, period):
        low = _first_at(rpc, time, low, high)
        if not found or low.number > found[-1]:
            found.append(low.number)
    return found


def roughly(every: str | int, first: Block, last: Block) -> int:
    """At most how many blocks that will be, without a search."""
    if isinstance(every, int):
        return last.number // every - (first.number - 1) // every
    return last.time // SECONDS[every] - (first.time - 1) // SECONDS[every]


def _first_at(rpc: JsonRpc, time: int, low: Block, high: Block) -> Block:
    """The first block with a timestamp of at least `time`, which lies above that of `low` and not above `high`'s."""
    halve = False
    while high.number - low.number > 1 and low.time < time:
        if halve:
            guess = (low.number + high.number) // 2
        else:  # blocks come about evenly, so this is close
            guess = low.number + (high.number - low.number) * (time - low.time) // (high.time - low.time)
        middle = get_block(rpc, min(max(guess, low.number + 1), high.number - 1))
        width = high.number - low.number
        low, high = (low, middle) if middle.time >= time else (middle, high)
        halve = high.number - low.number > width // 2
    return low if low.time >= time else high
