"""Check a block and its parts: the requested block, the child of the one before, with its own receipts and logs.

Nothing here sends requests; `who` is the name of the node in messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flows.errors import MalformedAnswer


class BrokenChain(MalformedAnswer):
    """Blocks that do not follow each other: a reorganisation between two answers, or contradicting answers."""


@dataclass(frozen=True, slots=True)
class Link:
    """Number, hash and time of a block, which the next block must fit, and the hash of its parent."""

    number: int
    hash: str
    timestamp: int
    parent: str = ""


@dataclass(frozen=True, slots=True)
class WholeBlock:
    """A block as the node sent it, and the receipts of its transactions in their order.

    `listed`: all logs of the block in order, also those without a transaction; None where the node does not list logs,
    so that only the logs of the receipts are known.
    """

    block: dict[str, Any]
    receipts: list[dict[str, Any]]
    listed: list[dict[str, Any]] | None = None

    @property
    def logs(self) -> list[dict[str, Any]]:
        """All known logs of the block, in order; the place in this list is `log_index` of the tables."""
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


def link_of(block: Any, number: int, who: str) -> Link:
    """The `Link` of an answer, which must be block `number`. Raises `MalformedAnswer`."""
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
        raise MalformedAnswer(f"{who}: expected block {number}, found block {found.number}")
    return found


def logs_of(found: Any, first: int, last: int, who: str) -> list[dict[str, Any]]:
    """An answer of `eth_getLogs`, which must have only logs of blocks `first` to `last`. Raises `MalformedAnswer`."""
    if not isinstance(found, list):
        raise MalformedAnswer(f"eth_getLogs of {who}: expected a list, found {str(found)[:80]!r}")
    try:
        numbers = {int(text, 16) for text in {log["blockNumber"] for log in found}}
        removed = any(log.get("removed") for log in found)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise MalformedAnswer(f"eth_getLogs of {who}: a log without block ({exc!r})") from exc
    if removed or (numbers and not first <= min(numbers) <= max(numbers) <= last):
        raise MalformedAnswer(
            f"eth_getLogs of {who}: expected logs of blocks {first} to {last}, found logs of other or removed blocks"
        )
    return found


def all_logs(
    block: dict[str, Any], receipts: Sequence[dict[str, Any]], listed: list[dict[str, Any]], who: str
) -> list[dict[str, Any]]:
    """Every log of a block in order, from the node's list and from the receipts, which must agree.

    A log without a transaction (made by the chain at the end of a block on zkSync or Celo) is only in the list. Its
    transaction hash is set to the block's hash, as Celo does, and its place is after the last transaction. The node's
    log index is used only for the order. Raises `BrokenChain` for any other difference between list and receipts.
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


def _same_log(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (
        one["transactionHash"] == other["transactionHash"]
        and one["address"] == other["address"]
        and one["topics"] == other["topics"]
        and one["data"] == other["data"]
    )


def _lower(log: dict[str, Any]) -> tuple[Any, ...]:
    topics = tuple(topic.lower() for topic in log["topics"])
    return log["transactionHash"].lower(), log["address"].lower(), topics, log["data"].lower()


def receipts_of(block: dict[str, Any], answer: Any, number: int, who: str) -> list[dict[str, Any]]:
    """The receipts of exactly the block's transactions, with rising log indices.

    Repeated values must be equal: the block's number and hash, the hash and the place of each transaction, in the
    block, in its receipt and in each of its logs. Raises `MalformedAnswer` or `BrokenChain`.
    """
    if not isinstance(answer, list) or any(not isinstance(row, dict) for row in answer):
        # A receipt that is null: the transaction left its block between two answers.
        raise BrokenChain(f"{who}: receipts of block {number} are missing")
    try:
        named = [tx["hash"].lower() for tx in block["transactions"]]
        own_hash = block["hash"].lower()
        # Celo adds a receipt of the block itself after those of its transactions; the list has its logs as well.
        if len(answer) > len(named) and answer[-1]["transactionHash"].lower() == own_hash:
            answer = answer[:-1]
        given = [row["transactionHash"].lower() for row in answer]
        foreign = {row["blockHash"].lower() for row in answer} - {own_hash}
        places = [int(log["logIndex"], 16) for row in answer for log in row["logs"]]
        strangers = {log["blockHash"].lower() for row in answer for log in row["logs"]} - {own_hash}
        removed = any(log.get("removed") for row in answer for log in row["logs"])
        odd = _odd_places(block, answer, number)
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
    if odd:
        raise MalformedAnswer(
            f"{who}: block {number} contradicts itself: {odd}. Nothing from there on was written; use another node"
        )
    return answer


def _odd_places(block: dict[str, Any], receipts: Sequence[dict[str, Any]], number: int) -> str:
    """The first repeated value of a block that is not equal, in words; "" for none."""
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
