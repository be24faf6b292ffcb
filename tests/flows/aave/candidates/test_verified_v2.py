"""Aave v2 by the fast way: the loopback pool of three accounts, one with all its debt at a stable rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.aave.candidates.book import put_holding, put_reserve
from tests.flows.aave.candidates.conftest import fast, run, stored
from tests.flows.aave.candidates.schemas import AAVE_V2
from tests.flows.aave.candidates.server import Book, Gateway, Subgraph
from tests.flows.aave.fake_node import serving, word
from tests.flows.aave.test_aave_v2 import ALICE, BOB, BOOK, CAROL, ETH, MKR, RAY, USDC, WETH, V2Node, token

OFFICIAL = "8wR23o1zkS4gpLqLNU4kG3JHYVucqGyopL5utGxP2q1N"


@pytest.fixture
def v2(monkeypatch: pytest.MonkeyPatch) -> Iterator[V2Node]:
    fake = V2Node()
    # His flag says that he borrows USDC, not at which rate.
    fake.say(token("d", USDC), "scaledBalanceOf(address)", BOB, answer=word(0))
    with serving(fake) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_MARKET", BOOK.name)
        yield fake


@pytest.fixture
def subgraph(v2: V2Node, gateway_of: Callable[[dict[str, Subgraph]], Gateway]) -> Subgraph:
    book = Book()
    book.put("Pool", {"id": BOOK.provider, "lendingPool": BOOK.pool, "active": True})
    book.put("PriceOracle", {"id": "1", "usdPriceEth": ETH // 2000, "baseCurrency": None, "baseCurrencyUnit": None})
    rows = (
        (WETH, "WETH", 18, ETH, 125 * RAY // 100),
        (USDC, "USDC", 6, ETH // 2000, RAY),
        (MKR, "MKR", 18, ETH // 2, 11 * RAY // 10),
    )
    for asset, symbol, decimals, price, index in rows:
        put_reserve(book, BOOK.provider, {
            "underlyingAsset": asset, "symbol": symbol, "decimals": decimals, "isActive": True, "isFrozen": True,
            "borrowingEnabled": True, "baseLTVasCollateral": 7500, "reserveLiquidationThreshold": 8000,
            "reserveLiquidationBonus": 10500, "reserveFactor": 1000, "liquidityIndex": index,
            "variableBorrowIndex": RAY, "liquidityRate": 0, "variableBorrowRate": 0, "lastUpdateTimestamp": v2.time,
            "totalScaledVariableDebt": 0, "priceInMarketReferenceCurrency": price, "priceOracle": MKR,
            "aTokenAddress": token("a", asset),
            "variableDebtTokenAddress": token("d", asset),
        }, v2=True)  # fmt: skip
    for who, asset, supply, debt, stable in (
        (ALICE, WETH, 8 * ETH, 0, 0),
        (ALICE, USDC, 0, 8_000 * 10**6, 0),
        (BOB, WETH, ETH * 4 // 5, 0, 0),
        (BOB, USDC, 0, 0, 1_000 * 10**6),
        (CAROL, MKR, 5, 0, 0),
    ):
        book.put("User", {"id": who, "borrowedReservesCount": 0})
        put_holding(book, who, asset, BOOK.provider, supply, debt, asset == WETH, principalStableDebt=stable)
    made = Subgraph(AAVE_V2, book, head=v2.tip, head_time=v2.time)
    gateway_of({OFFICIAL: made})
    return made


def holdings() -> list[tuple]:
    return stored(
        "SELECT account, asset, scaled_supply, supply_raw, scaled_debt, debt_raw, is_collateral "
        "FROM stg_positions ORDER BY account, asset"
    )


def test_the_fast_way_stores_what_the_log_stores(subgraph: Subgraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = fast()
    by_subgraph = holdings()
    monkeypatch.setenv("RISK_DB", str(tmp_path / "by_log.sqlite"))
    run("--from-block", "1")

    assert by_subgraph == holdings()
    assert len(by_subgraph) == 5
    assert "their balances are every token's whole supply" in said
    assert "the subgraph differs in 0 of" in said


def test_v2_balances_of_the_subgraph_are_rounded_half_up_and_priced_in_ether(subgraph: Subgraph):
    fast()

    assert stored(f"SELECT supply_raw FROM stg_graph_account_positions WHERE account = '{CAROL}'") == [("6",)]  # 5.5
    assert stored(
        f"SELECT stable_debt_raw, debt_raw FROM stg_graph_account_positions WHERE account = '{BOB}' "
        f"AND asset = '{USDC}'"
    ) == [("1000000000", "0")]
    assert stored(f"SELECT price_base, price_raw, price_usd FROM stg_graph_market_data WHERE asset = '{WETH}'") == [
        ("ETH", str(ETH), None)
    ]
