"""Who holds what: (token, account) pairs from the log, by ranges of blocks that grow and shrink with the node's limits.

Token events alone are complete (every mint, transfer, treasury fee and liquidation paid in aTokens emits `Transfer`);
the pool's events are read as well, so that a token that was left out would be noticed. `user` of Supply and Borrow is
the payer; the position belongs to `onBehalfOf`. Pairs with a balance of zero do no harm: balances are read afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.clients import abis
from flows.clients.abis import BALANCE_TRANSFER, BORROW, COLLATERAL_ENABLED, SUPPLY, TRANSFER
from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.log_ranges import RangeSize, log_ranges
from flows.errors import MalformedAnswer, SourceUnavailable

Pair = tuple[str, str]
"""(token, account), lower case."""

NOBODY = "0x" + "00" * 20
FIRST_RANGE = 10_000
LAG_ATTEMPTS, LAG_PAUSE = 5, 1.0

BORROWS = (BORROW, abis.BORROW_V2)
HOLDINGS = (TRANSFER, BALANCE_TRANSFER, SUPPLY, abis.DEPOSIT_V2, *BORROWS, COLLATERAL_ENABLED)
"""Events that name a holder: enough to find everybody."""
CHANGES = (
    *HOLDINGS, abis.MINT, abis.BURN, abis.COLLATERAL_DISABLED, abis.WITHDRAW, abis.REPAY, abis.LIQUIDATION_CALL,
    abis.DEFICIT_CREATED, abis.USER_EMODE_SET,
)  # fmt: skip
"""Events that change an account: a balance, a flag or its e-mode."""
_OWNERS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys((TRANSFER, BALANCE_TRANSFER, abis.MINT, abis.BURN), (1, 2)),
    **dict.fromkeys(
        (SUPPLY, abis.DEPOSIT_V2, *BORROWS, COLLATERAL_ENABLED, abis.COLLATERAL_DISABLED, abis.WITHDRAW, abis.REPAY),
        (2,),
    ),
    **dict.fromkeys((abis.DEFICIT_CREATED, abis.USER_EMODE_SET), (1,)),
    abis.LIQUIDATION_CALL: (3,),
}
"""Places of the topics that hold the accounts an event changes; the payer of a supply is not one of these."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Addresses whose logs are read: the pool and, by underlying asset, the aToken and debt token (all lower case)."""

    pool: str
    atoken: Mapping[str, str]
    vtoken: Mapping[str, str]

    @property
    def all(self) -> frozenset[str]:
        """Addresses of all aTokens and variable debt tokens."""
        return frozenset(self.atoken.values()) | frozenset(self.vtoken.values())


@dataclass(frozen=True, slots=True)
class ScannedRange:
    """What the logs of blocks `first` to `last`, both included, name.

    `pairs`: each (token, account), with the first block that names it. `touched`: accounts that an event changed.
    """

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

    `concurrency` ranges are requested at once; a refused range is made shorter (`flows.clients.log_ranges`). Raises
    `SourceRefused` when a single block is refused, `MalformedAnswer` for a log of the wrong shape.
    """

    def get(start: int, until: int) -> list[dict[str, Any]]:
        return get_logs(rpc, [tokens.pool, *sorted(tokens.all)], events, start, until, newest=until == last)

    size = RangeSize(first_range)
    for start, until, logs in log_ranges(rpc, get, first, last, size, concurrency=concurrency):
        yield _scanned(start, until, logs, tokens)


def _scanned(first: int, last: int, logs: list[dict[str, Any]], tokens: Tokens) -> ScannedRange:
    return ScannedRange(first, last, pairs_of(logs, tokens), touched_by(logs))


def touched_by(logs: list[dict[str, Any]]) -> frozenset[str]:
    """Accounts that the logs change, lower case. Raises `MalformedAnswer`."""
    touched = set()
    for log in logs:
        try:
            topics = log["topics"]
            for place in _OWNERS.get(topics[0].lower(), ()):
                touched.add("0x" + topics[place][-40:].lower())
        except (KeyError, IndexError, TypeError, AttributeError) as exc:
            raise malformed(log) from exc
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
            raise malformed(log) from exc
        if token and owner != NOBODY:
            pairs[token, owner] = min(block, pairs.get((token, owner), block))
    return pairs


def malformed(log: Any) -> MalformedAnswer:
    """The error for a log without address, block number or topics."""
    return MalformedAnswer(f"eth_getLogs: expected a log with address, blockNumber and topics, found {log!r:.120}")


def get_logs(
    rpc: JsonRpc, addresses: Sequence[str], events: Sequence[str], first: int, last: int, *, newest: bool
) -> list[dict[str, Any]]:
    """Logs of `events` (first topics) at `addresses` from block `first` to `last`, in one request.

    `newest`: `last` is the newest block, which not every machine of the node may have; see `_settled`. Raises
    `RpcError` where the node refuses.
    """
    wanted = {
        "address": list(addresses),
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

    Behind a load balancer, a machine that lags returns the logs that it has and no error. So the same request also
    asks for the block. Raises `SourceUnavailable` when no answer has it.
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
        f"{rpc} announced block {int(wanted['toBlock'], 16)}, but the machine that returned its logs does not have "
        "that block yet. Nothing was carried forward; run again later, or use --block safe"
    )
