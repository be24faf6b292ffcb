"""The flow against the real contracts: every stored figure of every account equals what the chain answers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import data
import risk_core as rc
from data.store import Store
from flows.errors import ConfigurationError, CrossCheckFailed, SourceRefused
from flows.sources.block_reader import BlockReader, get_block
from flows.sources.holders import Tokens, scan
from flows.sources.json_rpc import JsonRpc
from tests.node.artifacts import contract
from tests.node.configuration import STANDARD
from tests.node.conftest import Ingested, run_flow
from tests.node.deployment import TREASURY, multicall, named_address
from tests.node.harness import NodeMarket
from tests.node.population import LIQUIDATOR, WHALE

pytestmark = pytest.mark.node

SNAPSHOT_TABLES = ("fact_snapshot", "raw_aave_reserves", "raw_aave_emodes", "raw_aave_user_accounts", "stg_positions")


def balances(node: NodeMarket, function: str, tokens: dict[str, str], accounts: list[str]) -> dict[tuple, int]:
    """`function` of every token for every account, by (account, symbol), zeros included."""
    asked = [(account, symbol) for account in accounts for symbol in tokens]
    found: dict[tuple, int] = {}
    code = contract("ATokenInstance")
    for start in range(0, len(asked), 300):
        part = asked[start : start + 300]
        to, call = multicall(node.deployment, [(tokens[s], code.encode(function, a)) for a, s in part])
        rows = contract("Batch").decode("aggregate3", node.chain.rpc("eth_call", {"to": to, "data": call}, "latest"))
        found |= {key: code.decode(function, raw) for key, (_, raw) in zip(part, rows, strict=True)}
    return found


def test_every_account_is_stored_as_the_pool_values_it(ingested: Ingested):
    stored = ingested.rows(
        "SELECT account, total_collateral_base, total_debt_base, health_factor_raw FROM raw_aave_user_accounts"
    )

    chain = ingested.node.account_data([row[0] for row in stored])

    assert len(stored) >= 70
    assert [tuple(map(int, row[1:])) for row in stored] == [(c, d, hf) for c, d, _, _, _, hf in chain]


def test_flags_and_emodes_are_the_chains(ingested: Ingested):
    for account, emode, flags in ingested.rows("SELECT account, emode_id, config_bitmap FROM raw_aave_user_accounts"):
        assert emode == ingested.node.ask_pool("getUserEMode", account)
        assert int(flags) == ingested.node.ask_pool("getUserConfiguration", account)[0]


@pytest.mark.parametrize(
    ("column", "function", "side"),
    [("scaled_supply", "scaledBalanceOf", "atoken"), ("supply_raw", "balanceOf", "atoken"),
     ("scaled_debt", "scaledBalanceOf", "vtoken"), ("debt_raw", "balanceOf", "vtoken")],
)  # fmt: skip
def test_every_balance_of_every_account_is_the_tokens_own(ingested: Ingested, column: str, function: str, side: str):
    node = ingested.node
    symbol_of = {asset: symbol for symbol, asset in node.deployment.asset.items()}
    stored = {
        (account, symbol_of[asset]): int(value)
        for account, asset, value in ingested.rows(f"SELECT account, asset, {column} FROM stg_positions")
    }
    accounts = sorted({account for account, _ in stored})

    chain = balances(node, function, getattr(node.deployment, side), accounts)

    assert {key: value for key, value in stored.items() if value} == {k: v for k, v in chain.items() if v}


def test_holders_that_never_called_the_pool_are_found(ingested: Ingested):
    held = {row[0] for row in ingested.rows("SELECT account FROM raw_aave_user_accounts")}
    heirs = {named_address(f"heir of {user.address}") for user in ingested.node.users}

    assert {user.address for user in ingested.node.users} <= held
    assert TREASURY in held  # minted to, never a supplier
    assert held & heirs  # received aTokens by plain transfer
    assert held <= {u.address for u in ingested.node.users} | heirs | {TREASURY, WHALE, LIQUIDATOR}


def test_reserves_are_what_another_contract_says_of_them(ingested: Ingested):
    """The data provider unpacks the configuration word by the protocol's own code, we by bit positions."""
    node, at = ingested.node, ingested.node.deployment.data_provider
    stored = ingested.rows(
        "SELECT asset, symbol, decimals, ltv_bps, liquidation_threshold_bps, liquidation_bonus_bps, "
        "reserve_factor_bps, borrowing_enabled, is_active, is_frozen, is_paused, liquidation_protocol_fee_bps, "
        "borrow_cap, supply_cap, deficit, virtual_balance, grace_until, price_raw, reserve_id FROM raw_aave_reserves"
    )
    assert {row[1] for row in stored} == set(node.deployment.asset)
    for asset, symbol, *found in stored:

        def ask(function: str, asset: str = asset) -> object:
            return node.chain.call(at, "AaveProtocolDataProvider", function, asset)

        decimals, ltv, threshold, bonus, factor, _, borrowing, _, active, frozen = ask("getReserveConfigurationData")
        assert found == [
            decimals, ltv, threshold, bonus, factor, borrowing, active, frozen, ask("getPaused"),
            ask("getLiquidationProtocolFee"), *map(str, ask("getReserveCaps")), str(ask("getReserveDeficit")),
            str(ask("getVirtualUnderlyingBalance")), node.ask_pool("getLiquidationGracePeriod", asset),
            str(node.chain.call(node.deployment.oracle, "AaveOracle", "getAssetPrice", asset)),
            node.deployment.reserve_id[symbol],
        ], symbol  # fmt: skip


