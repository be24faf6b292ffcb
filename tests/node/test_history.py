"""Past blocks from logs against the same blocks read from the node itself: row by row the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import data
from data.schemas.tables import tables
from data.store.store import Store
from tests.node.conftest import run_flow, run_history
from tests.node.harness import NodeMarket, running_market
from tests.node.test_incremental import life_goes_on
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

TABLES = ("raw_aave_reserves", "raw_aave_emodes", "raw_aave_account_states", "raw_aave_balances")


@pytest.fixture(scope="module")
def lived() -> Iterator[tuple[NodeMarket, list[int]]]:
    """A market with a life of a dozen blocks, prices moving, and the blocks to look at."""
    draw = random.Random("history")
    try:
        with running_market(users=30, seed="history", multicall=True) as market:
            at = [market.chain.block]
            for _ in range(6):
                life_goes_on(market, draw)
                for symbol in draw.sample(sorted(market.deployment.feed), 3):
                    price = market.configuration.by_symbol[symbol].price * draw.randrange(95, 106) // 100
                    market.chain.do(market.deployment.feed[symbol], "TestFeed", "setAnswer", price)
                market.chain.mine()
                at.append(market.chain.block)
            market.chain.mine()
            yield market, at
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


def rows(db: Path, table: str) -> list[tuple]:
    names = ", ".join(tables()[table].content)
    with Store.open(db, readonly=True) as store:
        return store.rows(f"SELECT {names} FROM {table} ORDER BY {names}")


@pytest.fixture(scope="module")
def read(lived: tuple[NodeMarket, list[int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with every one of these blocks, each read from the node as a whole."""
    node, at = lived
    db = tmp_path_factory.mktemp("read") / "risk.sqlite"
    for block in at:
        run_flow(node, db, "--block", str(block), "--full")
    return db


@pytest.mark.parametrize("prices", ["logs", "oracle"])
def test_past_blocks_from_logs_are_what_the_node_says_of_them(lived, read: Path, tmp_path: Path, prices: str):
    node, at = lived
    db = tmp_path / "risk.sqlite"
    said = run_history(node.url, node.provider, db, "--store", "--prices", prices, "--at", *map(str, at))
    assert f"{len(at)} blocks stored" in said
    for table in TABLES:
        assert rows(db, table) == rows(read, table), table
    if prices == "oracle":
        assert rows(db, "raw_aave_account_data") == rows(read, "raw_aave_account_data") != []
    for block in at:
        stored, as_read = (data.load_market(block=block, db=file).snapshot for file in (db, read))
        assert stored == as_read  # the digest is of all content
    assert "0 blocks stored" in run_history(
        node.url, node.provider, db, "--store", "--prices", prices, "--at", *map(str, at)
    )


def test_blocks_that_were_read_from_the_node_are_compared_and_left_as_they_are(lived, read: Path):
    node, at = lived
    before = [rows(read, table) for table in ("fact_snapshot", *TABLES)]
    said = run_history(node.url, node.provider, read, "--store", "--at", *map(str, at))
    assert f"0 blocks stored, {len(at)} were stored and are equal" in said
    assert [rows(read, table) for table in ("fact_snapshot", *TABLES)] == before
