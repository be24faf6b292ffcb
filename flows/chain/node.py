"""Whole blocks from a node: header, transactions, receipts with their logs; checked to belong together.

Everything that can be checked is checked: that the node is on the right chain, that it has the head that it reports,
that a block is the one asked for and follows the one before, that receipts are those of its transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.log_ranges import RangeSize, log_ranges
from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused, SourceUnavailable

TAGS = ("latest", "safe", "finalized", "earliest")
TRIES = 3
"""How often a range is read that changes while it is read."""


class BrokenChain(MalformedAnswer):
    """Blocks that do not follow each other: a reorganisation between two answers, or a node that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the next block must fit: number, hash and time of a block; and the hash of the one before it."""

    number: int
    hash: str
    timestamp: int
    parent: str = ""


@dataclass(frozen=True, slots=True)
class WholeBlock:
    """A block as the node sent it, and the receipts of its transactions in their order.

    `listed`: all logs of the block in their order, those of no transaction too, where the node lists logs; None where
    it does not, and then only the logs of its receipts are known.
    """

    block: dict[str, Any]
    receipts: list[dict[str, Any]]
    listed: list[dict[str, Any]] | None = None

    @property
    def logs(self) -> list[dict[str, Any]]:
        """Every log that is known of the block, in order; the place in this list is its index in the tables."""
        if self.listed is not None:
            return self.listed
        return [log for receipt in self.receipts for log in receipt["logs"]]

    @property
    def n_loose(self) -> int:
        """Logs that belong to no transaction."""
        return len(self.logs) - sum(len(receipt["logs"]) for receipt in self.receipts)

    @property
    def link(self) -> Link:
        """The block's number, hash, time and parent."""
        return Link(
            int(self.block["number"], 16),
            self.block["hash"].lower(),
            int(self.block["timestamp"], 16),
            str(self.block.get("parentHash", "")).lower(),
        )


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
        return _link(block, number, str(self))

    def links(self, numbers: Sequence[int]) -> list[Link]:
        """Number, hash and time of blocks, without their content. Raises `MalformedAnswer` for a missing one."""
        answers = self._rpc.batch([Request("eth_getBlockByNumber", (hex(n), False)) for n in numbers])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return [_link(answer, n, str(self)) for answer, n in zip(answers, numbers, strict=True)]

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
            own = _receipts_of(block, answer, number, str(self))
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
        _link(answer, number, str(self))
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


def follows(before: Link, after: WholeBlock, who: str) -> None:
    """Check that a block is the child of `before`. Raises `BrokenChain` naming both."""
    require_parent(before, after.link, who)


def require_parent(before: Link, link: Link, who: str) -> None:
    """Check that a block is the child of `before`. Raises `BrokenChain` naming both."""
    if link.number != before.number + 1:
        raise BrokenChain(f"{who}: block {before.number + 1} expected after {before.number}, found {link.number}")
    if link.parent != before.hash:
        raise BrokenChain(
            f"{who}: block {link.number} names parent {link.parent}, but block {before.number} is {before.hash}: the "
            "chain was reorganised while it was read, or the node contradicts itself. Nothing from there on was "
            "written; run again, with --end-block finalized to stay clear of reorganisations"
        )
    if link.timestamp < before.timestamp:
        raise BrokenChain(
            f"{who}: block {link.number} has time {link.timestamp}, before its parent's {before.timestamp}; times of a "
            "chain do not go backwards. Nothing from there on was written; use another node"
        )


