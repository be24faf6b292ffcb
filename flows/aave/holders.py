"""Who holds what: (token, account) pairs from the log, by ranges of blocks that grow and shrink with the node's limits.

Token events alone are complete (every mint, transfer, treasury fee and liquidation paid in aTokens emits `Transfer`);
the pool's events are read as well, so that one forgotten token would show. `user` of Supply and Borrow is the payer;
the position belongs to `onBehalfOf`. Pairs with a balance of zero today are harmless: balances are read afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from flows.clients import abis
from flows.clients.abis import BALANCE_TRANSFER, BORROW, COLLATERAL_ENABLED, SUPPLY, TRANSFER
from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.errors import MalformedAnswer, SourceRefused, SourceUnavailable

Pair = tuple[str, str]
"""(token, account), lower case."""

NOBODY = "0x" + "00" * 20
FIRST_RANGE = 10_000
LONGEST_RANGE = 1_000_000
LAG_ATTEMPTS, LAG_PAUSE = 5, 1.0
AGAIN_AFTER = 256
"""Answers after which a range that was refused is asked for again."""

BORROWS = (BORROW, abis.BORROW_V2)
HOLDINGS = (TRANSFER, BALANCE_TRANSFER, SUPPLY, abis.DEPOSIT_V2, *BORROWS, COLLATERAL_ENABLED)
"""Events that name a holder: enough to find everybody."""
CHANGES = (
    *HOLDINGS, abis.MINT, abis.BURN, abis.COLLATERAL_DISABLED, abis.WITHDRAW, abis.REPAY, abis.LIQUIDATION_CALL,
    abis.DEFICIT_CREATED, abis.USER_EMODE_SET,
)  # fmt: skip
"""Events after which an account is no longer what it was."""
_OWNERS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys((TRANSFER, BALANCE_TRANSFER, abis.MINT, abis.BURN), (1, 2)),
    **dict.fromkeys(
        (SUPPLY, abis.DEPOSIT_V2, *BORROWS, COLLATERAL_ENABLED, abis.COLLATERAL_DISABLED, abis.WITHDRAW, abis.REPAY),
        (2,),
    ),
    **dict.fromkeys((abis.DEFICIT_CREATED, abis.USER_EMODE_SET), (1,)),
    abis.LIQUIDATION_CALL: (3,),
}
"""Topics that hold the accounts an event is about; the payer of a supply is not among them, unless tokens move."""


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
    """Blocks `first` to `last`, both included: the pairs they name with the first block that does, and the accounts
    that any of the events was about."""

    first: int
    last: int
    pairs: dict[Pair, int]
    touched: frozenset[str] = field(default_factory=frozenset)


def scan(
    rpc: JsonRpc,
    tokens: Tokens,
    first: int,
    last: int,
    *,
    first_range: int = FIRST_RANGE,
    events: Sequence[str] = HOLDINGS,
    concurrency: int = 1,
) -> Iterator[ScannedRange]:
    """Ranges that together cover `first` to `last`, in order, each complete when it is yielded.

    `concurrency` ranges are asked for at once. One that the node refuses is halved down to one block. Raises
    `SourceRefused` when a single block is refused, `MalformedAnswer` for a log of the wrong shape.
    """
    size = RangeSize(first_range)
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        while first <= last:
            step = size.now
            starts = range(first, min(last, first + concurrency * step - 1) + 1, step)
            wave = [(start, min(start + step - 1, last)) for start in starts]
            for (start, until), logs in zip(wave, pool.map(_attempt(rpc, tokens, events, last), wave), strict=True):
                if isinstance(logs, RpcError):
                    yield from _in_parts(rpc, tokens, _attempt(rpc, tokens, events, last), start, until, logs, size)
                else:
                    size.answered(until - start + 1)
                    yield _scanned(start, until, logs, tokens)
            first = wave[-1][1] + 1


class RangeSize:
    """How many blocks to ask for at once: doubles until the node refuses, then closes in on the largest it takes.

    Logs are denser in some years than in others, so what was refused is tried again after a while.
    """

    def __init__(self, first: int) -> None:
        self.now = first
        self.best = 0
        """Largest range that was answered since the last refusal below it."""
        self._refused = LONGEST_RANGE + 1
        self._answers = 0

    def answered(self, blocks: int) -> None:
        self.best = max(self.best, blocks)
        self._answers += 1
        if self._answers > AGAIN_AFTER:
            self._refused, self._answers = LONGEST_RANGE + 1, 0
        if self._refused > LONGEST_RANGE:
            self.now = min(LONGEST_RANGE, max(self.now, 2 * self.best))
        elif self._refused - self.best > 1 + self.best // 8:
            self.now = (self.best + self._refused) // 2
        else:
            self.now = self.best

    def refused(self, blocks: int) -> None:
        self._refused, self._answers = min(self._refused, blocks), 0
        if self.best >= blocks:
            self.best = 0
        self.now = max(1, self.best or blocks // 2)


def _attempt(rpc: JsonRpc, tokens: Tokens, events: Sequence[str], end: int) -> Any:
    def get(span: tuple[int, int]) -> list[dict[str, Any]] | RpcError:
        try:
            return _get_logs(rpc, tokens, events, *span, newest=span[1] == end)
        except RpcError as exc:
            return exc

    return get


def _in_parts(
    rpc: JsonRpc, tokens: Tokens, get: Any, first: int, last: int, refusal: RpcError, size: RangeSize
) -> Iterator[ScannedRange]:
    """`first` to `last`, which the node refused as a whole, in pieces that it does not refuse."""
    until, logs = last, refusal
    while first <= last:
        if isinstance(logs, RpcError):
            if until == first:
                raise SourceRefused(
                    f"{rpc} refuses the logs of the single block {first}: {logs.reason}. "
                    "The scan up to that block is kept; a re-run goes on from there"
                ) from logs
            # The same code says "too large" and "too many": it is the latter where as much has been answered before.
            if logs.is_busy and until - first + 1 <= size.best:
                rpc.rest(0.5)
            size.refused(until - first + 1)
        else:
            size.answered(until - first + 1)
            yield _scanned(first, until, logs, tokens)
            first = until + 1
        until = min(first + size.now - 1, last)
        if first <= last:
            logs = get((first, until))


def _scanned(first: int, last: int, logs: list[dict[str, Any]], tokens: Tokens) -> ScannedRange:
    return ScannedRange(first, last, pairs_of(logs, tokens), touched_by(logs))


def touched_by(logs: list[dict[str, Any]]) -> frozenset[str]:
    """Accounts that the logs are about, lower case. Raises `MalformedAnswer`."""
    touched = set()
    for log in logs:
        try:
            topics = log["topics"]
            for place in _OWNERS.get(topics[0].lower(), ()):
                touched.add("0x" + topics[place][-40:].lower())
        except (KeyError, IndexError, TypeError, AttributeError) as exc:
            raise _malformed(log) from exc
    touched.discard(NOBODY)
    return frozenset(touched)


def pairs_of(logs: list[dict[str, Any]], tokens: Tokens) -> dict[Pair, int]:
    """The (token, account) pairs that logs name, with the first block of each. Raises `MalformedAnswer`."""
    known = tokens.all
    pairs: dict[Pair, int] = {}
    for log in logs:
        try:
            address, topics = log["address"].lower(), [topic.lower() for topic in log["topics"]]
            block = quantity(log["blockNumber"], "block number of a log")
            event = topics[0]
            if event in (TRANSFER, BALANCE_TRANSFER) and address in known:
                token: str | None = address
            elif event in HOLDINGS and address == tokens.pool:
                by_asset = tokens.vtoken if event in BORROWS else tokens.atoken
                token = by_asset.get("0x" + topics[1][-40:])  # None: a reserve that was dropped since
            else:
                continue
            owner = "0x" + topics[2][-40:]
        except (KeyError, IndexError, TypeError, AttributeError) as exc:
            raise _malformed(log) from exc
        if token and owner != NOBODY:
            pairs[token, owner] = min(block, pairs.get((token, owner), block))
    return pairs


def _malformed(log: Any) -> MalformedAnswer:
    return MalformedAnswer(f"eth_getLogs: expected a log with address, blockNumber and topics, found {log!r:.120}")


def _get_logs(
    rpc: JsonRpc, tokens: Tokens, events: Sequence[str], first: int, last: int, newest: bool
) -> list[dict[str, Any]]:
    wanted = {
        "address": [tokens.pool, *sorted(tokens.all)],
        "topics": [list(events)],
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }
    logs = _settled(rpc, wanted) if newest else rpc.call("eth_getLogs", wanted)
    if not isinstance(logs, list):
        raise MalformedAnswer(f"eth_getLogs of {rpc}: expected a list, found {logs!r:.80}")
    return [log for log in logs if not (isinstance(log, dict) and log.get("removed"))]


def _settled(rpc: JsonRpc, wanted: dict[str, Any]) -> Any:
    """Logs up to the newest block, from a machine that has that block.

    Behind a balancer, one that lags gives the logs it has without a word: so it is asked for the block as well, in the
    same request. Raises `SourceUnavailable` when it never has it.
    """
    pair = [Request("eth_getLogs", (wanted,)), Request("eth_getBlockByNumber", (wanted["toBlock"], False))]
    for _ in range(LAG_ATTEMPTS):
        logs, block = rpc.batch(pair)
        if isinstance(logs, RpcError):
            raise logs
        if isinstance(block, dict):
            return logs
        rpc.rest(LAG_PAUSE)
    raise SourceUnavailable(
        f"{rpc} gives logs without having block {int(wanted['toBlock'], 16)}, which it announced: a machine behind it "
        "lags. Nothing was carried forward; run again later, or read --block safe"
    )
