"""A node on loopback with a chain made of a few logs; blocks can be replaced, ranges refused, calls answered.

Client and server were written from one sheet (eth_getLogs as public nodes document it); what real nodes answer is
tested on recorded receipts and on the local chain of `tests/node`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.flows.aave.fake_node import Refused, call_data
from tests.flows.lending.logs import block_hash


class LendingNode:
    """`logs` by `tests.flows.lending.logs.log`; `salts` of replaced blocks; `answers` by (address, call data)."""

    def __init__(self, tip: int = 200, chain_id: int = 1) -> None:
        self.tip, self.chain_id = tip, chain_id
        self.logs: list[dict[str, Any]] = []
        self.salts: dict[int, str] = {}
        self.answers: dict[tuple[str, str], bytes] = {}
        self.max_log_range = 10**9
        self.max_batch = 10**9
        self.http_answers: list[tuple[int, bytes]] = []
        self.fail_after: int | None = None
        """Number of eth_getLogs after which the node is away."""
        self.asked: Counter[str] = Counter()
        self.ranges: list[tuple[int, int]] = []

    def say(self, to: str, signature: str, *args: str | int, answer: bytes) -> None:
        self.answers[to.lower(), call_data(signature, *args)] = answer

    def replace(self, block: int, salt: str, *logs: dict[str, Any]) -> None:
        """Another block at that height, with these logs."""
        self.salts[block] = salt
        self.logs = [log for log in self.logs if int(log["blockNumber"], 16) != block] + list(logs)

    def answer(self, method: str, params: list[Any]) -> Any:
        self.asked[method] += 1
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.tip)
            case "eth_getBlockByNumber":
                number = self.tip if params[0] in ("latest", "finalized", "safe") else int(params[0], 16)
                if number > self.tip:
                    return None
                return {
                    "number": hex(number),
                    "hash": block_hash(number, self.salts.get(number, "")),
                    "timestamp": hex(time_of(number)),
                }
            case "eth_getCode":
                return "0x60" if any(to == params[0].lower() for to, _ in self.answers) else "0x"
            case "eth_call":
                raw = self.answers.get((params[0]["to"].lower(), params[0]["data"]))
                if raw is None:
                    raise Refused(3, "execution reverted", "0x")
                return "0x" + raw.hex()
            case "eth_getLogs":
                return self._get_logs(params[0])
        raise Refused(-32601, f"the method {method} does not exist")

    def _get_logs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        if self.fail_after is not None and self.asked["eth_getLogs"] > self.fail_after:
            raise Refused(-32000, "internal error")
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        if last - first + 1 > self.max_log_range:
            raise Refused(-32005, f"query exceeds max block range {self.max_log_range}")
        self.ranges.append((first, last))
        addresses, topics = {a.lower() for a in wanted["address"]}, set(wanted["topics"][0])
        return [
            log
            for log in self.logs
            if first <= int(log["blockNumber"], 16) <= last
            and log["address"] in addresses
            and log["topics"][0] in topics
        ]


def time_of(block: int) -> int:
    """Seconds UTC of a block of this chain."""
    return 1_750_000_000 + 12 * block
