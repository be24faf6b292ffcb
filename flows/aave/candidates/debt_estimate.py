"""Estimate how many requests a read of the debt needs and how long they take, from a few samples of the log."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.aave.accounts import ACCOUNT_DATA_CHUNK
from flows.aave.candidates.workload import CLOSE_SHARE, FIXED_REQUESTS, READS_A_REQUEST, duration
from flows.aave.checks import SAMPLE
from flows.aave.holders import FIRST_RANGE
from flows.clients import abis
from flows.clients.block_reader import BlockReader, calls_for
from flows.clients.log_ranges import RangeSize, log_ranges

if TYPE_CHECKING:
    from flows.aave.candidates.borrowers import BorrowScan
    from flows.aave.place import Place
    from flows.clients.block_reader import Block

LOOKS = 4
"""Ranges of the log that are sampled, evenly spread; the newest blocks are one of them."""
DEBT_SHARE = 0.5
"""Share of all borrowers that is assumed to have debt now."""
READS_A_DEBTOR = 4
"""Reads for each account with debt: e-mode, and one or two debts and collaterals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtEstimate:
    """`log_requests` at `log_latency` seconds, then reads of `names` accounts at `node_latency`; several at once.

    `names`: accounts that the log names. From samples it is too high, as an account that borrowed in several ranges
    is counted once in each.
    """

    log_requests: int
    names: int
    log_latency: float
    node_latency: float
    concurrency: int
    reads_a_request: int = READS_A_REQUEST

    @property
    def requests(self) -> int:
        """All requests."""
        indebted = math.ceil(DEBT_SHARE * self.names)
        reads = self.names + READS_A_DEBTOR * indebted
        compared = min(indebted, SAMPLE + round(CLOSE_SHARE * indebted))
        state = FIXED_REQUESTS + math.ceil(reads / self.reads_a_request) + math.ceil(compared / ACCOUNT_DATA_CHUNK)
        return self.log_requests + state

    @property
    def seconds(self) -> float:
        """Seconds for all requests."""
        state = self.requests - self.log_requests
        return (self.log_requests * self.log_latency + state * self.node_latency) / self.concurrency

    def __str__(self) -> str:
        return (
            f"about {self.requests:,} requests, {duration(self.seconds)}: {self.log_requests:,} for the pool's Borrow "
            f"events at {self.log_latency:.2f} s, {self.requests - self.log_requests:,} for about {self.names:,} "
            f"accounts that they name at {self.node_latency:.2f} s, {self.concurrency} at once"
        )


def estimate(scan: BorrowScan, place: Place, block: Block, first_block: int) -> DebtEstimate:
    """The estimate for what is left to read up to `block`, from `LOOKS` ranges of the log and one batch of state."""
    _, start = scan.resume(first_block, block.number)
    spans = [
        (first, min(first + FIRST_RANGE - 1, block.number)) for first in range(start, block.number + 1, FIRST_RANGE)
    ]
    looked = spans if len(spans) <= LOOKS else [spans[i * (len(spans) - 1) // (LOOKS - 1)] for i in range(LOOKS)]
    names: set[str] = set()
    per_span, began, asked = [], time.perf_counter(), scan.rpc.requests_made
    for first, last in looked:
        # A node with small ranges needs several requests for one span; their number shows its range.
        parts = log_ranges(
            scan.rpc, lambda a, b: scan.logs(a, b, newest=False), first, last, RangeSize(last - first + 1)
        )
        found = {account for _, _, logs in parts for _, account in scan.named(logs)}
        names |= found
        per_span.append(len(found))
    spent, n_asked = time.perf_counter() - began, scan.rpc.requests_made - asked
    known = set(scan.names(()))
    seen = len(names | known)
    if len(looked) < len(spans):  # the last range may be short, so scale by blocks
        in_blocks = sum(last - first + 1 for first, last in looked)
        seen = len(known) + sum(per_span) * (block.number - start + 1) // in_blocks
    reader = BlockReader(scan.rpc, block, multicall=place.multicall3, concurrency=scan.concurrency)
    reads = READS_A_REQUEST if reader.uses_multicall else 1
    began = time.perf_counter()
    reader.read(
        calls_for([(place.provider, "anybody")] * reads, scan.tokens.pool, abis.GET_USER_CONFIGURATION), may_fail=True
    )
    return DebtEstimate(
        log_requests=math.ceil(len(spans) * n_asked / len(looked)) if looked else 0,
        names=seen,
        log_latency=spent / n_asked if n_asked else 0.0,
        node_latency=time.perf_counter() - began,
        concurrency=scan.concurrency,
        reads_a_request=reads,
    )
