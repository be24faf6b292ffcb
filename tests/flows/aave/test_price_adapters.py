"""Oracle models from what sources answer: by hand with the figures of deployed adapters, and read from a node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi import encode

import data
import risk_core as rc
from flows.aave.contracts import OracleModel, Reserve
from flows.aave.price_adapters import GETTERS, getters, models
from risk_core.price_caps import largest_ratio
from tests.flows.aave.conftest import run
from tests.flows.aave.fake_node import FakeNode, word

AT = 1_773_100_000
ETH_FEED, USDT_FEED, BTC_FEED = "0x" + "e1" * 20, "0x" + "d7" * 20, "0x" + "b7" * 20
USDT_CAPPED, USDE_SOURCE, WSTETH_SOURCE, OTHER = ("0x" + c * 20 for c in ("c1", "c2", "c3", "c4"))


def reserve(symbol: str, price: int, source: str, description: str = "") -> Reserve:
    values = {name: 0 for name in Reserve.__dataclass_fields__ if name not in ("rate_curve", "oracle")}
    said = dict(
        symbol=symbol,
        asset="0x" + symbol.lower().rjust(40, "0"),
        price=price,
        price_source=source,
        price_description=description,
        rate_curve=None,
    )
    return Reserve(**(values | said))  # type: ignore[arg-type]


WETH = reserve("WETH", 1_875_22000000, ETH_FEED, "ETH / USD")
USDT = reserve("USDT", 1_00025887, USDT_CAPPED, "Capped USDT/USD")
USDT_SAYS = {"price_cap": 1_04000000, "decimals": 8, "underlying": USDT_FEED}


def one(item: Reserve, says: dict, *others: Reserve, at: int = AT, **theirs: dict) -> OracleModel:
    answers = {item.price_source: says} | {other.price_source: theirs.get(other.symbol, {}) for other in others}
    return models([item, *others], answers, at)[0]


def test_a_stablecoin_has_the_cap_that_its_adapter_says():
    assert one(USDT, USDT_SAYS) == OracleModel(price_cap=1_04000000)
    assert one(USDT, USDT_SAYS | {"price_cap": 104 * 10**16, "decimals": 18}) == OracleModel(price_cap=1_04000000)


@pytest.mark.parametrize(
    "says",
    [
        {},  # a plain feed
        {"price_cap": 1_04000000},  # of unknown decimals
        {"price_cap": 1_00000000, "decimals": 8},  # below the oracle's own price: not the cap in force
        {"price_cap": -1, "decimals": 8},
        {"price_cap": 2**255 - 1, "decimals": 8},
    ],
)
def test_a_cap_that_cannot_be_is_left_out(says):
    assert one(USDT, says) == OracleModel()


@pytest.mark.parametrize(
    ("snapshot", "days", "highest", "price"),
    [
        (1_234_000_000_000_000_000, 14, 1238581689863013698, 232261315646),
        (1_191_900_000_000_000_000, 7, 1194112688876712328, 223922399643),
    ],
)
def test_a_staked_token_has_the_ratio_of_its_adapter(snapshot, days, highest, price):
    """Figures of wstETH's adapter: base 1,875.22, growth 9.68 % a year; the second is the cap of 2026-03-10."""
    says = {
        "snapshot_ratio": snapshot,
        "snapshot_timestamp": AT - days * 86_400,
        "max_yearly_growth_bps": 968,
        "ratio_decimals": 18,
        "base": ETH_FEED,
    }
    assert largest_ratio(snapshot, 0, 968, days * 86_400) == highest
    item = reserve("wstETH", price, WSTETH_SOURCE, "Capped wstETH / stETH(ETH) / USD")
    expected = OracleModel(ratio_of=WETH.asset, ratio_cap=highest * 10**9)
    assert one(item, says, WETH) == expected
    growth = snapshot * 968 * 10**6 // 10_000 // 31_536_000
    assert one(item, says | {"growth_scaled": growth}, WETH) == expected
    older = one(item, says | {"growth": growth // 10**6}, WETH).ratio_cap
    assert 0 <= expected.ratio_cap - older <= days * 86_400 * 10**9
    assert one(replace(item, price=price * 102 // 100), says, WETH) == OracleModel(ratio_of=WETH.asset)
    assert one(item, {k: v for k, v in says.items() if k != "ratio_decimals"}, WETH) == OracleModel(ratio_of=WETH.asset)
    assert one(item, says | {"base": OTHER}, WETH) == OracleModel()


def test_usde_takes_tethers_price_and_bitcoins_share_a_feed_without_a_leader():
    usde = reserve("USDe", 1_00025887, USDE_SOURCE, "Capped USDT/USD")
    says = {"price_cap": 1_04000000, "decimals": 8, "underlying": USDT_FEED}
    assert one(usde, says, USDT, USDT=USDT_SAYS) == OracleModel(linked_to=USDT.asset)
    assert one(usde, says | {"underlying": OTHER}, USDT, USDT=USDT_SAYS) == OracleModel(price_cap=1_04000000)
    assert one(USDT, USDT_SAYS, usde, USDe=says) == OracleModel(price_cap=1_04000000)
    bitcoins = [reserve(symbol, 100_000 * 10**8, BTC_FEED, "BTC / USD") for symbol in ("tBTC", "cbBTC")]
    assert models(bitcoins, {BTC_FEED: {"decimals": 8}}, AT) == [OracleModel()] * 2


def test_a_discounted_token_follows_the_price_that_it_discounts():
    token = reserve("PT-sUSDE-31JUL2025", 99463914, OTHER, "PT Capped sUSDe USDT/USD linear discount 31JUL2025")
    says = {"principal_token": "0x" + "99" * 20, "underlying": USDT_CAPPED}
    assert one(token, says, WETH, USDT, USDT=USDT_SAYS) == OracleModel(linked_to=USDT.asset)
    assert one(token, says | {"underlying": USDT_FEED}, USDT, USDT=USDT_SAYS) == OracleModel()


def test_a_dead_feed_has_no_model_and_is_none():
    dead, usde = replace(USDT, price=0), reserve("USDe", 1_00025887, USDE_SOURCE, "Capped USDT/USD")
    says = {"price_cap": 1_04000000, "decimals": 8, "underlying": USDT_FEED}
    assert one(dead, USDT_SAYS) == OracleModel()
    assert one(usde, says, dead, USDT=USDT_SAYS) == OracleModel(price_cap=1_04000000)
    item = reserve("wstETH", 2_200 * 10**8, WSTETH_SOURCE)
    assert one(item, {"snapshot_ratio": 10**18, "base": ETH_FEED}, replace(WETH, price=0)) == OracleModel()


def test_a_constant_is_told_by_its_function_and_its_words():
    item = reserve("mUSD", 10**8, OTHER, "Fixed mUSD/USD")
    assert one(item, {"constant": 10**8}) == OracleModel(fixed=True)
    assert one(item, {}) == OracleModel()
    assert one(replace(item, price_description="mUSD / USD"), {"constant": 10**8}) == OracleModel()


def test_the_setting_overrides_a_getter_and_leaves_the_others():
    named = getters('{"price_cap": "cap()"}')
    assert named["price_cap"].signature == "cap()"
    assert {name: f for name, f in named.items() if name != "price_cap"} == {
        name: f for name, f in GETTERS.items() if name != "price_cap"
    }
    assert [GETTERS[name].selector for name in ("ratio", "snapshot_ratio", "price_cap")] == [
        "0xec1ebd7a",
        "0xfe4d9e79",
        "0x4c7afe60",
    ]


def test_a_market_read_from_a_node_has_its_caps(node: FakeNode):
    usdc = node.reserve("USDC")
    source = "0x" + "5c" * 20
    node.say(node.oracle, "getSourceOfAsset(address)", usdc["underlyingAsset"], answer=encode(["address"], [source]))
    node.say(source, "getPriceCap()", answer=word(1_04000000))
    node.say(source, "decimals()", answer=word(8))

    run()

    market = data.load_market()
    at = market.reserves.index("USDC")
    assert market.reserves.price_cap[at] == 1.04
    assert rc.what_if(market, {"USDC": 0.12}).price[at] == 1.04
    assert market.reserves.oracle.ratio_of.max() == -1
