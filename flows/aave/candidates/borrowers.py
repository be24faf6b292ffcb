"""Find every account that ever had debt, from the pool's `Borrow` events.

Debt tokens are minted only by the pool's borrow routine, which emits `Borrow`, and cannot be transferred. So these
events (one topic of one contract) name every debtor: flash loans that end as debt emit the same event, and with credit
delegation `onBehalfOf` (topic 2) is the debtor; `user` is only the caller. On v2 and the first pools of v3 a debt may
change between the stable and the variable rate, but it was borrowed first.
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
    """The log scan of one pool for borrowers; reads logs of the pool only, and stores each borrower as (pool, account).

    Blocks that a scan for all holders has read need not be read again: it reads the same events.
    """

    source: str = SOURCE
    protocol: str = V3

    def logs(self, first: int, last: int, *, newest: bool) -> list[dict[str, Any]]:
        """The `Borrow` events of blocks `first` to `last`, in one request. Raises `RpcError`."""
        return get_logs(self.rpc, [self.tokens.pool], [EVENT[self.protocol]], first, last, newest=newest)

    def ranges(self, first: int, last: int, first_range: int) -> Iterator[ScannedRange]:
        """The borrowers of blocks `first` to `last`, range by range; the first range has `first_range` blocks."""

        def get(start: int, until: int) -> list[dict[str, Any]]:
            return self.logs(start, until, newest=until == last)

        size = RangeSize(first_range)
        for start, until, logs in log_ranges(self.rpc, get, first, last, size, concurrency=self.concurrency):
            yield ScannedRange(start, until, self.named(logs))

    def named(self, logs: Iterable[dict[str, Any]]) -> dict[Pair, int]:
        """(pool, account) of each borrower -> first block that names it. Raises `MalformedAnswer`."""
        found: dict[Pair, int] = {}
        for log in logs:
            try:
                topics = [topic.lower() for topic in log["topics"]]
                if log["address"].lower() != self.tokens.pool or topics[0] != EVENT[self.protocol]:
                    continue  # some nodes return more than was asked for
                _, _, owner, _ = topics
                block = quantity(log["blockNumber"], "block number of a log")
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as exc:
                raise malformed(log) from exc
            pair = self.tokens.pool, "0x" + owner[-40:]
            if pair[1] != NOBODY:
                found[pair] = min(block, found.get(pair, block))
        return found

    def resume(self, first_block: int, newest: int) -> tuple[int, int]:
        """(first block scanned, next block to read), from the scan that came further: of borrowers or of holders."""
        own = HolderScan.resume(self, first_block, newest)
        holders = HolderScan.resume(replace(self, source=holder_scan.SOURCE), first_block, newest)
        return max(own, holders, key=lambda begun_and_start: begun_and_start[1])

    def names(self, debt_tokens: Iterable[str]) -> list[str]:
        """Every account that is stored as a borrower of this pool, or as a holder of one of its debt tokens, sorted."""
        known = {self.tokens.pool, *debt_tokens}
        rows = self.run.store.rows("SELECT token, account FROM raw_aave_holders WHERE market = ?", (self.market,))
        return sorted({account for token, account in rows if token in known})

    def forget(self) -> None:
        """Reset the checkpoints, so that the next scan reads everything: the stored names are incomplete."""
        for source in (self.source, holder_scan.SOURCE):
            if self.run.store.checkpoint(source, self.key):
                never = {"first": 2**62, "last": 0, "hash": ""}
                self.run.write(source, f"{self.key}: incomplete", {}, marks=[Mark(source, self.key, never)])
