"""`chain-activity --live --refresh-market`: the real contracts, and a snapshot for every block that touched them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node import population
from tests.node.artifacts import contract
from tests.node.conftest import run_flow
from tests.node.deployment import POOL
from tests.node.harness import NodeMarket, running_market
from tests.node.live_process import LiveProcess
from tests.node.population import LIQUIDATOR
from tests.node.test_incremental import assert_same_snapshot
from tests.node.toolchain import ToolchainMissing

pytestmark = [pytest.mark.node, pytest.mark.slow]


@pytest.fixture(scope="module")
def node() -> Iterator[NodeMarket]:
    try:
        with running_market(users=12, seed="live", multicall=True) as market:
            yield market
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


@pytest.fixture
def live(node: NodeMarket, tmp_path: Path) -> Iterator[LiveProcess]:
    one = LiveProcess(tmp_path / "live.sqlite", node.url, node.url.replace("http", "ws"), "--refresh-market",
                      "--poll", "5", AAVE_POOL_ADDRESSES_PROVIDER=node.provider)  # fmt: skip
    yield one
    one.end()


def supply_for(node: NodeMarket, who: str) -> int:
    """5,000 USDC supplied for somebody; returns the block."""
    pool, market = contract(POOL), node.deployment
    population._mint(node.chain, market, [("USDC", LIQUIDATOR, 10**12)])
    node.chain.send(LIQUIDATOR, market.pool, pool.encode("supply", market.asset["USDC"], 5 * 10**9, who, 0))
    node.chain.mine()
    return node.chain.block


def snapshots(live: LiveProcess) -> dict[int, str]:
    return dict(live.rows("SELECT block, read_mode FROM fact_snapshot"))


def test_what_blocks_touched_is_read_again_and_nothing_is_where_they_did_not(node, live, tmp_path):
    live.start()
    begun = node.chain.block
    live.until(lambda: snapshots(live) == {begun: "full"})
    newcomer = population.named_address("newcomer")
    touched = supply_for(node, newcomer)
    live.until(lambda: touched in snapshots(live))
    for _ in range(3):
        node.chain.mine()
    sql = f"SELECT 1 FROM stg_chain_blocks WHERE block_number = {node.chain.block}"
    live.until(lambda: live.rows(sql))
    assert live.end() == 0, live.said()

    assert snapshots(live) == {begun: "full", touched: "incremental"}
    assert "refreshed 2 times" in live.said()
    fresh = tmp_path / "full.sqlite"
    run_flow(node, fresh, "--full", "--block", str(touched))
    assert_same_snapshot(live.db, fresh, touched)
    served = f"SELECT block FROM mart_position_risk WHERE wallet = '{newcomer}'"
    assert live.rows(served) == [(touched,)]