def _link(block: Any, number: int, who: str) -> Link:
    try:
        found = Link(
            int(block["number"], 16),
            block["hash"].lower(),
            int(block["timestamp"], 16),
            str(block.get("parentHash", "")).lower(),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise MalformedAnswer(
            f"block {number} of {who}: expected number, hash and timestamp, found {str(block)[:120]!r}"
        ) from exc
    if found.number != number:
        raise MalformedAnswer(f"{who} answers with block {found.number} where block {number} was asked for")
    return found


def logs_of(found: Any, first: int, last: int, who: str) -> list[dict[str, Any]]:
    """An answer of `eth_getLogs`, checked to hold only logs of blocks `first` to `last`. Raises `MalformedAnswer`."""
    if not isinstance(found, list):
        raise MalformedAnswer(f"eth_getLogs of {who}: expected a list, found {str(found)[:80]!r}")
    try:
        numbers = {int(text, 16) for text in {log["blockNumber"] for log in found}}
        removed = any(log.get("removed") for log in found)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise MalformedAnswer(f"eth_getLogs of {who}: a log without block ({exc!r})") from exc
    if removed or (numbers and not first <= min(numbers) <= max(numbers) <= last):
        raise MalformedAnswer(
            f"eth_getLogs of {who}: asked for blocks {first} to {last}, found logs of other or of removed blocks"
        )
    return found


def all_logs(
    block: dict[str, Any], receipts: Sequence[dict[str, Any]], listed: list[dict[str, Any]], who: str
) -> list[dict[str, Any]]:
    """Every log of a block in order, from the node's list and from its receipts, which must agree.

    A log that belongs to no transaction (what the chain itself does at the end of a block on zkSync or Celo) is only in
    the list. It gets the block's own hash as its transaction hash, as on Celo, and the place after the last
    transaction. The node's own numbers of logs are used for their order only. Raises `BrokenChain` where list and
    receipts differ in any other way.
    """
    number, named = block["number"], {tx["hash"].lower() for tx in block["transactions"]}
    own = [log for receipt in receipts for log in receipt["logs"]]
    try:
        if any(log["blockHash"].lower() != block["hash"].lower() for log in listed):
            raise BrokenChain(f"{who}: the logs listed of block {int(number, 16)} belong to another block there")
        places = [int(log["logIndex"], 16) for log in listed]
        if any(after <= before for before, after in pairwise(places)):
            listed = [log for _, log in sorted(zip(places, listed, strict=True), key=lambda pair: pair[0])]
        of_none = [(log["transactionHash"] or "").lower() not in named for log in listed]
        kept = [log for log, loose in zip(listed, of_none, strict=True) if not loose]
        same = len(kept) == len(own) and (
            all(map(_same_log, kept, own)) or [_lower(log) for log in kept] == [_lower(log) for log in own]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise MalformedAnswer(
            f"{who}: a log of block {int(number, 16)} is not what JSON-RPC promises ({type(exc).__name__}: {exc})"
        ) from exc
    if not same or len(set(places)) < len(places):
        raise BrokenChain(
            f"{who}: block {int(number, 16)} has {len(own)} logs by its receipts, and {len(kept)} by eth_getLogs that "
            "belong to its transactions; they are not the same. Nothing from there on was written; run again, or use "
            "another node"
        )
    if not any(of_none):
        return own
    nowhere = {"transactionHash": block["hash"], "transactionIndex": hex(len(named))}
    return [log | nowhere if loose else log for log, loose in zip(listed, of_none, strict=True)]


def _same_log(first: dict[str, Any], other: dict[str, Any]) -> bool:
    return (
        first["transactionHash"] == other["transactionHash"]
        and first["address"] == other["address"]
        and first["topics"] == other["topics"]
        and first["data"] == other["data"]
    )


def _lower(log: dict[str, Any]) -> tuple[Any, ...]:
    topics = tuple(topic.lower() for topic in log["topics"])
    return log["transactionHash"].lower(), log["address"].lower(), topics, log["data"].lower()


def _receipts_of(block: dict[str, Any], answer: Any, number: int, who: str) -> list[dict[str, Any]]:
    """The receipts of a block's transactions, checked to be exactly those, with logs numbered upwards.

    Everything that is stated twice must agree: the block's number and hash, the hash and the place of each transaction,
    in the block, in its receipt and in each of its logs.
    """
    if not isinstance(answer, list) or any(not isinstance(row, dict) for row in answer):
        # A receipt that is null: the transaction left its block between two answers.
        raise BrokenChain(f"{who}: receipts of block {number} are missing")
    try:
        named = [tx["hash"].lower() for tx in block["transactions"]]
        own_hash = block["hash"].lower()
        # Celo adds a receipt of the block itself after those of its transactions; its logs are listed as well.
        if len(answer) > len(named) and answer[-1]["transactionHash"].lower() == own_hash:
            answer = answer[:-1]
        given = [row["transactionHash"].lower() for row in answer]
        foreign = {row["blockHash"].lower() for row in answer} - {own_hash}
        places = [int(log["logIndex"], 16) for row in answer for log in row["logs"]]
        strangers = {log["blockHash"].lower() for row in answer for log in row["logs"]} - {own_hash}
        removed = any(log.get("removed") for row in answer for log in row["logs"])
        contradiction = _odd_places(block, answer, number)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise MalformedAnswer(
            f"{who}: a receipt of block {number} is not what JSON-RPC promises ({type(exc).__name__}: {exc})"
        ) from exc
    if foreign or strangers or removed:
        raise BrokenChain(f"{who}: receipts of block {number} ({block['hash']}) belong to another block at that height")
    if given != named:
        raise BrokenChain(
            f"{who}: block {number} has {len(named)} transactions, its receipts name {len(given)} "
            "transactions that are not the same in the same order"
        )
    if any(after <= before for before, after in pairwise(places)):
        raise MalformedAnswer(f"{who}: logs of block {number} are repeated or out of order: {places[:20]}")
    if contradiction:
        raise MalformedAnswer(
            f"{who}: block {number} contradicts itself: {contradiction}. Nothing from there on was written; use "
            "another node"
        )
    return answer


def _odd_places(block: dict[str, Any], receipts: Sequence[dict[str, Any]], number: int) -> str:
    """The first contradiction between a block and its receipts, in words; empty for none."""
    for place, (tx, receipt) in enumerate(zip(block["transactions"], receipts, strict=False)):
        whose = f"transaction {tx['hash']} at place {place}"
        for what, row in (("it", tx), ("its receipt", receipt)):
            if int(row["transactionIndex"], 16) != place:
                return f"{whose} has place {int(row['transactionIndex'], 16)} by {what}"
            if int(row["blockNumber"], 16) != number:
                return f"{whose} is in block {int(row['blockNumber'], 16)} by {what}"
        logs = receipt["logs"]
        for named, index, at in {(log["transactionHash"], log["transactionIndex"], log["blockNumber"]) for log in logs}:
            if named.lower() != receipt["transactionHash"].lower():
                return f"a log in the receipt of {whose} names transaction {named}"
            if int(index, 16) != place:
                return f"a log of {whose} names place {int(index, 16)}"
            if int(at, 16) != number:
                return f"a log of {whose} names block {int(at, 16)}"
    return ""


def _not_offered(error: RpcError) -> bool:
    text = error.reason.lower()
    return error.is_unknown_method or any(
        words in text for words in ("not supported", "does not exist", "unsupported", "method not")
    )
