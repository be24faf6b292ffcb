"""The snapshot of 30,000 holders from a node 20 ms away, and the refresh after 1 % of them changed.

Measured is our side: the client, its checks and the warehouse. The node answers from memory in another process
(`book_node`), so the figures say nothing of how fast a real node executes the calls.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import book_node
from tests.benchmarks.table import Table

HOLDERS, LATENCY, CHANGED = 30_000, 0.020, 0.01
MANY = 16
"""Requests at once for the second figure; a node of one's own bears them."""


@dataclass(frozen=True)
class Taken:
    """Seconds until the state was read and checked, seconds to store it, HTTP requests, accounts read, CPU seconds."""

    read: float
    write: float
    requests: int
    accounts: int
    cpu: float = 0.0

    @property
    def all(self) -> float:
        return self.read + self.write


def run(table: Table) -> None:
    """`aave-market` in this process, imports done; first in full into a new warehouse, then carried forward."""
    from flows.clients.block_reader import CONCURRENCY
    from flows.clients.json_rpc import JsonRpc

    table.title(f"snapshot: {HOLDERS:,} holders over a node {1e3 * LATENCY:.0f} ms away, concurrency {CONCURRENCY}")
    with book_node.running(HOLDERS, LATENCY) as url, tempfile.TemporaryDirectory() as folder:
        for name in ("ETH_RPC_URL", "AAVE_POOL_ADDRESSES_PROVIDER", "AAVE_MARKET", "RPC_CONCURRENCY"):
            os.environ.pop(name, None)
        db = Path(folder) / "risk.sqlite"
        read(url, Path(folder) / "warm.sqlite", from_block=book_node.FIRST_BLOCK + book_node.BLOCKS)
        full = read(url, db)
        os.environ["RPC_CONCURRENCY"] = str(MANY)
        many = read(url, Path(folder) / "many.sqlite")
        os.environ.pop("RPC_CONCURRENCY")
        touched = JsonRpc(url).call("bench_touch", CHANGED)
        some = read(url, db)
    assert full.accounts == HOLDERS, f"{full.accounts} accounts were read"
    assert 0 < some.accounts <= touched, f"{some.accounts} accounts were read again, {touched} had changed"
    table.note(f"full: {full.read:.2f} s to read and check, {full.write:.2f} s to store; {full.requests} requests")
    table.note(
        f"refresh: {some.read:.2f} s to read and check, {some.write:.2f} s to store; {some.requests} requests, "
        f"{some.accounts} accounts"
    )
    table.add("snapshot_30k_s", full.all, "s", "log scan, read, checks and storing")
    table.add(f"snapshot_30k_c{MANY}_s", many.all, "s", f"the same with {MANY} requests at once")
    table.add("snapshot_30k_requests", full.requests, "requests", "HTTP requests of it")
    table.add("snapshot_30k_cpu_s", full.cpu, "s", "of which the processor worked, in this process")
    table.add("incremental_cpu_s", some.cpu, "s", "the same of the refresh")
    table.add("incremental_s", some.all, "s", "refresh after 1 % changed, stored whole again")
    table.add("incremental_ratio", some.all / full.all, "", "of the full snapshot's seconds", 0.05, True)
    table.add("incremental_read_ratio", some.read / full.read, "", "the same without storing", 0.05, True)
    table.add("incremental_requests_ratio", some.requests / full.requests, "", "of its requests", 0.05, True)


def read(url: str, db: Path, from_block: int = book_node.FIRST_BLOCK) -> Taken:
    """One snapshot of the newest block, in full where nothing can be carried."""
    from data.store.store import Store
    from flows.aave import aave_market, storing
    from flows.aave.place import Place
    from flows.clients.json_rpc import JsonRpc
    from flows.errors import CrossCheckFailed
    from flows.pipeline import Run

    rpc = JsonRpc(url)
    place = Place(market="Bench", chain_id=book_node.CHAIN_ID, provider=book_node.PROVIDER)
    with Store.open(db) as store:
        run = Run(store, "bench")
        start, cpu = time.perf_counter(), time.process_time()
        try:
            reading = aave_market.read_market(run, rpc, place, "latest", from_block, full_every=1e9)
        except CrossCheckFailed:  # the warm-up begins the scan too late on purpose
            return Taken(0, 0, 0, 0)
        middle = time.perf_counter()
        storing.write(run, reading)
        end = time.perf_counter()
        return Taken(middle - start, end - middle, rpc.requests_made, reading.n_read, time.process_time() - cpu)
