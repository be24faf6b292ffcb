"""The engine's rules against real transactions on the same chain state: health factors after a shock, liquidations."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import risk_core as rc
from tests.node.chain import Reverted
from tests.node.conftest import Ingested, assert_same_health
from tests.node.deployment import TREASURY
from tests.node.harness import NodeMarket
from tests.node.population import EVERYTHING

pytestmark = pytest.mark.node

ETH = ("WETH", "wstETH", "weETH")
RISKY = (*ETH, "WBTC", "LINK", "MKR", "CRV")


def fallen_prices(node: NodeMarket, symbols: tuple[str, ...], move: float) -> dict[str, int]:
    """Prices (8 decimals) after a relative move of some symbols."""
    return {s: round(node.configuration.by_symbol[s].price * (1 + move)) for s in symbols}


@pytest.mark.parametrize("move", [-0.2, -0.45, 0.3])
def test_what_if_equals_the_pool_with_those_feeds_moved(ingested: Ingested, move: float):
    node, market = ingested.node, ingested.market
    prices = fallen_prices(node, ETH, move)
    shock = {s: prices[s] / node.configuration.by_symbol[s].price - 1 for s in ETH}

    result = rc.what_if(market, shock)

    with node.chain.undone():
        for symbol, price in prices.items():
            node.set_price(symbol, price)
        chain = node.account_data(list(market.accounts))
    for account, health, row in zip(market.accounts, result.health_factor, chain, strict=True):
        assert_same_health(account, health, row)
    expected = [i for i, (c, d, _, _, _, hf) in enumerate(chain) if d and c and hf < 10**18]
    assert sorted(result.liquidatable.tolist()) == expected
    assert result.debt_usd == pytest.approx(sum(chain[i][1] for i in expected) / 1e8, rel=1e-9)
    if move < 0:
        assert len(expected) > 3


def cases(node: NodeMarket, market: rc.Market, count: int) -> list[tuple[str, str, str, float | None]]:
    """(account, collateral, debt, share of the debt to cover or None for everything), chosen at random.

    Mostly pairs that the account has; some that it has not, and healthy accounts, which the contract must refuse.
    """
    draw = random.Random(f"liquidations {market.snapshot.block_time}")
    names = market.reserves.symbol
    health = rc.health_factor(market)
    weak, healthy = np.flatnonzero(health < 1), np.flatnonzero(np.isfinite(health) & (health >= 1))
    chosen = []
    for number in range(count):
        row = int(draw.choice(healthy if number % 10 == 9 else weak))
        own = [
            [names[side.reserve[k]] for k in range(side.indptr[row], side.indptr[row + 1])]
            for side in (market.collateral, market.debt)
        ]
        collateral, debt = (draw.choice(side or names) if draw.random() < 0.93 else draw.choice(names) for side in own)
        share = draw.choice([None, None, None, 0.5, draw.random(), 0.02])
        chosen.append((str(market.accounts[row]), collateral, debt, share))
    return chosen


@pytest.mark.parametrize(("symbols", "move"), [(RISKY, -0.12), (RISKY, -0.5), (("USDC", "USDT", "DAI"), 0.35)])
def test_real_liquidations_do_what_the_engine_says(ingested: Ingested, symbols: tuple[str, ...], move: float):
    """liquidationCall in a block at the snapshot's time: amounts, fee, deficit, what is left, or the same refusal."""
    node = ingested.node
    prices = fallen_prices(node, symbols, move)
    price = ingested.market.price.copy()
    for symbol, value in prices.items():
        price[ingested.market.reserves.index(symbol)] = value / 1e8
    market = replace(ingested.market, price=price)
    seen: Counter[str] = Counter()
    for account, collateral, debt, share in cases(node, market, 40):
        owed = node.balance(node.deployment.vtoken[debt], account)
        unit = node.configuration.by_symbol[debt].unit
        cover = None if share is None or not owed else max(int(owed * share), 1)
        expected = rc.liquidate(market, account, collateral, debt, None if cover is None else cover / unit)
        with node.chain.undone():
            for symbol, value in prices.items():
                node.set_price(symbol, value)
            seen[check(node, market, expected, account, collateral, debt, cover)] += 1
    assert seen["done"] >= 15, seen
    assert len(seen) >= 3, seen  # at least two kinds of refusal were met as well


def check(
    node: NodeMarket,
    market: rc.Market,
    expected: rc.Liquidation,
    account: str,
    collateral: str,
    debt: str,
    cover: int | None,
) -> str:
    """One real call compared with the engine's; returns "done" or the name of the refusal."""
    case = f"{account} {collateral}/{debt} cover {cover}"
    asset, atoken, vtoken = node.deployment.asset, node.deployment.atoken, node.deployment.vtoken
    treasury_before = node.balance(atoken[collateral], TREASURY)
    refusal, events = None, []
    try:
        events = node.liquidate(account, collateral, debt, EVERYTHING if cover is None else cover)
    except Reverted as reverted:
        refusal = str(reverted)
    assert expected.error == refusal, case
    if refusal:
        return refusal

    (call,) = [args for name, args in events if name == "LiquidationCall"]
    unit = {symbol: node.configuration.by_symbol[symbol].unit for symbol in asset}

    def same(name: str, found: float, chain: int, symbol: str, slack: int = 2) -> None:
        """Equal to 1e-7 relative, or to a few smallest units: amount, fee and two scaled burns are rounded each."""
        assert found == pytest.approx(chain / unit[symbol], rel=1e-7, abs=slack / unit[symbol]), f"{case}: {name}"

    same("repaid", expected.repaid, call["debtToCover"], debt)
    same("seized", expected.seized, call["liquidatedCollateralAmount"], collateral)
    same("fee", expected.fee, node.balance(atoken[collateral], TREASURY) - treasury_before, collateral)
    burnt = {args["debtAsset"].lower(): args["amountCreated"] for name, args in events if name == "DeficitCreated"}
    for row, symbol in enumerate(market.reserves.symbol):
        same(f"deficit {symbol}", float(expected.deficit[row]), burnt.get(asset[symbol], 0), symbol)
        same(f"debt left {symbol}", float(expected.debt[row]), node.balance(vtoken[symbol], account), symbol, 4)
        flags = node.ask_pool("getUserConfiguration", account)[0]
        if flags >> (2 * node.deployment.reserve_id[symbol] + 1) & 1:
            left = node.balance(atoken[symbol], account)
            same(f"collateral left {symbol}", float(expected.collateral[row]), left, symbol, 4)
    return "done"
