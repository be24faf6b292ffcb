"""Whole blocks from a node: header, transactions, receipts with their logs; checked to belong together.

Everything that can be checked is checked: that the node is on the right chain, that it has the head that it reports,
that a block is the one asked for and follows the one before, that receipts are those of its transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from flows.chain.whole_blocks import (
    BrokenChain,
    Link,
    WholeBlock,
    all_logs,
    follows,
    link_of,
    logs_of,
    receipts_of,
    require_parent,
)
from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.log_ranges import RangeSize, log_ranges
from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused, SourceUnavailable

__all__ = [
    "TAGS",
    "TRIES",
    "BrokenChain",
    "ChainNode",
    "Link",
    "WholeBlock",
    "follows",
    "require_parent",
]

TAGS = ("latest", "safe", "finalized", "earliest")
TRIES = 3
"""How often a range is read that changes while it is read."""


class ChainNode:
    """A node that serves whole blocks. Safe to use from several threads."""

    def __init__(self, rpc: JsonRpc) -> None:
        self._rpc = rpc
        self._receipts_by_block = True
        self._lists_logs = True
        self._log_blocks = 2**62

    def __str__(self) -> str:
        return str(self._rpc)

    def require_chain(self, chain_id: int) -> None:
        """Raises `ConfigurationError` when the node is on another chain."""
        found = quantity(self._rpc.call("eth_chainId"), "eth_chainId")
        if found != chain_id:
            raise ConfigurationError(
                f"--network means chain {chain_id}, but {self} is on chain {found}; "
                f"change ETH_RPC_URL, or say --network {found}"
            )

    def head(self) -> Link:
        """The newest block. Raises `MalformedAnswer` when the node does not have the block it calls its head."""
        number = quantity(self._rpc.call("eth_blockNumber"), "eth_blockNumber")
        block = self._rpc.call("eth_getBlockByNumber", hex(number), False)
        if block is None:
            raise MalformedAnswer(
                f"{self} says its head is block {number}, but does not have that block: it is behind what it says, or "
                "answers come from several nodes. Nothing was written; use another node, or run again later"
            )
        return link_of(block, number, str(self))

    def links(self, numbers: Sequence[int]) -> list[Link]:
        """Number, hash and time of blocks, without their content. Raises `MalformedAnswer` for a missing one."""
        answers = self._rpc.batch([Request("eth_getBlockByNumber", (hex(n), False)) for n in numbers])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return [link_of(answer, n, str(self)) for answer, n in zip(answers, numbers, strict=True)]

    def resolve(self, end: str) -> int:
        """Number of `end`: a number, or latest, safe or finalized. Raises `SourceRefused` for one above the head."""
        head = self.head()
        if end == "latest":
            return head.number
        if end in TAGS:
            block = self._rpc.call("eth_getBlockByNumber", end, False)
            if block is None:
                raise SourceRefused(f"{self} has no {end} block yet; give --end-block as a number")
            number = quantity(block.get("number"), f"number of the {end} block")
        else:
            number = int(end)
        if number > head.number:
            raise SourceRefused(
                f"--end-block {end} is block {number}, above the node's head {head.number}; "
                "nothing was written: give an --end-block up to the head"
            )
        return number

    def read(self, first: int, last: int) -> list[WholeBlock]:
        """Blocks `first` to `last`, both included, each following the one before.

        Raises `BrokenChain` when they keep contradicting each other, `MalformedAnswer` for a missing or foreign block.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self._read(first, last)
            except BrokenChain:
                # Most often a block near the head was replaced between two answers; then the second try agrees.
                if attempt == TRIES:
                    raise
                self._rpc.rest(0.5 * attempt)
        raise AssertionError("unreachable")

    def rest(self, seconds: float) -> None:
        """Wait before the next request to the node."""
        self._rpc.rest(seconds)

    def log_body(self, first: int, last: int) -> bytes | None:
        """The answer of `eth_getLogs` as it came, unchecked; None when the node could not be reached."""
        try:
            return self._rpc.raw("eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last)})
        except SourceUnavailable:
            return None

    def logs(self, first: int, last: int) -> list[dict[str, Any]]:
        """Logs of blocks `first` to `last` by `eth_getLogs`, in order; see `flows.clients.log_ranges` for refusals.

        Raises `MalformedAnswer` for logs of other blocks, `RpcError` when a single block is refused.
        """

        def get(start: int, until: int) -> list[dict[str, Any]]:
            found = self._rpc.call("eth_getLogs", {"fromBlock": hex(start), "toBlock": hex(until)})
            return logs_of(found, start, until, str(self))

        size = RangeSize(min(last - first + 1, self._log_blocks), last - first + 1)
        parts = [logs for _, _, logs in log_ranges(self._rpc, get, first, last, size)]
        if len(parts) > 1:
            self._log_blocks = size.now  # the next range starts with this size
        return [log for part in parts for log in part]

    def _read(self, first: int, last: int) -> list[WholeBlock]:
        numbers = range(first, last + 1)
        wanted = [Request("eth_getBlockByNumber", (hex(n), True)) for n in numbers]
        by_block = self._receipts_by_block
        if by_block:
            wanted += [Request("eth_getBlockReceipts", (hex(n),)) for n in numbers]
        if lists_logs := self._lists_logs:
            wanted.append(Request("eth_getLogs", ({"fromBlock": hex(first), "toBlock": hex(last)},)))
        answers = self._rpc.batch(wanted)
        listing = answers.pop() if lists_logs else None
        blocks = [self._block(answer, n) for answer, n in zip(answers, numbers, strict=False)]
        receipts = answers[len(blocks) :]
        if any(isinstance(answer, RpcError) and _not_offered(answer) for answer in receipts):
            self._receipts_by_block = by_block = False
        if not by_block:
            receipts = self._receipts_one_by_one(blocks)
        listed = self._listed(listing, first, last)
        whole = []
        for block, answer, number in zip(blocks, receipts, numbers, strict=True):
            if isinstance(answer, RpcError):
                raise answer
            own = receipts_of(block, answer, number, str(self))
            logs = None if listed is None else all_logs(block, own, listed.get(number, []), str(self))
            whole.append(WholeBlock(block, own, logs))
        for before, after in pairwise(whole):
            follows(before.link, after, str(self))
        return whole

    def _listed(self, listing: Any, first: int, last: int) -> dict[int, list[dict[str, Any]]] | None:
        """Logs by block number from an answer of `eth_getLogs`; None where the node does not list them."""
        if listing is None:
            return None
        if isinstance(listing, RpcError):
            if _not_offered(listing):
                self._lists_logs = False
                return None
            try:
                listing = self.logs(first, last)
            except RpcError:  # the logs of a single block are refused: only those of its receipts are known
                return None
        listing = logs_of(listing, first, last, str(self))
        found: dict[int, list[dict[str, Any]]] = {}
        for log in listing:
            found.setdefault(int(log["blockNumber"], 16), []).append(log)
        return found

    def _block(self, answer: Any, number: int) -> dict[str, Any]:
        if isinstance(answer, RpcError):
            raise answer
        if answer is None:
            head = quantity(self._rpc.call("eth_blockNumber"), "eth_blockNumber")
            raise MalformedAnswer(
                f"{self} does not have block {number} although it says its head is {head}: it is still syncing, "
                "pruned, or behind what it says. What was read before is kept; use another node and run again"
            )
        link_of(answer, number, str(self))
        if not isinstance(answer.get("transactions"), list):
            raise MalformedAnswer(f"block {number} of {self}: expected a list of transactions")
        return answer

    def _receipts_one_by_one(self, blocks: Sequence[dict[str, Any]]) -> list[Any]:
        hashes = [[tx["hash"] for tx in block["transactions"]] for block in blocks]
        answers = self._rpc.batch([Request("eth_getTransactionReceipt", (h,)) for part in hashes for h in part])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        found = iter(answers)
        return [[next(found) for _ in part] for part in hashes]


def _not_offered(error: RpcError) -> bool:
    text = error.reason.lower()
    return error.is_unknown_method or any(
        words in text for words in ("not supported", "does not exist", "unsupported", "method not")
    )
