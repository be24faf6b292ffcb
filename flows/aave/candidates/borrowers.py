"""The accounts of a read of the debt: every account that the pool's `Borrow` events name.

A debt token has one way to be minted, the pool's borrow routine, which emits `Borrow`; it cannot be sent. So these
events, one topic of one contract, name everybody who ever owed: flash loans that end as debt emit the same event, and
with credit delegation `onBehalfOf` (topic 2) is who owes. `user` is only who called. On v2 and the first pools of v3
a debt may change between the stable and the variable rate; it was borrowed first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from flows.aave import holder_scan
from flows.aave.address_book import V2, V3
from flows.aave.holder_scan import HolderScan
from flows.aave.holders import NOBODY, Pair, ScannedRange, get_logs, malformed
from flows.clients import abis
from flows.clients.json_rpc import quantity
from flows.clients.log_ranges import RangeSize, log_ranges
from flows.pipeline import Mark

SOURCE = "aave_borrowers"
EVENT = {V2: abis.BORROW_V2, V3: abis.BORROW}


@dataclass(frozen=True, slots=True)
class BorrowScan(HolderScan):
    """The scan of one pool for borrowers; only the pool of `tokens` is listened to. A name is kept as (pool, account).

    What a scan for all holders has stored counts as well: it has read the same events.
    """

    source: str = SOURCE
    protocol: str = V3

    def logs(self, first: int, last: int, *, newest: bool) -> list[dict[str, Any]]:
        """The `Borrow` events of blocks `first` to `last`, in one request. Raises `RpcError`."""
        return get_logs(self.rpc, [self.tokens.pool], [EVENT[self.protocol]], first, last, newest=newest)

    def ranges(self, first: int, last: int, first_range: int) -> Iterator[ScannedRange]:
        """What was found in each range of blocks from `first` to `last`, the first of `first_range` blocks."""

        def get(start: int, until: int) -> list[dict[str, Any]]:
            return self.logs(start, until, newest=until == last)

        size = RangeSize(first_range)
        for start, until, logs in log_ranges(self.rpc, get, first, last, size, concurrency=self.concurrency):
            yield ScannedRange(start, until, self.named(logs))

    def named(self, logs: Iterable[dict[str, Any]]) -> dict[Pair, int]:
        """(pool, account) of everybody the logs say owes, with the first block. Raises `MalformedAnswer`."""
        found: dict[Pair, int] = {}
        for log in logs:
            try:
                topics = [topic.lower() for topic in log["topics"]]
                if log["address"].lower() != self.tokens.pool or topics[0] != EVENT[self.protocol]:
                    continue  # a node that gives more than was asked for
                _, _, owner, _ = topics
                block = quantity(log["blockNumber"], "block number of a log")
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as exc:
                raise malformed(log) from exc
            pair = self.tokens.pool, "0x" + owner[-40:]
            if pair[1] != NOBODY:
                found[pair] = min(block, found.get(pair, block))
        return found

    def resume(self, first_block: int, newest: int) -> tuple[int, int]:
        """(first block scanned, block to go on from), by the scan of borrowers or of holders that came further."""
        own = HolderScan.resume(self, first_block, newest)
        holders = HolderScan.resume(replace(self, source=holder_scan.SOURCE), first_block, newest)
        return max(own, holders, key=lambda begun_and_start: begun_and_start[1])

    def names(self, debt_tokens: Iterable[str]) -> list[str]:
        """Every account that is stored as a borrower of this pool, or as a holder of one of its debt tokens, sorted."""
        known = {self.tokens.pool, *debt_tokens}
        rows = self.run.store.rows("SELECT token, account FROM raw_aave_holders WHERE market = ?", (self.market,))
        return sorted({account for token, account in rows if token in known})

    def forget(self) -> None:
        """The next scan begins at the beginning: what is stored has proved to be incomplete."""
        for source in (self.source, holder_scan.SOURCE):
            if self.run.store.checkpoint(source, self.key):
                never = {"first": 2**62, "last": 0, "hash": ""}
                self.run.write(source, f"{self.key}: incomplete", {}, marks=[Mark(source, self.key, never)])
