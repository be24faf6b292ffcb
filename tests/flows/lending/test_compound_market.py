"""The flow `compound-market` against a loopback node with books small enough to be worked out by hand.

Client and server were written from one sheet: the interfaces as published. No real Compound contract is run here.

Compound v2: ether at 2,000 USD, 0.02 ETH a cETH, collateral factor 82.5 %; USDC at 1 USD, 0.02 USDC a cUSDC, 75 %.
A Comet of USDC: WETH at 2,000 USD counts for 89.5 % before liquidation, WBTC at 40,000 USD for 77 %.
"""

from __future__ import annotations

import pytest
from eth_abi import encode

import data
from data.errors import SnapshotRefused
from flows.compound.state import WAD
from flows.errors import ConfigurationError, CrossCheckFailed, SourceRefused
from tests.flows.aave.fake_node import call_data
from tests.flows.lending import conftest as at
from tests.flows.lending.logs import address, log
from tests.flows.running import ran

SOLVENT, UNDERWATER, SUPPLIER, OLD = address(1), address(2), address(3), address(4)
ORACLE, WBTC = address(0x12), address(0x55)
FEED = {at.USDC: address(0x61), at.WETH: address(0x62), WBTC: address(0x63)}
ETHER, USDC_RATE = 2 * 10**26, 2 * 10**14
"""Exchange rates: 1 cETH (8 digits) is 0.02 ETH (18 digits); 1 cUSDC (8) is 0.02 USDC (6)."""
NOT_OWED = 2**256 - 1

V2_BOOK = {
    # account: {cToken: (cTokens, debt)}, markets entered, what getAccountLiquidity says in 1e-18 USD
    # 20 ETH x 2,000 x 0.825 = 33,000 for 22,000 USDC owed: health factor 1.5
    SOLVENT: ({at.CETH: (1_000 * 10**8, 0), at.CUSDC: (0, 22_000 * 10**6)}, [at.CETH, at.CUSDC], 11_000),
    # 0.2 ETH x 2,000 x 0.825 = 330 for 440: 0.75; its 1,000 USDC are supplied outside of any market it entered
    UNDERWATER: ({at.CETH: (10 * 10**8, 0), at.CUSDC: (50_000 * 10**8, 440 * 10**6)}, [at.CETH], -110),
    SUPPLIER: ({at.CUSDC: (5 * 10**8, 0)}, [], 0),
}
V3_BOOK = {
    # account: (USDC supplied, USDC owed, {collateral: amount}), liquidatable
    # 10 x 2,000 x 0.895 + 0.5 x 40,000 x 0.77 = 17,900 + 15,400 = 33,300 for 20,000: 1.665
    SOLVENT: ((0, 20_000 * 10**6, {at.WETH: 10 * WAD, WBTC: 5 * 10**7}), False),
    # 1 x 2,000 x 0.895 = 1,790 for 2,000: 0.895
    UNDERWATER: ((0, 2_000 * 10**6, {at.WETH: WAD}), True),
    SUPPLIER: ((900 * 10**6, 0, {}), False),
}


def words(*values: int) -> bytes:
    return encode(["uint256"] * len(values), values)


