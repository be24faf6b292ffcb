"""The inputs of a verified read: the market, the source of its accounts, the block, and an estimate of its duration."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import settings
from flows.aave import market_terms
from flows.aave import v2 as aave_v2
from flows.aave.address_book import V2
from flows.aave.candidates import subgraph as aave_subgraph
from flows.aave.candidates.names import from_file, require_same_chain
from flows.aave.candidates.workload import READS_A_REQUEST, Size, Workload, sampled_size
from flows.aave.options import AaveMarketOptions
from flows.aave.place import Place, locate
from flows.clients import abis
from flows.clients.block_reader import CONCURRENCY, BlockReader, Call, calls_for, get_block
from flows.clients.graphql import Subgraph, SubgraphBehind
from flows.clients.json_rpc import JsonRpc
from flows.errors import SourceRefused

if TYPE_CHECKING:
    from flows.aave.candidates.subgraph import KnownSubgraph
    from flows.clients.block_reader import Block

FROM_SUBGRAPH = "subgraph"
"""Value of `--candidates` for the subgraph; any other value is a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to read, and from where. `which` is None where the accounts (`listed`) come from a file."""

    rpc: JsonRpc
    place: Place
    which: KnownSubgraph | None
    listed: list[str]
    arguments: AaveMarketOptions

    def open_subgraph(self) -> Subgraph:
        """A new connection, for one thread."""
        assert self.which is not None
        return Subgraph.from_environment(self.which.id)


def job_of(arguments: AaveMarketOptions, market: str, url: str) -> Job:
    """The job that the options describe. Raises `ConfigurationError`: no such file, market or subgraph."""
    rpc = JsonRpc(url, attempts=arguments.attempts)
    by_subgraph = arguments.candidates == FROM_SUBGRAPH
    listed = [] if by_subgraph else from_file(arguments.candidates)
    which = aave_subgraph.known(market) if by_subgraph else None
    return Job(rpc=rpc, place=locate(rpc, market), which=which, listed=listed, arguments=arguments)


def choose_block(job: Job) -> Block:
    """The block to read: for `latest` the newest that both node and subgraph have, else the requested block.

    Raises `SubgraphBehind` when the subgraph has not reached it, `SourceRefused` when it lags by more than
    `--max-lag`, `CrossCheckFailed` when its head is of another chain.
    """
    asked, most = job.arguments.block, job.arguments.max_lag
    block = get_block(job.rpc, asked)
    if job.which is None:
        return block
    with job.open_subgraph() as subgraph:
        head = subgraph.head()
        newest = get_block(job.rpc, "latest").number
        if newest - head.block > most:
            raise SourceRefused(
                f"{subgraph} is at block {head.block}, {newest - head.block} behind the node's {newest}; at most "
                f"{most} are allowed (--max-lag). Run again later, or read the market from the log"
            )
        if head.block < block.number:
            if asked != "latest":
                raise SubgraphBehind(
                    f"{subgraph} is only at block {head.block}, expected block {block.number} (--block {asked}). Use "
                    f"block {head.block} or an older one, or run again later",
                    head.block,
                )
            block = get_block(job.rpc, head.block)
        require_same_chain(subgraph, head, block)
    return block


def estimated(job: Job, block: Block) -> Workload:
    """The estimate for the read at `block`: a sampled number of accounts, and the measured speed of both sources."""
    place = job.place
    reader = BlockReader(job.rpc, block, multicall=place.multicall3, concurrency=concurrency())
    if place.known and place.known.protocol == V2:
        pool = aave_v2.resolve(reader, place.known).pool
    else:
        pool = market_terms.resolve(reader, place.provider, place.chain_id).pool
    latency = 0.0
    if job.which is not None:
        which = job.which
        with job.open_subgraph() as subgraph:
            size, queries, seconds = sampled_size(
                lambda prefix: aave_subgraph.fetch_shard(subgraph, which, place.provider, block.number, prefix)
            )
        latency = seconds / queries
    else:
        # The file does not say what they hold: every aToken of each account is read, and about one debt.
        n_reserves = len(reader.one(Call(pool, abis.GET_RESERVES_LIST, about="the pool")))
        size = Size(accounts=len(job.listed), balances=len(job.listed) * (n_reserves + 1), indebted=len(job.listed))
    started = time.perf_counter()
    someone = [(place.provider, "anybody")] * (READS_A_REQUEST if reader.uses_multicall else 1)
    reader.read(calls_for(someone, pool, abis.GET_USER_CONFIGURATION), may_fail=True)
    return Workload(
        size=size,
        sources=aave_subgraph.sides(job.which) if job.which else 0,
        subgraph_latency=latency,
        node_latency=time.perf_counter() - started,
        subgraph_concurrency=aave_subgraph.WORKERS,
        node_concurrency=concurrency(),
        reads_a_request=READS_A_REQUEST if reader.uses_multicall else 1,
    )


def concurrency() -> int:
    """Requests to the node at a time (RPC_CONCURRENCY)."""
    return settings.whole_number("RPC_CONCURRENCY", CONCURRENCY, 1, 64)
