"""Estimate how many requests a verified read needs and how long they take, from a sample of the candidates.

Addresses are digests, so one sixteenth of the accounts begin with a given hexadecimal digit, and one 256th with two
given digits. The standard deviation of a sample's size is the square root of that size.
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
"""View calls in one aggregate3; if a node accepts more, the estimate is too high."""
FIXED_REQUESTS = 12
"""Requests for contracts, reserves and e-modes."""
CLOSE_SHARE = 0.05
"""Share of the accounts with debt that is assumed to be close to liquidation; these are all compared with the pool."""
ENOUGH = 400
"""Accounts that a sample needs, for the number of all within 5 % (one standard deviation)."""
SAMPLED = ("7f", "7", "")
"""First digits of the sampled accounts, tried in order until the sample is large enough; "" is all accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Accounts, balances (scaled supply or debt above zero), accounts with debt; `error`: relative, 1 sigma."""

    accounts: int
    balances: int
    indebted: int
    error: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Latencies are seconds for a request. The subgraph is read before the node, each with its concurrency."""

    size: Size
    sources: int
    """How many times all pages of the subgraph's holdings are read (supply, debt); 0 for candidates from a file."""
    subgraph_latency: float
    node_latency: float
    subgraph_concurrency: int
    node_concurrency: int
    reads_a_request: int = READS_A_REQUEST

    @property
    def shards(self) -> Sequence[str]:
        """First digits of the accounts that are read in parallel; ("",) where all fit on one or two pages."""
        return ("",) if self.size.balances < 2 * PAGE else tuple(SHARDS)

    @property
    def queries(self) -> int:
        """Queries to the subgraph: full pages, and for every shard and side a partly filled page and an empty one."""
        if not self.sources:
            return 0
        return self.size.balances // PAGE + 2 * len(self.shards) * self.sources + 2

    @property
    def requests(self) -> int:
        """Requests to the node."""
        reads = 2 * self.size.accounts + self.size.balances
        compared = min(self.size.indebted, SAMPLE + round(CLOSE_SHARE * self.size.indebted))
        return FIXED_REQUESTS + math.ceil(reads / self.reads_a_request) + math.ceil(compared / ACCOUNT_DATA_CHUNK)

    @property
    def seconds(self) -> float:
        """Seconds for all queries and requests."""
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
    """(size of the market, least number of queries, seconds), from a sample of the accounts.

    `fetch` returns the holdings of the accounts whose address begins with its argument ("0x7f").
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
    """A duration as text for people.

    >>> duration(42), duration(247)
    ('42 s', '4.1 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
