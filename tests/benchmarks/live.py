"""Live: from a block on a real node to its rows committed in the warehouse, at two blocks a second."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from data.store.store import Store
from tests.benchmarks.table import Table
from tests.node.chain import Chain

BLOCKS, APART = 120, 0.5
TRANSFERS = 150
"""Token transfers of a block, about what Ethereum has."""
WARM_UP = 5


def run(table: Table) -> None:
    """Every row of the live stream."""
    table.title(f"live: {BLOCKS} blocks of {TRANSFERS} transfers from anvil, {1 / APART:g} a second")
    from tests.node.toolchain import ToolchainMissing

    try:
        lags = lags_of_blocks()
    except ToolchainMissing as reason:
        table.note(f"not measured: {reason}")
        return
    lags.sort()
    p95 = lags[int(0.95 * len(lags))]
    table.add("live_lag_p50_ms", statistics.median(lags), "ms", "from a mined block to its committed rows, marts on")
    table.add("live_lag_p95_ms", p95, "ms", "95 of 100 are faster", 500, True)


def mine(chain: Chain) -> int:
    """Mine the queue; returns the block's number as soon as the node says that there is one."""
    number = chain.block + 1
    chain.rpc("evm_setNextBlockTimestamp", hex(chain.now + 12))
    chain.rpc("evm_mine")
    chain._queued = 0
    return number


def lags_of_blocks() -> list[float]:
    """Milliseconds from the node's answer that a block is mined until another connection sees its rows."""
    from tests.node import log_writer, toolchain
    from tests.node.chain import anvil
    from tests.node.live_process import LiveProcess

    toolchain.ready()
    topics = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    lags = []
    with tempfile.TemporaryDirectory() as folder, anvil() as chain:
        chain.send(chain.admin, None, log_writer.creation(3))
        writer = chain.mine(seconds=1)[-1]["contractAddress"]
        live = LiveProcess(Path(folder) / "live.sqlite", chain.url, chain.url.replace("http", "ws"))
        live.start()
        try:
            live.until(lambda: live.has_written and "subscribed" in live.said())
            with Store.open(live.db, readonly=True) as store:
                due = time.perf_counter() + APART
                for place in range(BLOCKS + WARM_UP):
                    for n in range(TRANSFERS):
                        words = f"0x{topics}{n % 50:064x}{n % 40 + 100:064x}{place * 1_000 + n:064x}"
                        chain.send(chain.admin, writer, words, gas=100_000)
                    time.sleep(max(0.0, due - time.perf_counter()))
                    due += APART
                    number = mine(chain)
                    mined = time.perf_counter()
                    sql = "SELECT 1 FROM stg_chain_blocks WHERE block_number = ? AND orphaned = 0"
                    while not store.rows(sql, (number,)):
                        assert time.perf_counter() < mined + 60, live.said()
                        time.sleep(0.002)
                    if place >= WARM_UP:
                        lags.append(1_000 * (time.perf_counter() - mined))
            assert live.end() == 0, live.said()
        finally:
            live.end()
    return lags
