"""The logs of a market from a node, by ranges of blocks, and the constants that are not in the logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.aave.history.decoding import EVENTS, TOPICS, Happening, decode
from flows.clients import abis
from flows.clients.block_reader import BlockReader, Call
from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.log_ranges import RangeSize, log_ranges
from flows.errors import MalformedAnswer, SourceRefused

FIRST_RANGE = 10_000
Logs = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Listing:
    """`logs`: all logs of provider and configurator up to the newest block. `tokens`: those of every listing so far."""

    logs: Logs
    tokens: tuple[str, ...]


def fetch_listing(
    rpc: JsonRpc, provider: str, configurator: str, first: int, last: int, *, concurrency: int, progress: Any
) -> Listing:
    """The logs of provider and configurator. Raises `SourceRefused` where they list no reserve."""
    found = []
    for start, until, logs in _ranges(rpc, (provider, configurator), first, last, concurrency):
        found += logs
        progress.update(until - start + 1)
    tokens = []
    for log in found:
        if log["topics"][0].lower() == TOPICS["ReserveInitialized"]:
            # The aToken is the second indexed value, the variable debt token the second word of the data.
            tokens += ["0x" + log["topics"][2][-40:].lower(), "0x" + log["data"][2 + 64 + 24 : 2 + 128].lower()]
    if not tokens:
        raise SourceRefused(
            f"the configurator {configurator} listed no reserve in blocks {first} to {last}; begin at the market's "
            "first block (--from-block)"
        )
    return Listing(found, tuple(dict.fromkeys(tokens)))


def implementations(reader: BlockReader, listing: Listing, pool: str, first: int, last: int) -> dict[str, int]:
    """Address of each implementation of the pool -> its `POOL_REVISION`, a constant that is read at that address."""
    proxy = "0x" + pool[2:].zfill(64)
    created = [log["topics"] for log in listing.logs if log["topics"][0].lower() == TOPICS["ProxyCreated"]]
    addresses = ["0x" + topics[3][-40:].lower() for topics in created if topics[2].lower() == proxy]
    for _, _, logs in _ranges(reader.rpc, (pool,), first, last, reader.concurrency, (TOPICS["Upgraded"],)):
        addresses += ["0x" + log["topics"][1][-40:].lower() for log in logs]
    asked = list(dict.fromkeys(addresses))
    revisions = reader.read([Call(code, abis.POOL_REVISION, about=f"the pool's code {code}") for code in asked])
    return dict(zip(asked, revisions, strict=True))


def happenings(
    rpc: JsonRpc, pool: str, listing: Listing, first: int, last: int, *, concurrency: int
) -> Iterator[tuple[int, int, list[Happening]]]:
    """(first block, last block, what happened) of ranges that together cover `first` to `last`, in order."""
    waiting, at = listing.logs, 0
    for start, until, logs in _ranges(rpc, (pool, *listing.tokens), first, last, concurrency):
        upto = at
        while upto < len(waiting) and _number(waiting[upto], "blockNumber") <= until:
            upto += 1
        part = sorted(
            [*waiting[at:upto], *logs], key=lambda log: (_number(log, "blockNumber"), _number(log, "logIndex"))
        )
        at = upto
        yield start, until, decode(part, block_times(rpc, part))


def block_times(rpc: JsonRpc, logs: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Block -> UTC epoch seconds: from the field `blockTimestamp` of a log where there is one, else from headers."""
    times: dict[int, int] = {}
    unknown: dict[int, str] = {}
    for log in logs:
        number = _number(log, "blockNumber")
        if log.get("blockTimestamp") is not None:
            times[number] = _number(log, "blockTimestamp")
        else:
            unknown[number] = log.get("blockHash", "")
    asked = sorted(unknown.keys() - times.keys())
    answers = rpc.batch([Request("eth_getBlockByNumber", (hex(number), False)) for number in asked])
    for number, header in zip(asked, answers, strict=True):
        if isinstance(header, RpcError):
            raise header
        if not isinstance(header, dict):
            raise MalformedAnswer(f"block {number} of {rpc}: expected a header, found {header!r:.80}")
        if unknown[number] and header.get("hash", "").lower() != unknown[number].lower():
            raise SourceRefused(f"block {number} was replaced while its logs were read; run again")
        times[number] = quantity(header.get("timestamp"), f"timestamp of block {number}")
    return times


def _ranges(
    rpc: JsonRpc,
    addresses: Sequence[str],
    first: int,
    last: int,
    concurrency: int,
    topics: Sequence[str] = tuple(EVENTS),
) -> Iterator[tuple[int, int, Logs]]:
    def get(start: int, until: int) -> Logs:
        wanted = {"address": list(addresses), "topics": [list(topics)], "fromBlock": hex(start), "toBlock": hex(until)}
        logs = rpc.call("eth_getLogs", wanted)
        if not isinstance(logs, list) or not all(
            isinstance(log, dict) and {"address", "topics", "data", "blockNumber", "logIndex"} <= log.keys()
            for log in logs
        ):
            raise MalformedAnswer(f"eth_getLogs of {rpc}: expected a list of logs, found {logs!r:.120}")
        return [log for log in logs if not log.get("removed")]

    yield from log_ranges(rpc, get, first, last, RangeSize(FIRST_RANGE), concurrency=concurrency)


def _number(log: Mapping[str, Any], name: str) -> int:
    return quantity(log[name], f"{name} of a log")