def test_the_market_has_the_oddities_that_an_ingest_must_survive(ingested: Ingested):
    ids = [row[0] for row in ingested.rows("SELECT reserve_id FROM raw_aave_reserves ORDER BY reserve_id")]
    emodes = [row[0] for row in ingested.rows("SELECT emode_id FROM raw_aave_emodes ORDER BY emode_id")]
    grace = ingested.rows("SELECT symbol FROM raw_aave_reserves, fact_snapshot WHERE grace_until > block_time")

    assert ids == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]  # one was dropped
    assert emodes == [category.id for category in STANDARD.categories] == [1, 2, 9]
    assert grace == [("LINK",)]
    assert ingested.rows("SELECT symbol FROM raw_aave_reserves WHERE symbol = 'MKR'")  # answers bytes32


def test_emodes_are_what_was_configured(ingested: Ingested):
    node = ingested.node
    stored = {
        row[0]: row[1:]
        for row in ingested.rows(
            "SELECT emode_id, label, ltv_bps, liquidation_threshold_bps, liquidation_bonus_bps, collateral_bitmap, "
            "borrowable_bitmap, ltvzero_bitmap, isolated FROM raw_aave_emodes"
        )
    }

    def bitmap(symbols: tuple[str, ...]) -> str:
        return str(sum(1 << node.deployment.reserve_id[symbol] for symbol in symbols))

    for item in node.configuration.categories:
        zero = ("DAI",) if item.id == 2 else ()
        assert stored[item.id] == (
            item.label, item.ltv, item.threshold, item.bonus, bitmap(item.collateral), bitmap(item.borrowable),
            bitmap(zero), 0,
        )  # fmt: skip


def test_the_engine_computes_the_pools_health_factors(ingested: Ingested):
    market = ingested.market

    found = rc.health_factor(market)

    for account, health, row in zip(
        market.accounts, found, ingested.node.account_data(list(market.accounts)), strict=True
    ):
        assert_same_health(account, health, row)


def assert_same_health(account: str, found: float, row: tuple[int, ...]) -> None:
    """Floats against the pool's integers: values are rounded to 1e-8 USD for each of at most 22 legs."""
    collateral, debt, _, _, _, expected = row
    if not debt:
        assert math.isinf(found), account
    elif collateral:
        assert found == pytest.approx(expected / 1e18, rel=1e-12 + 22 / min(collateral, debt)), account


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
            node.chain.do(node.deployment.feed[symbol], "TestFeed", "setAnswer",
                          node.configuration.by_symbol[symbol].price * 7 // 10)  # fmt: skip
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
    from flows import registry

    monkeypatch.setenv("ETH_RPC_URL", node.url)
    monkeypatch.setenv("AAVE_MARKET", "AaveV3Base")
    monkeypatch.delenv("AAVE_POOL_ADDRESSES_PROVIDER", raising=False)
    spec = registry.load("aave-market")
    with pytest.raises(ConfigurationError, match="on chain 31337, AaveV3Base is on chain 8453"):
        spec.run(registry.parser(spec).parse_args([]))


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
