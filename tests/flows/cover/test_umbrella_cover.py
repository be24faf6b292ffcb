"""`umbrella-cover` against a node on loopback: what it says is stored, once; what cannot be is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from data import load_market
from data.cover import load_cover
from data.store.store import Store
from flows.clients import json_rpc
from flows.cover.umbrella_cover import KNOWN
from flows.errors import ConfigurationError, CrossCheckFailed, MalformedAnswer, SourceRefused, WrongOption
from tests.flows.aave.fake_node import REVERT, Refused, call_data, serving
from tests.flows.conftest import LIVE
from tests.flows.running import ran

UMBRELLA, PROVIDER, POOL = KNOWN[LIVE], "0x" + "51" * 20, "0x" + "52" * 20
STAKE, ORACLE = "0x" + "53" * 20, "0x" + "54" * 20
BLOCK = 24_000_000
CONFIG = "(address,address,uint256)[]"


class UmbrellaNode:
    """A market with Umbrella: offsets and pending deficits in tokens by asset, one stake for some."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self.pending: dict[str, int] = {}
        self.configs: dict[str, list[tuple[str, str, int]]] = {}
        self.slashable, self.decimals, self.price = 0, 18, 0
        self.pool, self.forks, self.code = POOL, 0, True
        self.max_batch = 10**9
        self.http_answers: list[tuple[int, bytes]] = []
        self.seen = 0

    def answer(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_chainId":
                return "0x1"
            case "eth_blockNumber":
                return hex(BLOCK)
            case "eth_getBlockByNumber":
                self.seen += 1
                digest = keccak(text=f"block {self.forks * self.seen}").hex()
                return {"number": hex(BLOCK), "hash": f"0x{digest}", "timestamp": hex(1_767_000_000)}
            case "eth_getCode":
                return "0x60" if self.code and params[0].lower() == UMBRELLA else "0x"
            case "eth_call":
                return "0x" + self._call(params[0]["to"].lower(), params[0]["data"]).hex()
        raise Refused(-32601, f"the method {method} does not exist")

    def _call(self, to: str, data: str) -> bytes:
        asset = "0x" + data[-40:]
        if to == PROVIDER and data == call_data("getPool()"):
            return encode(["address"], [POOL])
        if to == UMBRELLA and data == call_data("POOL()"):
            return encode(["address"], [self.pool])
        zero = "0x" + "00" * 20
        for signature, said in (
            ("getDeficitOffset(address)", self.offsets),
            ("getPendingDeficit(address)", self.pending),
        ):
            if to == UMBRELLA and data[:10] == call_data(signature, zero)[:10]:
                return encode(["uint256"], [said.get(asset, 0)])
        if to == UMBRELLA and data[:10] == call_data("getReserveSlashingConfigs(address)", zero)[:10]:
            return encode([CONFIG], [self.configs.get(asset, [])])
        if to == STAKE and data == call_data("getMaxSlashableAssets()"):
            return encode(["uint256"], [self.slashable])
        if to == STAKE and data == call_data("decimals()"):
            return encode(["uint8"], [self.decimals])
        if to == ORACLE and data == call_data("latestAnswer()"):
            return encode(["int256"], [self.price])
        raise REVERT


@pytest.fixture
def node(live, monkeypatch: pytest.MonkeyPatch) -> Iterator[UmbrellaNode]:
    monkeypatch.setattr(json_rpc.time, "sleep", lambda seconds: None)
    fake = UmbrellaNode()
    weth, usdc = (asset_of(symbol) for symbol in ("WETH", "USDC"))
    fake.offsets = {weth: 50 * 10**18, usdc: 100_000 * 10**6}
    fake.pending = {weth: 2 * 10**18}
    fake.configs = {weth: [(STAKE, ORACLE, 2_500)]}
    fake.slashable, fake.price = 1_000 * 10**18, 1_500 * 10**8
    with serving(fake) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", PROVIDER)
        yield fake


def asset_of(symbol: str) -> str:
    reserves = load_market().reserves
    return reserves.asset[reserves.index(symbol)]


def run(*words: str) -> str:
    return ran("umbrella-cover", "--attempts", "2", "--market", LIVE, *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def test_what_umbrella_says_is_stored_once(node: UmbrellaNode):
    said = run()
    assert "cover of 2 reserves at block 24,000,000; a stake covers WETH" in said
    columns = (
        "symbol, offset_raw, pending_raw, stake, stake_raw, stake_price_raw, fee_bps, block, umbrella, is_synthetic"
    )
    found = rows(f"SELECT {columns} FROM dim_deficit_cover ORDER BY symbol")
    assert found == [
        ("USDC", str(100_000 * 10**6), "0", None, None, None, None, BLOCK, UMBRELLA, 0),
        ("WETH", str(50 * 10**18), str(2 * 10**18), STAKE, str(1_000 * 10**18), str(1_500 * 10**8), 2_500, BLOCK,
         UMBRELLA, 0),
    ]  # fmt: skip
    run()
    assert rows("SELECT count(*) FROM dim_deficit_cover") == [(2,)]


def test_a_stake_pays_its_own_price_and_the_fee_on_top(node: UmbrellaNode):
    """1,000 at 1,500 USD of what is staked, WETH at its own price, a quarter on top: 1.5M / 1.25 / price."""
    run()
    market = load_market()
    weth = float(market.price[market.reserves.index("WETH")])
    with Store.open() as store:
        assert load_cover(store, market) is None  # it was read at a later block than the market
        with store.transaction() as connection:
            connection.execute(f"UPDATE dim_deficit_cover SET block = {market.snapshot.block}")
        found = load_cover(store, market)
    assert found is not None
    of = {one.symbol: one for one in found.reserves}
    assert (of["USDC"].offset, of["USDC"].stake) == (100_000.0, 0.0)
    assert of["WETH"].offset == 52.0
    assert of["WETH"].stake == pytest.approx(1_500_000 / 1.25 / weth)
    assert of["WETH"].tokens == of["WETH"].offset + of["WETH"].stake


def test_two_stakes_are_none_as_the_contract_takes_neither(node: UmbrellaNode):
    weth = asset_of("WETH")
    node.configs[weth] = node.configs[weth] * 2
    assert "none of them" in run()
    assert rows("SELECT stake FROM dim_deficit_cover WHERE symbol = 'WETH'") == [(None,)]


def test_without_any_cover_that_is_what_is_stored(node: UmbrellaNode):
    node.offsets, node.pending, node.configs = {}, {}, {}
    run()
    n = load_market().n_reserves
    assert rows("SELECT count(*), max(offset_raw), count(stake) FROM dim_deficit_cover") == [(n, "0", 0)]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda n: setattr(n, "code", False), SourceRefused, "no contract at Umbrella"),
        (lambda n: setattr(n, "pool", "0x" + "99" * 20), SourceRefused, "covers the pool 0x99"),
        (lambda n: setattr(n, "decimals", 6), SourceRefused, "6 decimals, the reserve 18"),
        (lambda n: setattr(n, "price", 0), MalformedAnswer, "a price above 0"),
        (lambda n: setattr(n, "forks", 1), CrossCheckFailed, "was replaced"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(node: UmbrellaNode, change, error, words: str):
    change(node)
    with pytest.raises(error, match=words):
        run()
    assert rows("SELECT count(*) FROM dim_deficit_cover") == [(0,)]


def test_an_unknown_umbrella_is_asked_for(node: UmbrellaNode):
    with pytest.raises(ConfigurationError, match="no Umbrella of Elsewhere is known"):
        ran("umbrella-cover", "--market", "Elsewhere")
    with pytest.raises(WrongOption, match="40 hexadecimal digits"):
        run("--umbrella", "0x12")


def test_a_sample_is_covered_by_no_contract(sample):
    with pytest.raises(WrongOption, match="synthetic"):
        ran("umbrella-cover", "--market", "SampleAaveV3Ethereum", "--umbrella", UMBRELLA)
