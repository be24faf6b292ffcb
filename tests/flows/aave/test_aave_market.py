"""The flow `aave-market` against recorded answers: what it stores, and how often."""

from __future__ import annotations

import pytest
from eth_abi import encode

import data
from flows.aave import checks as cross_checks
from tests.flows.aave.conftest import SNAPSHOT_TABLES, run, stored
from tests.flows.aave.fake_node import FakeNode, Refused


def test_every_account_and_balance_of_the_recording_is_stored(node: FakeNode):
    said = run()

    truth = node.recorded
    assert f"{len([u for u in truth['users'] if u['pos']])} accounts" in said
    positions = {
        (row[0], row[1]): row[2:]
        for row in stored(
            "SELECT account, reserve_id, scaled_supply, supply_raw, scaled_debt, debt_raw FROM stg_positions"
        )
    }
    expected = {(u["address"].lower(), p[0]): tuple(p[1:]) for u in truth["users"] for p in u["pos"]}
    assert positions == {key: row for key, row in expected.items() if any(map(int, row))}
    accounts = {
        row[0]: row[1:]
        for row in stored(
            "SELECT account, emode_id, config_bitmap, total_collateral_base, total_debt_base, health_factor_raw "
            "FROM raw_aave_user_accounts"
        )
    }
    for user, row in zip(truth["users"], truth["accounts"]["base"], strict=True):
        if user["pos"]:
            flags = str(int(user["config"], 16))
            assert accounts.pop(user["address"].lower()) == (user["emode"], flags, row[0], row[1], row[5])
    assert accounts == {}


def test_reserves_and_emodes_of_the_recording_are_stored(node: FakeNode):
    far = node.recorded["emodes"][0] | {"id": 200, "label": "after a gap"}  # ids need not be contiguous
    node.say_emode(200, far)

    run()

    columns = {
        "symbol": "symbol", "decimals": "decimals", "ltv_bps": "baseLTVasCollateral", "reserve_id": "id",
        "liquidation_threshold_bps": "reserveLiquidationThreshold", "liquidation_bonus_bps": "reserveLiquidationBonus",
        "reserve_factor_bps": "reserveFactor", "liquidation_protocol_fee_bps": "liquidationProtocolFee",
        "is_active": "isActive", "is_frozen": "isFrozen", "is_paused": "isPaused",
        "borrowing_enabled": "borrowingEnabled", "supply_cap": "supplyCap", "borrow_cap": "borrowCap",
        "liquidity_index": "liquidityIndex", "variable_borrow_index": "variableBorrowIndex",
        "liquidity_rate": "liquidityRate", "variable_borrow_rate": "variableBorrowRate",
        "last_update_timestamp": "lastUpdateTimestamp", "optimal_usage_ratio": "optimalUsageRatio",
        "base_rate": "baseVariableBorrowRate", "slope1": "variableRateSlope1", "slope2": "variableRateSlope2",
        "scaled_atoken_supply": "scaledATokenSupply", "scaled_debt_supply": "totalScaledVariableDebt",
        "virtual_balance": "virtualUnderlyingBalance", "deficit": "deficit",
        "price_raw": "priceInMarketReferenceCurrency", "price_source": "priceOracle", "atoken": "aTokenAddress",
        "vtoken": "variableDebtTokenAddress", "asset": "underlyingAsset",
    }  # fmt: skip
    rows = stored(f"SELECT {', '.join(columns)} FROM raw_aave_reserves ORDER BY reserve_id")
    for row, reserve in zip(rows, node.recorded["reserves"], strict=True):
        found = dict(zip(columns, row, strict=True))
        for column, field in columns.items():
            assert str(found[column]) == str(int(v) if isinstance(v := reserve[field], bool) else v), column
    emodes = stored(
        "SELECT emode_id, label, ltv_bps, collateral_bitmap, borrowable_bitmap, ltvzero_bitmap, isolated "
        "FROM raw_aave_emodes ORDER BY emode_id"
    )
    assert emodes == [
        (e["id"], e["label"], e["ltv"], e["collateralBitmap"], e["borrowableBitmap"], e["ltvzeroBitmap"], 0)
        for e in [*node.recorded["emodes"], far]
    ]


def test_everything_is_read_at_one_block_that_was_resolved_first(node: FakeNode):
    run("--block", "finalized")

    assert node.blocks_read == {hex(node.tip)}
    assert data.load_market(verify=True).snapshot.block == node.tip


def test_a_second_run_changes_nothing(node: FakeNode):
    run()
    before = [stored(f"SELECT * FROM {table}") for table in (*SNAPSHOT_TABLES, "raw_aave_holders")]

    assert run().endswith("already stored, nothing changed")
    assert before == [stored(f"SELECT * FROM {table}") for table in (*SNAPSHOT_TABLES, "raw_aave_holders")]


