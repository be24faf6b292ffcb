"""An Aave v3 market, a Comet and a Compound v2 deployment on a loopback node, and the flow run against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_abi import encode

from data import marts
from data.store.store import Store
from tests.flows.aave.fake_node import serving
from tests.flows.lending.logs import address
from tests.flows.lending.node import LendingNode
from tests.flows.running import ran

PROVIDER, POOL, ORACLE = address(0x10), address(0xA), address(0x11)
COMET, COMPTROLLER, CUSDC, CETH = address(0xB), address(0xE), address(0xC), address(0xD)
USDC, WETH, LINK, ODD = address(0x51), address(0x52), address(0x53), address(0x54)
BASE_FEED = address(0x76)
MARKET = f"aave_v3:{PROVIDER}"
COMET_MARKET = f"compound_v3:{COMET}"
COMPOUND_MARKET = f"compound_v2:{COMPTROLLER}"


@pytest.fixture
def node() -> LendingNode:
    made = LendingNode()
    as_address = lambda value: encode(["address"], [value])  # noqa: E731
    made.say(PROVIDER, "getPool()", answer=as_address(POOL))
    made.say(PROVIDER, "getPriceOracle()", answer=as_address(ORACLE))
    made.say(POOL, "getReservesList()", answer=encode(["address[]"], [[USDC, WETH]]))
    made.say(COMET, "baseToken()", answer=as_address(USDC))
    made.say(COMET, "baseTokenPriceFeed()", answer=as_address(BASE_FEED))
    made.say(BASE_FEED, "description()", answer=encode(["string"], ["USDC / USD"]))
    made.say(ORACLE, "BASE_CURRENCY_UNIT()", answer=encode(["uint256"], [10**8]))
    made.say(COMPTROLLER, "getAllMarkets()", answer=encode(["address[]"], [[CUSDC, CETH]]))
    made.say(CUSDC, "underlying()", answer=as_address(USDC))
    for token, symbol, decimals in (
        (USDC, "USDC", 6),
        (WETH, "WETH", 18),
        (LINK, "LINK", 18),
        (CUSDC, "cUSDC", 8),
        (CETH, "cETH", 8),
    ):
        made.say(token, "symbol()", answer=encode(["string"], [symbol]))
        made.say(token, "decimals()", answer=encode(["uint8"], [decimals]))
    return made


@pytest.fixture
def url(node: LendingNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(node) as where:
        monkeypatch.setenv("ETH_RPC_URL", where)
        yield where


@pytest.fixture
def run(url: str) -> Callable[..., str]:
    """`python -m flows lending-events …` in this process, on the Aave market unless told otherwise."""

    def run_flow(*arguments: str) -> str:
        market = [] if "--markets" in arguments else ["--markets", MARKET]
        return ran("lending-events", *market, "--from-block", "0", "--attempts", "1", *arguments)

    return run_flow


@pytest.fixture
def rows(own_warehouse: Path) -> Callable[..., list[tuple]]:
    """A query on the warehouse of the test; `stg_positions` is brought up to date first."""

    def ask(sql: str, *params: object) -> list[tuple]:
        with Store.open(own_warehouse) as store:
            if "stg_positions" in sql:
                marts.refresh(store, ["stg_positions"])
            return store.rows(sql, params)

    return ask
