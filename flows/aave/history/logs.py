"""The logs of a market from a node, by ranges of blocks, and the constants that are not in the logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.aave.history.decoding import EVENTS, TOPICS, Happening, decode
from flows.aave.history.ledger import NOBODY
from flows.aave.history.replay import Replay
from flows.clients import abis
from flows.clients.block_reader import BlockReader, Call
from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.log_ranges import RangeSize, log_ranges
from flows.errors import MalformedAnswer, SourceRefused

FIRST_RANGE = 10_000
Logs = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Listing:
    """What the logs of a market come from, and the few logs that say so, up to the newest block.

    `logs`: those of provider, configurator and oracles, in order. `tokens`: of every listing so far. `feeds`: contracts
    that an oracle takes a price from. `codes`: (block, address) of each implementation of the pool. `earlier`: logs of
    oracles and feeds from before `logs`, which a replay that goes on has not seen.
    """

    logs: Logs
    tokens: tuple[str, ...]
    feeds: tuple[str, ...]
    codes: tuple[tuple[int, str], ...]
    earlier: Logs


def fetch_listing(
    rpc: JsonRpc,
    provider: str,
    pool: str,
    configurator: str,
    first: int,
    last: int,
    *,
    concurrency: int,
    progress: Any,
    begun: int | None = None,
    before: Replay | None = None,
) -> Listing:
    """Read the logs of blocks `first` to `last` that name tokens, feeds and code of the pool.

    `before`: the replay up to the block before `first`; its logs are not read again, but for those of oracles and feeds
    that are new, which are read from block `begun` on. Raises `SourceRefused` where no reserve is listed.
    """
    found: Logs = []
    for start, until, logs in _ranges(rpc, (provider, configurator), first, last, concurrency):
        found += logs
        progress.update(until - start + 1)
    tokens, oracles = list(before.tokens) if before else [], list(before.oracles) if before else []
    for log in found:
        kind = log["topics"][0].lower()
        if kind == TOPICS["ReserveInitialized"]:
            # The aToken is the second indexed value, the variable debt token the second word of the data.
            tokens += ["0x" + log["topics"][2][-40:].lower(), "0x" + log["data"][2 + 64 + 24 : 2 + 128].lower()]
        elif kind == TOPICS["PriceOracleUpdated"] and log["address"].lower() == provider.lower():
            oracles.append("0x" + log["topics"][2][-40:].lower())
    if not tokens:
        raise SourceRefused(
            f"the configurator {configurator} listed no reserve in blocks {first} to {last}; begin at the market's "
            "first block (--from-block)"
        )
    kinds = (TOPICS["Upgraded"], TOPICS["AssetSourceUpdated"])
    named: Logs = []
    for _, _, logs in _ranges(rpc, tuple(dict.fromkeys((pool, *oracles))), first, last, concurrency, kinds):
        named += logs
    codes = [
        (_number(log, "blockNumber"), "0x" + log["topics"][3][-40:].lower())
        for log in found
        if log["topics"][0].lower() == TOPICS["ProxyCreated"] and log["topics"][2].lower() == "0x" + pool[2:].zfill(64)
    ]
    codes += [
        (_number(log, "blockNumber"), "0x" + log["topics"][1][-40:].lower())
        for log in named
        if log["topics"][0].lower() == kinds[0]
    ]
    sources = [log for log in named if log["topics"][0].lower() == kinds[1]]
    earlier: Logs = []
    if before is not None and begun is not None and begun < first:
        unknown = [oracle for oracle in oracles if oracle not in before.oracles]
        earlier += _all(rpc, unknown, begun, first - 1, concurrency, kinds[1:])
        fresh = [feed for feed in _sources((*earlier, *sources)) if feed not in before.feeds]
        earlier += _all(rpc, fresh, begun, first - 1, concurrency, (TOPICS["AnswerUpdated"],))
    feeds = [*(before.feeds if before else ()), *_sources((*earlier, *sources))]
    return Listing(
        sorted([*found, *sources], key=_place),
        tuple(dict.fromkeys(tokens)),
        tuple(dict.fromkeys(feeds)),
        tuple(sorted(codes)),
        sorted(earlier, key=_place),
    )


def _sources(logs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Contracts that an oracle says it takes a price from."""
    wanted = TOPICS["AssetSourceUpdated"]
    named = ["0x" + log["topics"][2][-40:].lower() for log in logs if log["topics"][0].lower() == wanted]
    return [source for source in named if source != NOBODY]


def _all(
    rpc: JsonRpc, addresses: Sequence[str], first: int, last: int, concurrency: int, topics: Sequence[str]
) -> Logs:
    if not addresses:
        return []
    return [log for *_, logs in _ranges(rpc, addresses, first, last, concurrency, topics) for log in logs]


def revisions(reader: BlockReader, listing: Listing) -> dict[str, int]:
    """Address of each implementation of the pool -> its `POOL_REVISION`, a constant that is read at that address."""
    asked = list(dict.fromkeys(code for _, code in listing.codes))
    answers = reader.read([Call(code, abis.POOL_REVISION, about=f"the pool's code {code}") for code in asked])
    return dict(zip(asked, answers, strict=True))


def happenings(
    rpc: JsonRpc, pool: str, listing: Listing, first: int, last: int, *, concurrency: int
) -> Iterator[tuple[int, int, list[Happening]]]:
    """(first block, last block, what happened) of ranges that together cover `first` to `last`, in order."""
    waiting, at = listing.logs, 0
    for start, until, logs in _ranges(rpc, (pool, *listing.tokens, *listing.feeds), first, last, concurrency):
        upto = at
        while upto < len(waiting) and _number(waiting[upto], "blockNumber") <= until:
            upto += 1
        part = sorted([*waiting[at:upto], *logs], key=_place)
        at = upto
        yield start, until, decode(part, block_times(rpc, part))


def earlier_happenings(listing: Listing) -> list[Happening]:
    """The logs that a replay which goes on must remember (`Replay.remember`); their times are not read, all are 0."""
    return decode(listing.earlier, dict.fromkeys((_number(log, "blockNumber") for log in listing.earlier), 0))


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


def _place(log: Mapping[str, Any]) -> tuple[int, int]:
    return _number(log, "blockNumber"), _number(log, "logIndex")


def _number(log: Mapping[str, Any], name: str) -> int:
    return quantity(log[name], f"{name} of a log")
