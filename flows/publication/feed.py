"""The contract `metric_feed.vy` on a chain: its state now, and the data of transactions to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils import to_checksum_address

from flows.clients.json_rpc import JsonRpc, quantity
from flows.clients.transactions import code_at
from flows.clients.web3_provider import KnownContract
from flows.errors import ConfigurationError, MalformedAnswer
from flows.publication.errors import NotPublished
from flows.publication.figure import Published, scaled

COMPILED = Path(__file__).with_name("metric_feed.json")
PUBLISH = "publish(bytes32,int256,uint64,bytes32)"
ADD_METRIC = "add_metric(string,uint16,uint32,uint8,int256,int256)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a metric: the feed's decimals, and the bounds of its values in the metric's unit."""

    decimals: int
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """The state of the feed at one block for one figure. Bounds and rounds are integers of `decimals` decimals.

    `known`: the metric was added. `last_round`, `last_as_of`: 0 before the first. `round_id`: the round with the
    figure's inputs, 0 where there is none. `now`: the block's time, UTC seconds.
    """

    block: int
    now: int
    owner: str
    publisher: str
    known: bool
    level_bps: int
    horizon_seconds: int
    decimals: int
    minimum: int
    maximum: int
    last_round: int
    last_as_of: int
    round_id: int


@cache
def compiled() -> dict[str, Any]:
    """ABI, creation code and runtime code of the contract, from the file committed beside its source."""
    return json.loads(COMPILED.read_text(encoding="utf-8"))


class MetricFeed:
    """The feed at `address` on the chain of `rpc`."""

    def __init__(self, rpc: JsonRpc, address: str) -> None:
        self._rpc = rpc
        self.address = address.lower()
        self._contract = _contract(rpc, self.address)

    def require_ours(self, chain: str) -> None:
        """Raise `ConfigurationError` where the address has no code, or that of another contract; `chain`: its name."""
        code = code_at(self._rpc, self.address)
        if code == "0x":
            raise ConfigurationError(
                f"no contract at {self.address} on {chain}; check --contract or PUBLISHER_CONTRACT, or make one with "
                "`python -m flows publish-metric --deploy`"
            )
        if code != compiled()["bytecode_runtime"]:
            raise ConfigurationError(
                f"the contract at {self.address} on {chain} is not flows/publication/metric_feed.vy of this version "
                f"({(len(code) - 2) // 2:,} bytes of other code); check --contract or PUBLISHER_CONTRACT"
            )

    def state(self, of: Published) -> FeedState:
        """The state of the feed at the newest block. Raises `RpcError`, `MalformedAnswer`."""
        head = self._rpc.call("eth_getBlockByNumber", "latest", False)
        if not isinstance(head, dict):
            raise MalformedAnswer(f"{self._rpc} has no newest block")
        block = quantity(head.get("number"), "number of the newest block")
        metric = bytes.fromhex(of.metric_id[2:])

        def read(signature: str, *args: Any) -> Any:
            return self._contract.read(signature, *args, block=block)

        description, level_bps, horizon, decimals, minimum, maximum, last_round = read("metrics(bytes32)", metric)
        return FeedState(
            block=block,
            now=quantity(head.get("timestamp"), "time of the newest block"),
            owner=read("owner()").lower(),
            publisher=read("publisher()").lower(),
            known=bool(description),
            level_bps=level_bps,
            horizon_seconds=horizon,
            decimals=decimals,
            minimum=minimum,
            maximum=maximum,
            last_round=last_round,
            last_as_of=read("rounds(bytes32,uint80)", metric, last_round)[1] if last_round else 0,
            round_id=read("round_of(bytes32,bytes32)", metric, bytes.fromhex(of.inputs_hash)),
        )

    def round_of(self, metric_id: str, inputs_hash: str) -> int:
        """The round of a metric with these inputs at the newest block, 0 for none."""
        block = quantity(self._rpc.call("eth_blockNumber"), "eth_blockNumber")
        asked = bytes.fromhex(metric_id[2:]), bytes.fromhex(inputs_hash)
        return self._contract.read("round_of(bytes32,bytes32)", *asked, block=block)

    def publish_data(self, metric_id: str, answer: int, as_of: int, inputs_hash: str) -> str:
        """The data of the transaction that publishes a round."""
        return self._contract.call_data(
            PUBLISH, bytes.fromhex(metric_id[2:]), answer, as_of, bytes.fromhex(inputs_hash)
        )

    def declare_data(self, of: Published, terms: Terms) -> str:
        """The data of the owner's transaction that adds the figure's metric."""
        return self._contract.call_data(ADD_METRIC, *_declaration(of, terms))


def creation_data(rpc: JsonRpc, publisher: str, of: Published, terms: Terms) -> str:
    """The data of the transaction that creates a feed, with the figure's metric as its first."""
    return _contract(rpc, None).creation(to_checksum_address(publisher), *_declaration(of, terms))


def refusal(of: Published, state: FeedState, sender: str | None) -> str:
    """Why the feed would refuse the figure from `sender` (None: not known), in one line; "" where it accepts it."""
    unit, answer = of.unit, of.answer(state.decimals)
    if not state.known:
        return (
            f"the feed has no metric {of.metric!r}; its owner {state.owner} adds it with "
            "`python -m flows publish-metric --declare --highest N --send`"
        )
    if (state.level_bps, state.horizon_seconds) != (of.level_bps, of.horizon_seconds):
        return (
            f"the feed has the metric {of.metric!r} at {state.level_bps} bp and {state.horizon_seconds} s, the figure "
            f"is at {of.level_bps} bp and {of.horizon_seconds} s"
        )
    if sender is not None and sender != state.publisher:
        return (
            f"wrong key: {sender} is not the feed's publisher {state.publisher}; set PUBLISHER_KEY to the publisher's, "
            "or let the owner call set_publisher"
        )
    if not state.minimum <= answer <= state.maximum:
        return (
            f"{of.measure} is {of.value:,.10g} {unit}, outside the bounds of its metric in the feed: "
            f"{state.minimum / 10**state.decimals:,.10g} to {state.maximum / 10**state.decimals:,.10g} {unit}"
        )
    if of.as_of <= state.last_as_of:
        return (
            f"old timestamp: the figure speaks of {of.as_of} (UTC seconds), the feed's round {state.last_round} of "
            f"{state.last_as_of}; each round must be newer than the one before"
        )
    if of.as_of > state.now:
        return f"the figure speaks of {of.as_of} (UTC seconds), which the chain at {state.now} has not reached"
    return ""


def require_accepted(of: Published, state: FeedState, sender: str | None) -> None:
    """Raise `NotPublished` with the reason of `refusal`, if there is one."""
    if why := refusal(of, state, sender):
        raise NotPublished(f"{why}; nothing was sent")


def _declaration(of: Published, terms: Terms) -> tuple[Any, ...]:
    lowest, highest = (scaled(bound, terms.decimals) for bound in (terms.lowest, terms.highest))
    return of.metric, of.level_bps, of.horizon_seconds, terms.decimals, lowest, highest


def _contract(rpc: JsonRpc, address: str | None) -> KnownContract:
    return KnownContract(rpc, compiled()["abi"], compiled()["bytecode"], address)
