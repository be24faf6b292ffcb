"""Who holds what: (token, account) pairs from the log, by ranges of blocks that grow and shrink with the node's limits.

Token events alone are complete (every mint, transfer, treasury fee and liquidation paid in aTokens emits `Transfer`);
the pool's events are read as well, so that one forgotten token would show. `user` of Supply and Borrow is the payer;
the position belongs to `onBehalfOf`. Pairs with a balance of zero today are harmless: balances are read afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.errors import MalformedAnswer, SourceRefused
from flows.sources.abis import BALANCE_TRANSFER, BORROW, COLLATERAL_ENABLED, SUPPLY, TRANSFER
from flows.sources.json_rpc import JsonRpc, RpcError, quantity

Pair = tuple[str, str]
"""(token, account), lower case."""

NOBODY = "0x" + "00" * 20
FIRST_RANGE = 10_000
LONGEST_RANGE = 1_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """What to listen to: the pool and, by underlying asset, the aToken and debt token (all lower case)."""

    pool: str
    atoken: Mapping[str, str]
    vtoken: Mapping[str, str]

    @property
    def all(self) -> frozenset[str]:
        return frozenset(self.atoken.values()) | frozenset(self.vtoken.values())


@dataclass(frozen=True, slots=True)
class ScannedRange:
    """Blocks `first` to `last`, both included, and the pairs they name with the first block that does."""

    first: int
    last: int
    pairs: dict[Pair, int]


def scan(
    rpc: JsonRpc, tokens: Tokens, first: int, last: int, *, first_range: int = FIRST_RANGE
) -> Iterator[ScannedRange]:
    """Ranges that together cover `first` to `last`, each complete when it is yielded.

    A range that the node refuses is halved down to one block; ranges grow again after each success. Raises
    `SourceRefused` when a single block is refused, `MalformedAnswer` for a log of the wrong shape.
    """
    size, growth = first_range, 2.0
    while first <= last:
        until = min(first + size - 1, last)
        try:
            logs = _get_logs(rpc, tokens, first, until)
        except RpcError as exc:
            if until == first:
                raise SourceRefused(
                    f"{rpc} refuses the logs of the single block {first}: {exc.reason}. "
                    "The scan up to that block is kept; a re-run goes on from there"
                ) from exc
            if exc.is_busy:  # may be either: a range too large, or too many requests
                rpc.rest(0.5)
            size, growth = (until - first + 1) // 2, 1.25
            continue
        yield ScannedRange(first, until, pairs_of(logs, tokens))
        first = until + 1
        size = min(int(size * growth) + 1, LONGEST_RANGE)


def pairs_of(logs: list[dict[str, Any]], tokens: Tokens) -> dict[Pair, int]:
    """The (token, account) pairs that logs name, with the first block of each. Raises `MalformedAnswer`."""
    known = tokens.all
    pairs: dict[Pair, int] = {}
    for log in logs:
        try:
            address, topics = log["address"].lower(), [topic.lower() for topic in log["topics"]]
            block = quantity(log["blockNumber"], "block number of a log")
            event, owner = topics[0], "0x" + topics[2][-40:]
            if event in (TRANSFER, BALANCE_TRANSFER) and address in known:
                token: str | None = address
            elif event in (SUPPLY, BORROW, COLLATERAL_ENABLED) and address == tokens.pool:
                by_asset = tokens.vtoken if event == BORROW else tokens.atoken
                token = by_asset.get("0x" + topics[1][-40:])  # None: a reserve that was dropped since
            else:
                continue
        except (KeyError, IndexError, TypeError, AttributeError) as exc:
            raise MalformedAnswer(f"eth_getLogs: expected a log with address, blockNumber and topics, "
                                  f"found {log!r:.120}") from exc  # fmt: skip
        if token and owner != NOBODY:
            pairs[token, owner] = min(block, pairs.get((token, owner), block))
    return pairs


def _get_logs(rpc: JsonRpc, tokens: Tokens, first: int, last: int) -> list[dict[str, Any]]:
    events = [TRANSFER, BALANCE_TRANSFER, SUPPLY, BORROW, COLLATERAL_ENABLED]
    wanted = {
        "address": [tokens.pool, *sorted(tokens.all)],
        "topics": [events],
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }
    logs = rpc.call("eth_getLogs", wanted)
    if not isinstance(logs, list):
        raise MalformedAnswer(f"eth_getLogs of {rpc}: expected a list, found {logs!r:.80}")
    return [log for log in logs if not (isinstance(log, dict) and log.get("removed"))]
