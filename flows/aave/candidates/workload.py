"""How many requests a verified read needs and how long they take, from a sample of the candidates: printed first.

Addresses are digests, so the accounts that begin with one hexadecimal digit are a sixteenth of all, give or take the
root of their number; with two digits a 256th.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.aave.accounts import ACCOUNT_DATA_CHUNK
from flows.aave.candidates.subgraph import SHARDS
from flows.aave.checks import SAMPLE
from flows.clients.graphql import PAGE

if TYPE_CHECKING:
    from flows.aave.candidates.subgraph import GraphPosition

READS_A_REQUEST = 400
"""View calls in one aggregate3; a node that takes more makes the estimate an upper one."""
FIXED_REQUESTS = 12
"""Contracts, reserves and e-modes."""
CLOSE_SHARE = 0.05
"""Share of the indebted accounts taken to be close to liquidation; all of those are compared with the pool."""
ENOUGH = 400
"""Accounts of a sample: they tell the number of all within 5 % (one standard deviation)."""
SAMPLED = ("7f", "7", "")
"""First digits of the accounts looked at, as many as it takes; none for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Accounts, balances (scaled supply or debt above zero) and accounts with debt; `error` one relative deviation."""

    accounts: int
    balances: int
    indebted: int
    error: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Latencies are seconds a request; the two sides are asked one after the other, each `concurrency` at once."""

    size: Size
    sources: int
    """Times that the subgraph's holdings are paged through (supply, debt); 0 where the candidates come from a file."""
    subgraph_latency: float
    node_latency: float
    subgraph_concurrency: int
    node_concurrency: int
    reads_a_request: int = READS_A_REQUEST

    @property
    def shards(self) -> Sequence[str]:
        """First digits of the accounts that are read side by side; all together where that is one page or two."""
        return ("",) if self.size.balances < 2 * PAGE else tuple(SHARDS)

    @property
    def queries(self) -> int:
        """Full pages, and for every shard and side a part of a page and the empty one that ends it."""
        if not self.sources:
            return 0
        return self.size.balances // PAGE + 2 * len(self.shards) * self.sources + 2

    @property
    def requests(self) -> int:
        """Requests to the node, whole ones."""
        reads = 2 * self.size.accounts + self.size.balances
        compared = min(self.size.indebted, SAMPLE + round(CLOSE_SHARE * self.size.indebted))
        return FIXED_REQUESTS + math.ceil(reads / self.reads_a_request) + math.ceil(compared / ACCOUNT_DATA_CHUNK)

    @property
    def seconds(self) -> float:
        """Seconds that the read takes in all."""
        return (
            self.queries * self.subgraph_latency / self.subgraph_concurrency
            + self.requests * self.node_latency / self.node_concurrency
        )

    def __str__(self) -> str:
        about = (
            f"about {self.size.accounts:,} accounts (±{2 * self.size.error:.0%})"
            if self.size.error
            else (f"{self.size.accounts:,} accounts")
        )
        subgraph = (
            f"{self.queries:,} subgraph queries at {self.subgraph_latency:.2f} s, {self.subgraph_concurrency} at once; "
            if self.sources
            else ""
        )
        return (
            f"{about} with {self.size.balances:,} balances: {subgraph}{self.requests:,} node requests at "
            f"{self.node_latency:.2f} s, {self.node_concurrency} at once; {duration(self.seconds)} in all"
        )


def sampled_size(fetch: Callable[[str], dict[str, GraphPosition]]) -> tuple[Size, int, float]:
    """(size of the market, queries it took at least, seconds) from the accounts whose address begins in some way.

    `fetch` gives the holdings of the accounts that begin with "0x…".
    """
    started = time.perf_counter()
    queries = 0
    for digits in SAMPLED:
        found = list(fetch(f"0x{digits}").values())
        queries += 4 + len(found) // PAGE
        accounts = {p.account for p in found}
        if len(accounts) >= ENOUGH or not digits:
            break
    times = 16 ** len(digits)
    size = Size(
        accounts=len(accounts) * times,
        balances=sum((p.scaled_supply > 0) + (p.scaled_debt > 0) for p in found) * times,
        indebted=len({p.account for p in found if p.scaled_debt}) * times,
        error=1 / math.sqrt(len(accounts)) if digits else 0.0,
    )
    return size, queries, time.perf_counter() - started


def duration(seconds: float) -> str:
    """Seconds in words of a person.

    >>> duration(42), duration(247)
    ('42 s', '4.1 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
