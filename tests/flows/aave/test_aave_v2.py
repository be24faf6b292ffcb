"""Aave v2, for reading only, from a loopback pool of three accounts that a hand can check.

Server and client were written from the same sheet (ILendingPool of the address book's package, MIT): what a real pool
answers was not at hand. The rounding of v2 and the meaning of its answers are held against the contracts by the flow
itself, on every run (`balanceOf`, `getUserAccountData`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_abi import encode
from eth_utils import keccak

import data
from data import marts
from data.errors import SnapshotRefused
from data.store.store import Store
from flows.aave import address_book
from flows.errors import CrossCheckFailed, SourceRefused
from tests.flows.aave.conftest import nothing_is_stored, run, stored
from tests.flows.aave.fake_node import FakeNode, serving, word

BOOK = address_book.by_name("AaveV2Ethereum")
RAY, ETH = 10**27, 10**18
RESERVE = "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,address,address,address,address,uint8)"
WETH, USDC, MKR = (f"0x{digit * 40}" for digit in "123")
ALICE, BOB, CAROL = ("0x" + name * 20 for name in ("a1", "b0", "c0"))
TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()


def token(kind: str, asset: str) -> str:
    return "0x" + kind * 8 + asset[-32:]


class V2Node(FakeNode):
    """Alice: 10 WETH (scaled 8) against 8,000 USDC; Bob: 1 WETH against 1,000 USDC at a stable rate; Carol: 6 units
    of MKR, which are 5 scaled at an index of 1.1, not enabled."""

    def __init__(self) -> None:
        super().__init__()
        self.chain_id = 1
        self.provider, self.pool, self.oracle = BOOK.provider, BOOK.pool, BOOK.oracle
        self.logs = []
        self.answers = {}
        address = lambda value: encode(["address"], [value])  # noqa: E731
        self.say(self.pool, "getAddressesProvider()", answer=address(BOOK.provider))
        self.say(self.pool, "getReservesList()", answer=encode(["address[]"], [[WETH, USDC, MKR]]))
        old_name = b"MKR".ljust(32, b"\0")
        self.list_reserve(0, WETH, encode(["string"], ["WETH"]), 18, ETH, index=125 * RAY // 100)
        self.list_reserve(1, USDC, encode(["string"], ["USDC"]), 6, ETH // 2000, index=RAY)
        self.list_reserve(2, MKR, old_name, 18, ETH // 2, index=11 * RAY // 10)
        self.hold("a", WETH, ALICE, 8 * ETH, 10 * ETH)
        self.hold("d", USDC, ALICE, 8_000 * 10**6, 8_000 * 10**6)
        self.hold("a", WETH, BOB, ETH * 4 // 5, ETH)
        self.say(token("e", USDC), "balanceOf(address)", BOB, answer=word(1_000 * 10**6))
        self.say(token("e", USDC), "balanceOf(address)", ALICE, answer=word(0))
        self.say(token("e", USDC), "totalSupply()", answer=word(1_000 * 10**6))
        self.hold("a", MKR, CAROL, 5, 6)  # 5.5, half up
        self.sums()
        # bit 0: borrows WETH, 1: WETH is collateral, 2: borrows USDC
        for who, flags, collateral, debt, health in (
            (ALICE, 0b110, 10 * ETH, 4 * ETH, 2 * ETH),
            (BOB, 0b110, ETH, ETH // 2, 16 * ETH // 10),
            (CAROL, 0, 0, 0, 2**256 - 1),
        ):
            self.say(self.pool, "getUserConfiguration(address)", who, answer=word(flags))
            row = [collateral, debt, 0, 8000, 7500, health]
            self.say(self.pool, "getUserAccountData(address)", who, answer=encode(["uint256"] * 6, row))

    def list_reserve(self, number: int, asset: str, symbol: bytes, decimals: int, price: int, index: int) -> None:
        configuration = 7500 | 8000 << 16 | 10500 << 32 | decimals << 48 | 1 << 56 | 1 << 57 | 1 << 58 | 1000 << 64
        row = (configuration, index, RAY, 0, 0, 0, self.time, token("a", asset), token("e", asset), token("d", asset),
               WETH, number)  # fmt: skip
        self.say(self.pool, "getReserveData(address)", asset, answer=encode([RESERVE], [row]))
        self.say(self.pool, "getReserveNormalizedIncome(address)", asset, answer=word(index))
        self.say(self.pool, "getReserveNormalizedVariableDebt(address)", asset, answer=word(RAY))
        self.say(self.oracle, "getAssetPrice(address)", asset, answer=word(price))
        self.say(self.oracle, "getSourceOfAsset(address)", asset, answer=encode(["address"], [MKR]))
        self.say(asset, "symbol()", answer=symbol)
        self.say(asset, "balanceOf(address)", token("a", asset), answer=word(77))

    def hold(self, kind: str, asset: str, who: str, scaled: int, balance: int) -> None:
        at = token(kind, asset)
        self.say(at, "scaledBalanceOf(address)", who, answer=word(scaled))
        self.say(at, "balanceOf(address)", who, answer=word(balance))
        topics = [TRANSFER, "0x" + "00" * 32, "0x" + who[2:].zfill(64)]
        self.logs.append({"address": at, "blockNumber": hex(7), "topics": topics, "data": "0x"})

    def sums(self) -> None:
        held = {("a", WETH): 8 * ETH + ETH * 4 // 5, ("d", USDC): 8_000 * 10**6, ("a", MKR): 5}
        for asset in (WETH, USDC, MKR):
            for kind in "ad":
                total = held.get((kind, asset), 0)
                self.say(token(kind, asset), "scaledTotalSupply()", answer=word(total))


@pytest.fixture
def v2(monkeypatch: pytest.MonkeyPatch) -> Iterator[V2Node]:
    fake = V2Node()
    with serving(fake) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_MARKET", BOOK.name)
        yield fake


def read() -> str:
    return run("--from-block", "1")


def test_the_book_is_stored_in_the_shapes_of_v3_and_says_what_it_is(v2: V2Node):
    said = read()

    assert said.startswith("AaveV2Ethereum at block 21: 3 reserves, 0 e-modes, 3 accounts, 5 positions")
    assert "the engine does not know its rules" in said
    assert stored("SELECT protocol, pool_revision, base_currency_unit, read_mode FROM fact_snapshot") == [
        ("aave_v2", 0, str(ETH), "full")
    ]
    assert stored(
        "SELECT symbol, price_raw, liquidation_threshold_bps, is_frozen, virtual_balance, supply_cap "
        "FROM raw_aave_reserves ORDER BY reserve_id"
    ) == [
        ("WETH", str(ETH), 8000, 1, "77", "0"),
        ("USDC", str(ETH // 2000), 8000, 1, "77", "0"),
        ("MKR", str(ETH // 2), 8000, 1, "77", "0"),
    ]
    assert stored(
        "SELECT account, reserve_id, supply_raw, scaled_debt, debt_raw, is_collateral FROM stg_positions "
        "ORDER BY account, reserve_id"
    ) == [
        (ALICE, 0, str(10 * ETH), "0", "0", 1),
        (ALICE, 1, "0", "8000000000", "8000000000", 0),
        (BOB, 0, str(ETH), "0", "0", 1),
        (BOB, 1, "0", "0", "1000000000", 0),  # all of it at a stable rate
        (CAROL, 2, "6", "0", "0", 0),
    ]
    assert stored("SELECT account, health_factor_raw FROM raw_aave_user_accounts ORDER BY account")[:2] == [
        (ALICE, str(2 * ETH)),
        (BOB, str(16 * ETH // 10)),
    ]


def test_a_second_run_changes_nothing(v2: V2Node):
    read()

    assert read().endswith("already stored, nothing changed")


def test_the_engine_is_not_given_a_book_whose_rules_it_does_not_know(v2: V2Node, monkeypatch: pytest.MonkeyPatch):
    read()

    with pytest.raises(SnapshotRefused, match=r"AaveV2Ethereum at block 21 is of a protocol that is for reading only"):
        data.load_market(market=BOOK.name)
    assert data.snapshot.available() == []
    from data.sample import fill

    fill(200)
    assert data.load_market().snapshot.synthetic  # although AAVE_MARKET names the v2 market


def test_prices_in_ether_do_not_reach_what_is_served_in_dollars(v2: V2Node):
    read()
    with Store.open() as store:
        marts.refresh(store)

        assert store.rows("SELECT market, protocol FROM dim_market") == [(BOOK.name, "aave_v2")]
        assert store.rows("SELECT DISTINCT unit FROM stg_account_health") == [("ETH",)]
        assert store.rows(
            "SELECT count(*) > 0, count(debt_usd), count(liquidation_price_usd) FROM mart_position_risk"
        ) == [(1, 0, 0)]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda n: n.say(n.pool, "getAddressesProvider()", answer=encode(["address"], [ALICE])), SourceRefused,
         "names the provider 0xa1a1.*the address book has 0xb53c"),
        (lambda n: n.say(token("a", MKR), "balanceOf(address)", CAROL, answer=word(5)), CrossCheckFailed,
         r"balanceOf says 5, from the scaled balance and the index it is 6\. Nothing"),
        (lambda n: n.say(token("e", USDC), "totalSupply()", answer=word(0)), CrossCheckFailed,
         f"debt of account {BOB}: getUserAccountData says {ETH // 2}, .* it is 0"),
        (lambda n: n.say(token("a", WETH), "scaledTotalSupply()", answer=word(1)), CrossCheckFailed,
         "aToken of WETH .* A holder is missing"),
        (lambda n: n.say(n.oracle, "getAssetPrice(address)", USDC, answer=word(0)), CrossCheckFailed,
         rf"oracle price of USDC: expected a positive price, found 0 .* Account {ALICE} owes USDC .*\(2 accounts"),
        (lambda n: n.say(n.oracle, "getAssetPrice(address)", WETH, answer=None), CrossCheckFailed,
         rf"oracle price of WETH: .* found no price .* Account {ALICE} .* has it as collateral \(2 accounts"),
    ],
    ids=["another provider", "another rounding", "stable debt overlooked", "a holder missing", "no price of a debt",
         "no price of collateral"],
)  # fmt: skip
def test_what_does_not_agree_is_refused(v2: V2Node, change, error: type[Exception], message: str):
    change(v2)

    with pytest.raises(error, match=message):
        read()

    assert nothing_is_stored()


@pytest.mark.parametrize(("answer", "words"), [(word(0), "MKR (0)"), (None, "MKR (no price")], ids=["zero", "refuses"])
def test_a_dead_feed_that_nobody_needs_refuses_nothing_and_is_said(v2: V2Node, answer: bytes | None, words: str):
    v2.say(v2.oracle, "getAssetPrice(address)", MKR, answer=answer)  # Carol has some, and has not enabled it

    said = read()

    assert f"the oracle has no price of {words}" in said
    assert "which nobody owes or has as collateral: it is in no total" in said
    assert stored("SELECT symbol FROM raw_aave_reserves WHERE price_raw IS NULL") == [("MKR",)]
    assert stored(
        "SELECT column_name, n_failed, n_rows FROM fact_validation WHERE table_name = 'raw_aave_reserves'"
    ) == [("price_raw", 1, 3)]
    with Store.open() as store:
        marts.refresh(store)
    assert stored("SELECT DISTINCT symbol FROM stg_aave_terms ORDER BY 1") == [("USDC",), ("WETH",)]
    assert stored("SELECT account FROM stg_account_health ORDER BY 1") == [(ALICE,), (BOB,)]


def test_a_unit_that_nobody_tells_is_known_for_ethereum_only(v2: V2Node, monkeypatch: pytest.MonkeyPatch):
    v2.chain_id = 137
    polygon = address_book.by_name("AaveV2Polygon")
    monkeypatch.setenv("AAVE_MARKET", polygon.name)
    v2.answers = {
        (polygon.pool if to == v2.pool else polygon.oracle if to == v2.oracle else to, call): answer
        for (to, call), answer in v2.answers.items()
    }
    v2.pool, v2.oracle = polygon.pool, polygon.oracle
    v2.say(v2.pool, "getAddressesProvider()", answer=encode(["address"], [polygon.provider]))

    with pytest.raises(SourceRefused, match=r"does not tell its unit .* known for Ethereum only"):
        read()
    v2.say(v2.oracle, "BASE_CURRENCY_UNIT()", answer=word(ETH))

    assert read().startswith("AaveV2Polygon at block 21: 3 reserves")