@pytest.mark.parametrize("node", [11], indirect=True)
def test_v37_is_read_by_its_own_getters(node: FakeNode):
    """Revision 11 has the flag `isolated`; the recorded market is of v3.6, whose valuation is the same."""
    run()

    assert stored("SELECT pool_revision FROM fact_snapshot") == [(11,)]
    assert stored("SELECT emode_id, isolated FROM raw_aave_emodes") == [(1, 1), (2, 0), (3, 0)]
    assert data.load_market().revision == 11


def test_symbols_of_old_and_odd_tokens(node: FakeNode):
    """bytes32, bytes that are not UTF-8, and no symbol at all: none of them stops a market."""
    node.say(node.reserve("LINK")["underlyingAsset"], "symbol()", answer=b"MKR".ljust(32, b"\0"))
    node.say(node.reserve("CRV")["underlyingAsset"], "symbol()", answer=encode(["bytes"], [b"C\xff\x07V"]))
    node.say(node.reserve("DAI")["underlyingAsset"], "symbol()", answer=None)

    run()

    symbols = [row[0] for row in stored("SELECT symbol FROM raw_aave_reserves ORDER BY reserve_id")]
    assert symbols[5:9] == [node.reserve("DAI")["underlyingAsset"], "MKR", "weETH", "C\N{REPLACEMENT CHARACTER}V"]


def test_a_large_market_checks_a_sample_and_everyone_who_is_close(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cross_checks, "SMALL_MARKET", 10)
    monkeypatch.setattr(cross_checks, "SAMPLE", 5)

    run()

    close = {
        u["address"].lower()
        for u, row in zip(node.recorded["users"], node.recorded["accounts"]["base"], strict=True)
        if int(row[1]) and int(row[5]) < 105 * 10**16
    }
    checked = {
        row[0] for row in stored("SELECT account FROM raw_aave_user_accounts WHERE health_factor_raw IS NOT NULL")
    }
    assert close < checked
    assert len(checked - close) <= 5
    assert stored("SELECT hf_checked FROM fact_snapshot") == [(len(checked),)]
    assert data.load_market().n_accounts > len(checked)


def test_a_passing_failure_is_waited_out(node: FakeNode):
    node.http_answers += [(503, b"busy"), (429, b"slow down")]

    assert "at block 21" in run()


def test_a_node_that_takes_only_short_batches(node: FakeNode):
    node.max_batch = 7

    assert "at block 21" in run()


@pytest.mark.parametrize("most", [10**6, 7])
def test_multicall_is_used_where_it_has_code_and_halved_where_it_runs_out_of_gas(node: FakeNode, most: int):
    run()
    before = [stored(f"SELECT * FROM {table}") for table in SNAPSHOT_TABLES]
    plain = node.asked["eth_call"]
    node.asked.clear()
    node.max_aggregated = most

    assert run().endswith("nothing changed")

    assert before == [stored(f"SELECT * FROM {table}") for table in SNAPSHOT_TABLES]
    assert node.asked["eth_call"] < plain / 2


def test_a_node_behind_a_balancer_may_lag_for_a_moment(node: FakeNode):
    late = iter([True, True])

    def lag(method: str, params: list) -> None:
        if method == "eth_call" and next(late, False):
            raise Refused(-32000, "header not found")

    node.before = lag

    assert "at block 21" in run()


def test_reserves_are_mapped_to_price_series_and_the_unmapped_are_named(node: FakeNode):
    symbol = encode(["string"], ["NEWTOKEN"])
    node.say(node.reserve("LINK")["underlyingAsset"], "symbol()", answer=symbol)

    assert "before risk-scenarios: " in (said := run())
    assert "no price series for NEWTOKEN" in said
    assert data.load_market().n_reserves == 10

    node.say(node.reserve("LINK")["underlyingAsset"], "symbol()", answer=encode(["string"], ["LINK"]))
    assert "before risk-scenarios" not in run()
    assert ("LINK", "LINKUSDT") in stored("SELECT symbol, series FROM dim_asset")


def test_tokens_and_labels_that_answer_nonsense_stop_nothing(node: FakeNode):
    """Decimals are the pool's word, never the token's: a token without `decimals()` is none the worse."""
    assets = [r["underlyingAsset"] for r in node.recorded["reserves"]]
    node.say(assets[0], "symbol()", answer=b"\xff" * 33)
    node.say(assets[1], "symbol()", answer=None)
    node.say(assets[2], "symbol()", answer=b"\xc3\x28".ljust(32, b"\0"))
    node.say(node.recorded["reserves"][3]["priceOracle"], "description()", answer=b"\x01")
    node.say(node.pool, "getEModeCategoryLabel(uint8)", node.recorded["emodes"][0]["id"], answer=b"\x02" * 7)

    run()

    symbols = dict(stored("SELECT asset, symbol FROM raw_aave_reserves"))
    assert [symbols[asset.lower()] for asset in assets[:3]] == [assets[0].lower(), assets[1].lower(), "\ufffd("]
    assert stored("SELECT label FROM raw_aave_emodes ORDER BY emode_id")[0] == ("",)
    assert data.load_market(verify=True).snapshot.block == node.tip
