"""The flow against the real contracts, again and again: other blocks, other ways of reading, and its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

import data
import risk_core as rc
from data.store.store import Store
from flows.aave.holders import Tokens, scan
from flows.clients.block_reader import BlockReader, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import ConfigurationError, CrossCheckFailed, SourceRefused
from tests.flows.running import ran
from tests.node.conftest import Ingested, assert_same_health, run_flow
from tests.node.harness import NodeMarket

pytestmark = pytest.mark.node

SNAPSHOT_TABLES = (
    "fact_snapshot",
    "raw_aave_reserves",
    "raw_aave_emodes",
    "raw_aave_account_states",
    "raw_aave_balances",
)


def test_a_second_run_changes_nothing_and_a_new_block_is_a_new_snapshot(ingested: Ingested, tmp_path: Path):
    node, db = ingested.node, tmp_path / "again.sqlite"
    run_flow(node, db)
    with Store.open(db, readonly=True) as store:
        before = {table: store.rows(f"SELECT * FROM {table}") for table in SNAPSHOT_TABLES}

    said = run_flow(node, db)

    with Store.open(db, readonly=True) as store:
        assert before == {table: store.rows(f"SELECT * FROM {table}") for table in SNAPSHOT_TABLES}
    assert said.endswith("already stored, nothing changed")
    first = data.load_market(db=db)
    price = node.configuration.by_symbol["WETH"].price
    with node.chain.undone():
        node.chain.do(node.deployment.feed["WETH"], "TestFeed", "setAnswer", price * 9 // 10)
        node.chain.mine(86_400)
        run_flow(node, db)
        second = data.load_market(db=db, verify=True)
        chain = node.account_data(list(second.accounts))
    assert second.snapshot.block == first.snapshot.block + 1
    assert second.price[second.reserves.index("WETH")] == price * 9 // 10 / 1e8
    assert (second.debt.amount >= first.debt.amount).all()  # a day of interest
    assert (second.debt.amount > first.debt.amount).mean() > 0.9
    for account, health, row in zip(second.accounts, rc.health_factor(second), chain, strict=True):
        assert_same_health(account, health, row)
    assert data.load_market(db=db, block=first.snapshot.block).snapshot == first.snapshot


def test_multicall_and_plain_batches_read_the_same(ingested: Ingested, tmp_path: Path):
    node = ingested.node
    plain, aggregated = tmp_path / "plain.sqlite", tmp_path / "aggregated.sqlite"
    run_flow(node, plain)
    with node.chain.undone():
        node.put_multicall()
        rpc = JsonRpc(node.url)
        used = BlockReader(rpc, get_block(rpc, "latest")).uses_multicall
        run_flow(node, aggregated)

    assert used
    assert data.load_market(db=plain).snapshot == data.load_market(db=aggregated).snapshot  # the hash is in there
    for table in SNAPSHOT_TABLES[1:]:
        with Store.open(plain, readonly=True) as one, Store.open(aggregated, readonly=True) as other:
            columns = [c for c in one.read(f"SELECT * FROM {table} LIMIT 1").columns if c != "ingested_at"]
            sql = f"SELECT {', '.join(columns)} FROM {table}"
            assert one.rows(sql) == other.rows(sql)


def test_an_older_block_is_read_as_it_was(ingested: Ingested, tmp_path: Path):
    """Cross-checks against the pool hold at that block too, and holders of later blocks do not appear."""
    node = ingested.node
    block = node.chain.block - 12

    run_flow(node, tmp_path / "old.sqlite", "--block", str(block))

    market = data.load_market(db=tmp_path / "old.sqlite", verify=True)
    row = node.chain.rpc("eth_getBlockByNumber", hex(block), False)
    assert market.snapshot.block_time == int(row["timestamp"], 16)
    assert market.snapshot.block == block
    assert market.snapshot.block_time < ingested.market.snapshot.block_time


def test_accounts_below_one_are_confirmed_and_loaded_with_a_warning(ingested: Ingested, tmp_path: Path):
    node, db = ingested.node, tmp_path / "crash.sqlite"
    with node.chain.undone():
        for symbol in ("WETH", "wstETH", "weETH", "WBTC"):
            node.chain.do(
                node.deployment.feed[symbol],
                "TestFeed",
                "setAnswer",
                node.configuration.by_symbol[symbol].price * 7 // 10,
            )
        node.chain.mine(12)
        run_flow(node, db)
        market = data.load_market(db=db)
        rows = node.account_data(list(market.accounts))

    below = sum(row[1] > 0 and row[5] < 10**18 for row in rows)
    assert below > 5
    with Store.open(db, readonly=True) as store:
        assert store.rows("SELECT hf_checked, below_one_confirmed FROM fact_snapshot") == [(len(rows), below)]
    assert "below health factor 1" in market.notes[0]


def test_a_feed_that_answers_zero_refuses_the_batch_by_name(node: NodeMarket, tmp_path: Path):
    with node.chain.undone():
        node.set_price("LINK", 0)
        with pytest.raises(CrossCheckFailed, match=r"oracle price of LINK: expected a positive price"):
            run_flow(node, tmp_path / "x.sqlite")
    assert_no_snapshot(tmp_path / "x.sqlite")


def test_a_scan_that_begins_too_late_is_caught_by_the_sum_of_balances(node: NodeMarket, tmp_path: Path):
    late = str(node.chain.block - 3)
    with pytest.raises(
        CrossCheckFailed, match=r"aToken of \w+ .*scaledTotalSupply is \d+, .* sum to \d+ .*--from-block"
    ):
        run_flow(node, tmp_path / "x.sqlite", "--from-block", late)
    assert_no_snapshot(tmp_path / "x.sqlite")

    run_flow(node, tmp_path / "x.sqlite")  # a run that begins early enough completes

    assert data.load_market(db=tmp_path / "x.sqlite").n_accounts >= 70


def test_a_block_that_does_not_exist_is_refused(node: NodeMarket, tmp_path: Path):
    beyond = node.chain.block + 1000
    with pytest.raises(SourceRefused, match=rf"does not (have|give) block {beyond}"):
        run_flow(node, tmp_path / "x.sqlite", "--block", str(beyond))
    assert_no_snapshot(tmp_path / "x.sqlite")


def test_the_wrong_chain_is_refused(node: NodeMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):

    monkeypatch.setenv("ETH_RPC_URL", node.url)
    monkeypatch.setenv("AAVE_MARKET", "AaveV3Base")
    monkeypatch.delenv("AAVE_POOL_ADDRESSES_PROVIDER", raising=False)
    with pytest.raises(ConfigurationError, match="on chain 31337, AaveV3Base is on chain 8453"):
        ran("aave-market")


def assert_no_snapshot(db: Path) -> None:
    if not db.exists():
        return
    with Store.open(db, readonly=True) as store:
        assert [store.rows(f"SELECT count(*) FROM {table}") for table in SNAPSHOT_TABLES] == [[(0,)]] * 5


def test_a_scan_in_small_ranges_finds_the_same_holders(ingested: Ingested):
    """Ranges of three blocks, as a stingy node would force them."""
    node = ingested.node
    asset, at = node.deployment.asset, node.deployment
    tokens = Tokens(at.pool, {asset[s]: at.atoken[s] for s in asset}, {asset[s]: at.vtoken[s] for s in asset})
    last = ingested.market.snapshot.block
    whole = list(scan(JsonRpc(node.url), tokens, 0, last))
    small = list(scan(JsonRpc(node.url), tokens, 0, last, first_range=3))

    def pairs(ranges) -> set:
        return {pair for part in ranges for pair in part.pairs}

    assert len(whole) == 1 < len(small)
    assert pairs(whole) == pairs(small)
    assert [part.first for part in small[1:]] == [part.last + 1 for part in small[:-1]]
    stored = ingested.rows("SELECT token, account FROM raw_aave_holders")
    assert pairs(whole) == set(stored)
