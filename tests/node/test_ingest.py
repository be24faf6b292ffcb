"""The flow against the real contracts: every stored figure of every account equals what the chain answers."""

from __future__ import annotations

import pytest

import risk_core as rc
from tests.node.artifacts import contract
from tests.node.configuration import STANDARD
from tests.node.conftest import Ingested, assert_same_health
from tests.node.deployment import TREASURY, multicall, named_address
from tests.node.harness import NodeMarket
from tests.node.population import LIQUIDATOR, WHALE

pytestmark = pytest.mark.node


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
    [
        ("scaled_supply", "scaledBalanceOf", "atoken"),
        ("supply_raw", "balanceOf", "atoken"),
        ("scaled_debt", "scaledBalanceOf", "vtoken"),
        ("debt_raw", "balanceOf", "vtoken"),
    ],
)
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
            item.label,
            item.ltv,
            item.threshold,
            item.bonus,
            bitmap(item.collateral),
            bitmap(item.borrowable),
            bitmap(zero),
            0,
        )


def test_the_engine_computes_the_pools_health_factors(ingested: Ingested):
    market = ingested.market

    found = rc.health_factor(market)

    for account, health, row in zip(
        market.accounts, found, ingested.node.account_data(list(market.accounts)), strict=True
    ):
        assert_same_health(account, health, row)