@pytest.fixture
def v2(node):
    say = node.say
    node.tip = 500
    say(at.COMPTROLLER, "oracle()", answer=encode(["address"], [ORACLE]))
    say(at.COMPTROLLER, "closeFactorMantissa()", answer=words(WAD // 2))
    say(at.COMPTROLLER, "liquidationIncentiveMantissa()", answer=words(108 * WAD // 100))
    held = {at.CUSDC: 0, at.CETH: 0}
    for account, (book, entered, margin) in V2_BOOK.items():
        say(at.COMPTROLLER, "getAssetsIn(address)", account, answer=encode(["address[]"], [entered]))
        liquidity = max(margin, 0) * WAD, max(-margin, 0) * WAD
        say(at.COMPTROLLER, "getAccountLiquidity(address)", account, answer=words(0, *liquidity))
        for ctoken, rate in ((at.CUSDC, USDC_RATE), (at.CETH, ETHER)):
            tokens, debt = book.get(ctoken, (0, 0))
            held[ctoken] += tokens
            say(ctoken, "getAccountSnapshot(address)", account, answer=words(0, tokens, debt, rate))
            node.logs.append(log(ctoken, "Transfer(address*,address*,uint256)", (ctoken, account), (tokens,),
                                 block=7 + len(node.logs)))  # fmt: skip
    say(at.COMPTROLLER, "getAssetsIn(address)", OLD, answer=encode(["address[]"], [[]]))
    say(at.CUSDC, "getAccountSnapshot(address)", OLD, answer=words(0, 0, 0, USDC_RATE))
    node.logs.append(log(at.CUSDC, "Transfer(address*,address*,uint256)", (SUPPLIER, OLD), (1,), block=90))
    for ctoken, factor, price, rate in (
        (at.CUSDC, 75 * WAD // 100, 10**30, USDC_RATE),
        (at.CETH, 825 * WAD // 1000, 2_000 * WAD, ETHER),
    ):
        say(at.COMPTROLLER, "markets(address)", ctoken, answer=words(1, factor, 1))
        say(ORACLE, "getUnderlyingPrice(address)", ctoken, answer=words(price))
        for name, value in (
            ("totalSupply", held[ctoken]),
            ("totalBorrows", 10**9),
            ("getCash", 10**12),
            ("exchangeRateStored", rate),
            ("accrualBlockNumber", 499),
            ("reserveFactorMantissa", WAD // 10),
        ):
            say(ctoken, f"{name}()", answer=words(value))
    return node


@pytest.fixture
def v3(node):
    say, comet = node.say, at.COMET
    node.tip = 500
    say(comet, "baseTokenPriceFeed()", answer=encode(["address"], [FEED[at.USDC]]))
    say(comet, "numAssets()", answer=words(2))
    say(comet, "totalSupply()", answer=words(900 * 10**6))
    for i, (asset, scale, borrow, liquidate, penalty, cap) in enumerate(
        (
            (at.WETH, WAD, 825, 895, 950, 1_000 * WAD),
            (WBTC, 10**8, 700, 770, 950, 50 * 10**8),
        )
    ):
        factors = [factor * WAD // 1000 for factor in (borrow, liquidate, penalty)]
        info = (i, asset, FEED[asset], scale, *factors, cap)
        kinds = ["uint8", "address", "address", "uint64", "uint64", "uint64", "uint64", "uint128"]
        say(comet, "getAssetInfo(uint8)", i, answer=encode(kinds, info))
    say(WBTC, "symbol()", answer=encode(["string"], ["WBTC"]))
    say(WBTC, "decimals()", answer=words(8))
    held = {at.USDC: 10**12, at.WETH: 11 * WAD, WBTC: 5 * 10**7}
    for asset, price in ((at.USDC, 1), (at.WETH, 2_000), (WBTC, 40_000)):
        say(comet, "getPrice(address)", FEED[asset], answer=words(price * 10**8))
        say(FEED[asset], "description()", answer=encode(["string"], ["X / USD"]))
        say(asset, "balanceOf(address)", comet, answer=words(held[asset]))
    for n, (account, ((supplied, owed, collateral), liquidatable)) in enumerate(V3_BOOK.items()):
        say(comet, "balanceOf(address)", account, answer=words(supplied))
        say(comet, "borrowBalanceOf(address)", account, answer=words(owed))
        for asset in (at.WETH, WBTC):
            amount = collateral.get(asset, 0)
            say(comet, "collateralBalanceOf(address,address)", account, asset, answer=words(amount))
            if amount:
                call = "SupplyCollateral(address*,address*,address*,uint256)"
                node.logs.append(log(comet, call, (OLD, account, asset), (amount,), block=20 + n))
        say(comet, "isLiquidatable(address)", account, answer=words(int(liquidatable)))
        if supplied:
            transfer = "Transfer(address*,address*,uint256)"
            node.logs.append(log(comet, transfer, (address(0), account), (supplied,), block=30 + n))
    return node


@pytest.fixture
def read(url):
    def run_flow(*markets: str) -> str:
        words = ["--markets", *markets, "--from-block", "0", "--attempts", "1"]
        return ran("compound-market", *words)

    return run_flow


def health(rows) -> dict[str, tuple[int, ...]]:
    columns = "account, total_collateral_base, total_debt_base, health_factor_raw"
    return {row[0]: tuple(map(int, row[1:])) for row in rows(f"SELECT {columns} FROM raw_aave_user_accounts")}


def test_v2_health_factors_are_the_ones_worked_out_by_hand(v2, read, rows):
    said = read(at.COMPOUND_MARKET)

    assert "2 assets, 3 accounts; 2 borrowers agree with the protocol, 1 of them liquidatable" in said
    assert health(rows) == {
        SOLVENT: (40_000 * 10**8, 22_000 * 10**8, 15 * 10**17),
        UNDERWATER: (400 * 10**8, 440 * 10**8, 75 * 10**16),
        SUPPLIER: (0, 0, NOT_OWED),
    }
    assert rows("SELECT protocol, base_currency_unit, hf_checked, below_one_confirmed FROM fact_snapshot") == [
        ("compound_v2", "100000000", 2, 1)
    ]


def test_v2_reserves_are_in_aaves_words(v2, read, rows):
    read(at.COMPOUND_MARKET)

    assert rows(
        "SELECT symbol, asset, atoken, decimals, ltv_bps, liquidation_threshold_bps, liquidation_bonus_bps, price_raw "
        "FROM raw_aave_reserves ORDER BY reserve_id"
    ) == [
        ("USDC", at.USDC, at.CUSDC, 6, 7_500, 7_500, 10_800, str(10**8)),
        ("ETH", address(0), at.CETH, 18, 8_250, 8_250, 10_800, str(2_000 * 10**8)),
    ]
    assert rows(
        "SELECT supply, debt, is_collateral FROM stg_positions WHERE account = ? ORDER BY reserve_id", UNDERWATER
    ) == [(1_000.0, 440.0, 0), (0.2, 0.0, 1)]
    assert rows("SELECT liquidation_factor, close_factor, accrual_block FROM raw_compound_markets ORDER BY 1 DESC") == [
        (str(825 * WAD // 1000), str(WAD // 2), 499),
        (str(75 * WAD // 100), str(WAD // 2), 499),
    ]


def test_v3_health_factors_are_the_ones_worked_out_by_hand(v3, read, rows):
    said = read(at.COMET_MARKET)

    assert "3 assets, 3 accounts; 2 borrowers agree with the protocol, 1 of them liquidatable" in said
    assert health(rows) == {
        SOLVENT: (40_000 * 10**8, 20_000 * 10**8, 1665 * 10**15),
        UNDERWATER: (2_000 * 10**8, 2_000 * 10**8, 895 * 10**15),
        SUPPLIER: (0, 0, NOT_OWED),
    }
    assert rows(
        "SELECT symbol, ltv_bps, liquidation_threshold_bps, liquidation_bonus_bps, borrowing_enabled, supply_cap "
        "FROM raw_aave_reserves ORDER BY reserve_id"
    ) == [("USDC", 0, 0, 0, 1, "0"), ("WETH", 8_250, 8_950, 10_526, 0, "1000"), ("WBTC", 7_000, 7_700, 10_526, 0, "50")]
    assert rows("SELECT reserve_id, supply, debt, is_collateral FROM stg_positions WHERE account = ?", SOLVENT) == [
        (0, 0.0, 20_000.0, 0),
        (1, 10.0, 0.0, 1),
        (2, 0.5, 0.0, 1),
    ]


def test_a_comet_that_counts_in_ether_is_not_taken_for_dollars(v3, read, rows):
    v3.say(FEED[at.USDC], "description()", answer=encode(["string"], ["Constant price feed"]))

    read(at.COMET_MARKET)

    assert rows("SELECT base_currency_unit FROM fact_snapshot") == [("0",)]


@pytest.mark.parametrize(("usdc", "unit"), [(10**30, "100000000"), (93 * 10**28, "100000000"), (10**30 // 2_000, "0")])
def test_a_comptroller_counts_in_dollars_where_a_stablecoin_costs_about_one(v2, read, rows, usdc, unit):
    """Compound's own oracle counted in ether until 2020, and no getter says what one counts in."""
    v2.say(ORACLE, "getUnderlyingPrice(address)", at.CUSDC, answer=words(usdc))
    for account in V2_BOOK:  # without debt every margin holds, whatever the price
        v2.say(at.COMPTROLLER, "getAssetsIn(address)", account, answer=encode(["address[]"], [[]]))
        v2.say(at.COMPTROLLER, "getAccountLiquidity(address)", account, answer=words(0, 0, 0))
        for ctoken, rate in ((at.CUSDC, USDC_RATE), (at.CETH, ETHER)):
            tokens, _ = V2_BOOK[account][0].get(ctoken, (0, 0))
            v2.say(ctoken, "getAccountSnapshot(address)", account, answer=words(0, tokens, 0, rate))

    read(at.COMPOUND_MARKET)

    assert rows("SELECT base_currency_unit FROM fact_snapshot") == [(unit,)]


def test_a_dead_feed_of_a_collateral_that_nobody_has_leaves_it_out_and_is_said(v3, read, rows):
    v3.answers = {
        (to, call): answer
        for (to, call), answer in v3.answers.items()
        if call != call_data("getPrice(address)", FEED[WBTC])
    }
    with pytest.raises(CrossCheckFailed, match=r"of WBTC has no price .* and it is held"):
        read(at.COMET_MARKET)
    v3.say(WBTC, "balanceOf(address)", at.COMET, answer=words(0))
    for account in V3_BOOK:
        v3.say(at.COMET, "collateralBalanceOf(address,address)", account, WBTC, answer=words(0))
    v3.logs = [log for log in v3.logs if WBTC[2:] not in str(log["topics"])]
    v3.say(at.COMET, "isLiquidatable(address)", SOLVENT, answer=words(1))  # 17,900 for 20,000 without it

    said = read(at.COMET_MARKET)

    assert "left out, since nobody holds it and it has no price: WBTC (its feed has no price" in said
    assert rows("SELECT symbol FROM raw_aave_reserves ORDER BY reserve_id") == [("USDC",), ("WETH",)]


@pytest.mark.parametrize("market", [at.COMPOUND_MARKET, at.COMET_MARKET])
def test_the_engine_does_not_run_aaves_rules_on_compound(v2, v3, read, market, own_warehouse):
    read(market)

    with pytest.raises(SnapshotRefused, match="for reading only"):
        data.load_market(market=market, db=own_warehouse)


def test_a_second_run_changes_nothing(v2, v3, read, rows):
    read(at.COMPOUND_MARKET, at.COMET_MARKET)
    before = rows("SELECT max(batch) FROM fact_batch")

    read(at.COMPOUND_MARKET, at.COMET_MARKET)

    assert rows("SELECT max(batch) FROM fact_batch") == before


def test_two_markets_of_one_token_do_not_collide(v2, read, rows):
    """The older market of a token stands under its own address, as Compound's two markets of WBTC do."""
    newer = address(0xF)
    v2.say(at.COMPTROLLER, "getAllMarkets()", answer=encode(["address[]"], [[at.CUSDC, at.CETH, newer]]))
    v2.say(newer, "underlying()", answer=encode(["address"], [at.USDC]))
    v2.say(at.COMPTROLLER, "markets(address)", newer, answer=words(1, 0, 1))
    v2.say(ORACLE, "getUnderlyingPrice(address)", newer, answer=words(10**30))
    for name in ("totalSupply", "totalBorrows", "getCash", "accrualBlockNumber", "reserveFactorMantissa"):
        v2.say(newer, f"{name}()", answer=words(0))
    v2.say(newer, "exchangeRateStored()", answer=words(USDC_RATE))

    read(at.COMPOUND_MARKET)

    assert rows("SELECT reserve_id, asset, atoken FROM raw_aave_reserves ORDER BY 1") == [
        (0, at.CUSDC, at.CUSDC),
        (1, address(0), at.CETH),
        (2, at.USDC, newer),
    ]


# What would go unnoticed otherwise


def nothing_stored(rows) -> bool:
    return rows("SELECT count(*) FROM fact_snapshot") == [(0,)]


def test_a_holder_that_the_scan_missed_shows_in_the_sum(v2, read, rows):
    v2.say(at.CUSDC, "totalSupply()", answer=words(50_005 * 10**8 + 1))

    with pytest.raises(CrossCheckFailed, match="expected holdings of 5000500000001 in all, found 5000500000000"):
        read(at.COMPOUND_MARKET)
    assert nothing_stored(rows)


def test_another_word_of_the_comptroller_stops_the_run(v2, read, rows):
    v2.say(at.COMPTROLLER, "getAccountLiquidity(address)", SOLVENT, answer=words(0, 10_999 * WAD, 0))

    with pytest.raises(
        CrossCheckFailed, match=r"11000\.000000 USD as computed here, 10999\.000000 by getAccountLiquidity"
    ):
        read(at.COMPOUND_MARKET)
    assert nothing_stored(rows)


def test_another_word_of_the_comet_stops_the_run(v3, read, rows):
    v3.say(at.COMET, "isLiquidatable(address)", UNDERWATER, answer=words(0))

    with pytest.raises(CrossCheckFailed, match=r"health factor 0\.895000000 computed here, isLiquidatable says False"):
        read(at.COMET_MARKET)
    assert nothing_stored(rows)


def test_a_held_token_without_a_price_stops_the_run(v2, read, rows):
    v2.say(ORACLE, "getUnderlyingPrice(address)", at.CETH, answer=words(0))

    with pytest.raises(CrossCheckFailed, match="no price of ETH"):
        read(at.COMPOUND_MARKET)
    assert nothing_stored(rows)


def test_refusals_say_what_to_do(v2, read):
    with pytest.raises(ConfigurationError, match="`aave-market` reads it"):
        read("AaveV3Ethereum")
    with pytest.raises(ConfigurationError, match="the node is on chain 1, CompoundV3BaseUSDC is on chain 8453"):
        read("CompoundV3BaseUSDC")
    with pytest.raises(SourceRefused, match="no contract at"):
        read("CompoundV3EthereumUSDC")
