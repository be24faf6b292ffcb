"""A node on loopback that has Chainlink feeds and nothing else, and misbehaves on request.

Written from the same fact sheet as our client (interfaces of npm @chainlink/contracts 1.4.0); the rounds that contracts
really keep are read in tests/node/test_oracle_prices.py. Encoded by eth_abi, so our own decoding is not its witness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eth_abi import encode
from eth_utils import keccak

from tests.flows.aave.fake_node import REVERT, Refused, call_data

ROUND = ["uint80", "int256", "uint256", "uint256", "uint80"]


@dataclass
class FeedOfNode:
    """Answers by (phase, round): (answer, started at, updated at, answered in); a phase's aggregator by its id."""

    decimals: int = 8
    description: str = "ETH / USD"
    rounds: dict[tuple[int, int], tuple[int, int, int, int]] = field(default_factory=dict)
    aggregators: dict[int, str] = field(default_factory=dict)
    zeros_for_missing: bool = False

    def push(self, phase: int, *answers: int, start: int, every: int = 60) -> None:
        """Rounds after the last one of a phase, `every` seconds apart."""
        self.aggregators.setdefault(phase, f"0x{phase:040x}")
        last = max((n for p, n in self.rounds if p == phase), default=0)
        for i, answer in enumerate(answers):
            at = start + every * i
            self.rounds[phase, last + 1 + i] = (answer, at, at, last + 1 + i)

    def words(self, phase: int, number: int) -> bytes:
        if (phase, number) not in self.rounds:
            if self.zeros_for_missing:
                return encode(ROUND, [0, 0, 0, 0, 0])
            raise REVERT
        answer, started, updated, answered = self.rounds[phase, number]
        return encode(ROUND, [phase << 64 | number, answer, started, updated, phase << 64 | answered])


class FeedNode:
    """`feeds` by address. `busy_after`: so many requests are answered, then the node says that it is busy."""

    def __init__(self, chain_id: int = 1, tip: int = 1000, time: int = 1_700_000_000) -> None:
        self.chain_id, self.tip, self.time = chain_id, tip, time
        self.feeds: dict[str, FeedOfNode] = {}
        self.max_batch = 10**9
        self.http_answers: list[tuple[int, bytes]] = []
        self.busy_after: int | None = None
        self.asked: Counter[str] = Counter()
        self.fork = 0
        self.replaced_by: Callable[[str], bool] = lambda data: False
        """Calls after which the block is another one."""
        self.instead: dict[str, bytes] = {}
        """Answers by call data that win over everything."""

    def answer(self, method: str, params: list[Any]) -> Any:
        if self.busy_after is not None:
            if self.busy_after <= 0:
                raise Refused(-32005, "too many requests")
            self.busy_after -= 1
        self.asked[method] += 1
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.tip)
            case "eth_getBlockByNumber":
                number = self.tip if params[0] == "latest" else int(params[0], 16)
                digest = keccak(text=f"block {number} {self.fork}").hex()
                return {"number": hex(number), "hash": f"0x{digest}", "timestamp": hex(self.time)}
            case "eth_getCode":
                return "0x"
            case "eth_call":
                return "0x" + self._call(params[0]["to"].lower(), params[0]["data"]).hex()
        raise Refused(-32601, f"the method {method} does not exist")

    def _call(self, to: str, data: str) -> bytes:
        self.fork += self.replaced_by(data)
        if data in self.instead:
            return self.instead[data]
        for feed in self.feeds.values():
            for phase, aggregator in feed.aggregators.items():
                if to == aggregator and data == call_data("latestRound()"):
                    return encode(["uint256"], [max((n for p, n in feed.rounds if p == phase), default=0)])
        if to not in self.feeds:
            return b""
        feed = self.feeds[to]
        current = max(feed.aggregators)
        selector, argument = data[:10], int(data[10:] or "0", 16)
        answers = {
            "decimals()": lambda: encode(["uint8"], [feed.decimals]),
            "description()": lambda: encode(["string"], [feed.description]),
            "aggregator()": lambda: encode(["address"], [feed.aggregators[current]]),
            "phaseId()": lambda: encode(["uint16"], [current]),
            "latestRoundData()": lambda: feed.words(current, max(n for p, n in feed.rounds if p == current)),
        }
        for signature, said in answers.items():
            if data == call_data(signature):
                return said()
        if selector == call_data("phaseAggregators(uint16)", 0)[:10]:
            return encode(["address"], [feed.aggregators.get(argument, "0x" + "00" * 20)])
        if selector == call_data("getRoundData(uint80)", 0)[:10]:
            return feed.words(argument >> 64, argument & (2**64 - 1))
        raise REVERT
