"""Lending events by ranges of blocks that grow and shrink with the node's limits; each range is complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flows.clients import log_ranges as ladder
from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.log_ranges import RangeSize
from flows.errors import MalformedAnswer, SourceRefused
from flows.lending.events import LendingEvent, LendingMarket
from flows.lending.logs import decode, topics_of

FIRST_RANGE = 2_000
LONGEST_RANGE = 100_000


@dataclass(frozen=True, slots=True)
class ScannedRange:
    """Blocks `first` to `last`, both included, with every event in them in the order of the chain."""

    first: int
    last: int
    events: list[LendingEvent]


def scan(
    rpc: JsonRpc, market: LendingMarket, first: int, last: int, *, first_range: int = FIRST_RANGE
) -> Iterator[ScannedRange]:
    """Ranges of `log_ranges` with the market's events, each with the time of its block.

    Raises `SourceRefused` when a single block is refused or a block was replaced while it was read, `MalformedAnswer`
    for a log of the wrong shape.
    """
    ranges = log_ranges(rpc, sorted(market.contracts), topics_of(market), first, last, first_range=first_range)
    for begin, until, logs in ranges:
        events = decode(logs, market)
        outside = next((e for e in events if not begin <= e.block_number <= until), None)
        if outside is not None:
            raise MalformedAnswer(
                f"eth_getLogs of {rpc}: blocks {begin} to {until} were asked for, found one of block "
                f"{outside.block_number}"
            )
        yield ScannedRange(begin, until, with_times(rpc, events))


def log_ranges(
    rpc: JsonRpc,
    addresses: Sequence[str],
    topics: Sequence[str],
    first: int,
    last: int,
    *,
    first_range: int = FIRST_RANGE,
) -> Iterator[tuple[int, int, list[dict[str, Any]]]]:
    """(first block, last block, logs) of ranges that together cover `first` to `last`.

    A range that the node refuses is narrowed as in `flows.clients.log_ranges`. Raises `SourceRefused` when a single
    block is refused.
    """

    def get(start: int, until: int) -> list[dict[str, Any]]:
        return _get_logs(rpc, addresses, topics, start, until)

    return ladder.log_ranges(rpc, get, first, last, RangeSize(first_range, LONGEST_RANGE))


def with_times(rpc: JsonRpc, events: Sequence[LendingEvent]) -> list[LendingEvent]:
    """The events with the times of their blocks; nodes that put them into logs are not asked again.

    Raises `SourceRefused` when a block is no longer the one that the log came from.
    """
    unknown = sorted({event.block_number for event in events if event.block_timestamp is None})
    answers = rpc.batch([Request("eth_getBlockByNumber", (hex(number), False)) for number in unknown])
    heads: dict[int, tuple[str, int]] = {}
    for number, row in zip(unknown, answers, strict=True):
        if isinstance(row, RpcError):
            raise SourceRefused(f"{rpc} does not give block {number}: {row.reason}") from row
        if not isinstance(row, dict) or not isinstance(row.get("hash"), str):
            raise MalformedAnswer(f"block {number} of {rpc}: expected an object with a hash, found {row!r:.80}")
        heads[number] = row["hash"].lower(), quantity(row.get("timestamp"), f"timestamp of block {number}")
    timed = []
    for event in events:
        if event.block_timestamp is None:
            now, moment = heads[event.block_number]
            if now != event.block_hash:
                raise SourceRefused(
                    f"block {event.block_number} was replaced while it was read (hash {event.block_hash}, now {now}); "
                    "the scan up to its range is kept, run again"
                )
            event = replace(event, block_timestamp=moment)
        timed.append(event)
    return timed


def _get_logs(
    rpc: JsonRpc, addresses: Sequence[str], topics: Sequence[str], first: int, last: int
) -> list[dict[str, Any]]:
    wanted = {"address": list(addresses), "topics": [list(topics)], "fromBlock": hex(first), "toBlock": hex(last)}
    logs = rpc.call("eth_getLogs", wanted)
    if not isinstance(logs, list):
        raise MalformedAnswer(f"eth_getLogs of {rpc}: expected a list, found {logs!r:.80}")
    return [log for log in logs if not (isinstance(log, dict) and log.get("removed"))]
