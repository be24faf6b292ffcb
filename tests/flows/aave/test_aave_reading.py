"""The parts of reading a market: bit fields, odd answers, ranges of the log, batches. Facts that a hand can check."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.aave import address_book
from flows.aave.accounts import Account
from flows.aave.checks import Rules
from flows.aave.contracts import EMode, Reserve, symbol_of
from flows.aave.holders import NOBODY, RangeSize, Tokens, pairs_of, scan, touched_by
from flows.clients import abis
from flows.clients.abis import Function, WrongShape
from flows.clients.block_reader import Failure
from flows.clients.json_rpc import JsonRpc, Request, RpcError
from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused
from flows.settings import get, redacted

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
POOL, WETH, AWETH, VWETH = ("0x" + digit * 40 for digit in "1234")
TOKENS = Tokens(POOL, {WETH: AWETH}, {WETH: VWETH})
RAY = 10**27


def reserve(**fields: Any) -> Reserve:
    """WETH at 2,000 USD: LTV 80 %, threshold 85 %, bonus 5 %, indices 1."""
    word = 8000 | 8500 << 16 | 10500 << 32 | 18 << 48 | 1 << 56
    values = {
        "asset": WETH, "id": 0, "symbol": "WETH", "configuration": word, "liquidity_index": RAY, "liquidity_rate": 0,
        "variable_borrow_index": RAY, "variable_borrow_rate": 0, "last_update": 0, "atoken": AWETH, "vtoken": VWETH,
        "grace_until": 0, "deficit": 0, "virtual_balance": 0, "normalized_income": RAY, "normalized_debt": RAY,
        "scaled_atoken_supply": 0, "scaled_debt_supply": 0, "price": 2000 * 10**8, "price_source": NOBODY,
        "price_description": "", "rate_curve": None, "payload_sha256": "",
    }  # fmt: skip
    return Reserve(**values | fields)


# The configuration word

FIELDS = {
    "ltv": (0, 16), "liquidation_threshold": (16, 16), "liquidation_bonus": (32, 16), "decimals": (48, 8),
    "is_active": (56, 1), "is_frozen": (57, 1), "borrowing_enabled": (58, 1), "is_paused": (60, 1),
    "reserve_factor": (64, 16), "borrow_cap": (80, 36), "supply_cap": (116, 36), "liquidation_protocol_fee": (152, 16),
}  # fmt: skip
"""Name -> (first bit, width) of `ReserveConfiguration.sol`."""


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_of_the_configuration_word_is_its_bits_and_no_others(name: str):
    first, width = FIELDS[name]
    only = ((1 << width) - 1) << first
    everything_else = (2**256 - 1) ^ only

    assert getattr(reserve(configuration=only), name) == (1 << width) - 1
    assert getattr(reserve(configuration=everything_else), name) == 0


# Encoding and decoding


def test_call_data_is_a_selector_and_words():
    assert abis.GET_USER_ACCOUNT_DATA.encode(ALICE) == "0xbf92857c" + "0" * 24 + "a1" * 20
    assert abis.GET_EMODE_CONFIG.encode(7)[10:] == f"{7:064x}"
    assert abis.AGGREGATE3.selector == "0x82ad56cb"  # as published for Multicall3


@pytest.mark.parametrize(
    ("outputs", "raw"),
    [(("uint256",), b""), (("uint256",), b"\0" * 31), (("uint256",), b"\0" * 64), (("uint8",), b"\1" + b"\0" * 31),
     (("bool",), b"\0" * 31 + b"\2"), (("address",), b"\1" + b"\0" * 31), (("address[]",), b"\xff" * 64),
     (("string",), b"\0" * 31 + b"\x20")],
)  # fmt: skip
def test_bytes_that_are_not_what_was_promised_are_refused(outputs: tuple[str, ...], raw: bytes):
    with pytest.raises(WrongShape):
        Function("f()", outputs).decode(raw)


def test_symbols_as_bytes32_and_as_string():
    string = (32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"USDC".ljust(32, b"\0")

    assert abis.token_symbol(b"MKR".ljust(32, b"\0")) == "MKR"
    assert abis.token_symbol(string) == "USDC"
    assert abis.text(b"\xff\n\x07ok\0rest") == "\N{REPLACEMENT CHARACTER}ok"


# The log


def log(address: str, *topics: str, block: int = 5) -> dict[str, Any]:
    padded = [topics[0], *("0x" + topic[2:].zfill(64) for topic in topics[1:])]
    return {"address": address, "topics": padded, "blockNumber": hex(block), "data": "0x"}


@pytest.mark.parametrize(
    ("entry", "pair"),
    [
        (log(AWETH, abis.TRANSFER, NOBODY, ALICE), (AWETH, ALICE)),
        (log(VWETH, abis.TRANSFER, NOBODY, ALICE), (VWETH, ALICE)),
        (log(AWETH, abis.BALANCE_TRANSFER, ALICE, BOB), (AWETH, BOB)),
        (log(POOL, abis.SUPPLY, WETH, ALICE, NOBODY), (AWETH, ALICE)),  # onBehalfOf; the payer is in the data
        (log(POOL, abis.BORROW, WETH, ALICE, NOBODY), (VWETH, ALICE)),
        (log(POOL, abis.COLLATERAL_ENABLED, WETH, ALICE), (AWETH, ALICE)),
    ],
)
def test_who_holds_what_after_an_event(entry: dict[str, Any], pair: tuple[str, str]):
    assert pairs_of([entry], TOKENS) == {pair: 5}


@pytest.mark.parametrize(
    "entry",
    [
        log(AWETH, abis.TRANSFER, ALICE, NOBODY),  # a burn
        log(WETH, abis.TRANSFER, ALICE, BOB),  # the underlying token
        log(POOL, abis.SUPPLY, BOB, ALICE, NOBODY),  # a reserve that is not listed any more
    ],
)
def test_events_that_make_nobody_a_holder(entry: dict[str, Any]):
    assert pairs_of([entry], TOKENS) == {}


def test_the_first_block_of_a_pair_is_kept():
    entries = [log(AWETH, abis.TRANSFER, NOBODY, ALICE, block=block) for block in (9, 4, 7)]

    assert pairs_of(entries, TOKENS) == {(AWETH, ALICE): 4}


class StingyNode(JsonRpc):
    """Refuses ranges above `most` blocks."""

    def __init__(self, most: int) -> None:
        super().__init__("http://127.0.0.1:9", sleep=lambda seconds: None)
        self.most = most

    def call(self, method: str, *params: Any) -> Any:
        if int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1 > self.most:
            raise RpcError("range too large", -32005, "query returned more than 10000 results")
        return []

    def batch(self, wanted: Sequence[Request]) -> list[Any]:
        """The logs, and the block they end with."""
        logs, _ = wanted
        try:
            return [self.call(logs.method, *logs.params), {"number": "0x0"}]
        except RpcError as refusal:
            return [refusal, {"number": "0x0"}]


@pytest.mark.property
@given(first=st.integers(0, 10**7), length=st.integers(1, 5000), most=st.integers(1, 3000), start=st.integers(1, 9999))
def test_the_ranges_of_a_scan_cover_every_block_once(first: int, length: int, most: int, start: int):
    parts = list(scan(StingyNode(most), TOKENS, first, first + length - 1, first_range=start))

    assert parts[0].first == first
    assert parts[-1].last == first + length - 1
    assert all(after.first == before.last + 1 for before, after in pairwise(parts))
    assert all(part.last - part.first + 1 <= most for part in parts)


def test_a_node_that_refuses_a_single_block_ends_the_scan():
    with pytest.raises(SourceRefused, match="single block 10: query returned more than 10000 results"):
        list(scan(StingyNode(0), TOKENS, 10, 20))


# The pool's valuation, by hand


def account(supply: int, debt: int, *, collateral: bool = True, emode: int = 0) -> Account:
    return Account(ALICE, (0b10 if collateral else 0) | (0b1 if debt else 0), emode, {0: supply}, {0: debt})


def test_health_factor_of_ten_ether_against_four():
    """10 ETH at 2,000 USD with threshold 85 % against 8,000 USD: 20,000 * 0.85 / 8,000 = 2.125."""
    data = Rules([reserve()], []).account_data(account(10 * 10**18, 4 * 10**18))

    assert (data.collateral, data.debt, data.health_factor) == (20_000 * 10**8, 8_000 * 10**8, 2_125 * 10**15)


def test_an_emode_replaces_the_threshold_only_inside_its_bitmap():
    terms = {"ltv": 9300, "liquidation_threshold": 9500, "liquidation_bonus": 10100, "borrowable": 0, "ltvzero": 0}
    inside = EMode(id=3, label="", collateral=0b1, isolated=False, **terms)
    outside = EMode(id=3, label="", collateral=0b10, isolated=False, **terms)
    who = account(10 * 10**18, 4 * 10**18, emode=3)

    assert Rules([reserve()], [inside]).account_data(who).health_factor == 2_375 * 10**15
    assert Rules([reserve()], [outside]).account_data(who).health_factor == 2_125 * 10**15


def test_a_supply_that_is_switched_off_backs_nothing():
    data = Rules([reserve()], []).account_data(account(10 * 10**18, 10**18, collateral=False))

    assert (data.collateral, data.health_factor) == (0, 0)


def test_without_debt_the_health_factor_is_the_largest_integer():
    assert Rules([reserve()], []).account_data(account(1, 0)).health_factor == 2**256 - 1


def test_values_are_rounded_against_the_account():
    """1 wei of ETH at 2,000 USD is worth 2e-7 units of 1e-8 USD: nothing as collateral, one unit as debt."""
    data = Rules([reserve()], []).account_data(account(1, 1))

    assert (data.collateral, data.debt) == (0, 1)


def test_the_health_factor_is_rounded_half_up_before_the_division_by_bps():
    """41475 * 8500 * 1e18 / 20737 ends in ...9999.5 or more: rounding first carries into the last digit, 672 to 673."""
    one_dollar = reserve(price=10**8, configuration=8500 << 16 | 8 << 48)

    data = Rules([one_dollar], []).account_data(account(41_475, 20_737))

    assert data.health_factor == 1_700_040_989_535_612_673


# Configuration


def test_messages_show_the_host_of_a_url_and_nothing_else():
    assert redacted("https://user:pw@node.example:8545/v3/KEY?k=1#x") == "https://node.example:8545"
    assert redacted("http://[::1]:8545/KEY") == "http://::1:8545"
    assert redacted("nonsense") == "?://?"


def test_a_url_of_another_scheme_is_refused_without_showing_it():
    with pytest.raises(ConfigurationError, match="expected an address like https://host") as refusal:
        JsonRpc("wss://node.example/KEY")
    assert "KEY" not in str(refusal.value)


def test_a_setting_may_come_from_a_file(tmp_path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "secret"
    path.write_text("from the file\n")
    monkeypatch.setenv("SOME_SETTING_FILE", str(path))
    assert get("SOME_SETTING") == "from the file"
    monkeypatch.setenv("SOME_SETTING", "from the environment")
    assert get("SOME_SETTING") == "from the environment"
    monkeypatch.setenv("SOME_SETTING", " ")
    assert get("SOME_SETTING") == "from the file"
    path.unlink()
    with pytest.raises(ConfigurationError, match="SOME_SETTING_FILE: cannot read"):
        get("SOME_SETTING")


def test_the_address_book_knows_its_markets_once():
    markets = address_book.markets()
    names = [market.name for market in markets]

    assert len(names) == len(set(names))
    ethereum = address_book.by_name("AaveV3Ethereum")
    assert (ethereum.chain_id, ethereum.first_block) == (1, 16_291_006)
    assert address_book.by_provider(1, ethereum.provider.upper().replace("X", "x")) == ethereum
    assert address_book.by_provider(10, ethereum.provider) is None
    addresses = [a for m in markets for a in (m.provider, m.multicall3, m.pool, m.oracle) if a]
    assert all(re.fullmatch("0x[0-9a-f]{40}", address) for address in addresses)
    keys = [(m.chain_id, m.provider) for m in markets]
    assert len(keys) == len(set(keys))


def test_the_address_book_has_the_published_markets():
    """Counted in the address book: 24 mainnet markets of v3 (and 7 of test networks), on 21 chains."""
    markets = address_book.markets()
    tests = {43_113, 84_532, 421_614, 763_373, 11_155_111, 11_155_420}
    mainnets = [m for m in markets if m.protocol == "aave_v3" and m.chain_id not in tests]

    assert len(mainnets) == 24
    assert len({m.chain_id for m in mainnets}) == 21
    assert {m.chain_id for m in markets if m.multicall3 != address_book.by_name("AaveV3Base").multicall3} == {324}
    assert [m.name for m in markets if m.own_implementation] == ["AaveV3EthereumHorizon", "AaveV3Monad", "AaveV3ZkSync"]
    assert [m.name for m in mainnets if not m.first_block] == [
        "AaveV3EthereumHorizon",
        "AaveV3Monad",
        "AaveV3XLayer",
        "AaveV3Mantle",
        "AaveV3Plasma",
    ]


def test_every_kind_of_event_names_the_accounts_whose_state_it_changed():
    """Places of the indexed owners, from the interfaces of the pool and its tokens."""
    one, two, asset = (f"0x{n:040x}" for n in (0xA1, 0xA2, 0xA55E7))

    def touched(event: str, *topics: str) -> set[str]:
        return set(touched_by([{"topics": [event, *("0x" + "00" * 12 + topic[2:] for topic in topics)]}]))

    for event in (abis.TRANSFER, abis.BALANCE_TRANSFER, abis.MINT, abis.BURN):
        assert touched(event, one, two) == {one, two}
    assert touched(abis.TRANSFER, NOBODY, two) == {two}
    for event in (
        abis.SUPPLY,
        abis.BORROW,
        abis.WITHDRAW,
        abis.REPAY,
        abis.COLLATERAL_ENABLED,
        abis.COLLATERAL_DISABLED,
    ):
        assert touched(event, asset, one, two) == {one}
    assert touched(abis.LIQUIDATION_CALL, asset, asset, one) == {one}
    assert touched(abis.DEFICIT_CREATED, one, asset) == {one}
    assert touched(abis.USER_EMODE_SET, one) == {one}
    assert touched("0x" + "12" * 32, asset, one) == set()
    with pytest.raises(MalformedAnswer, match="expected a log"):
        touched_by([{"topics": [abis.LIQUIDATION_CALL, asset]}])


def test_a_log_of_the_wrong_shape_is_shown():
    with pytest.raises(MalformedAnswer, match="expected a log with address, blockNumber and topics, found"):
        pairs_of([{"address": AWETH, "topics": []}], TOKENS)


def test_ranges_of_the_log_close_in_on_what_the_node_takes():
    size, limit, asked = RangeSize(10_000), 2_500, []
    for _ in range(40):
        asked.append(size.now)
        (size.answered if size.now <= limit else size.refused)(size.now)

    assert limit * 8 // 10 < asked[-1] <= limit
    assert sum(blocks > limit for blocks in asked) < 8
    for _ in range(300):
        size.answered(size.now)
    assert size.now > limit  # tried again after a while: the log is not equally dense everywhere

    size.refused(1)
    assert size.now == 1


ASSET = "0x" + "77" * 20
HUGE = (2**256 - 1).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        (b"MKR".ljust(32, b"\0"), "MKR"),  # bytes32, older than the final ERC-20
        (b"\xff\xfe".ljust(32, b"\0"), "\ufffd\ufffd"),
        ((32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"A\xffB".ljust(32, b"\0"), "A\ufffdB"),
        ((32).to_bytes(32, "big") + bytes(32), ASSET),  # an empty string
        ((32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"\n\t\x1b".ljust(32, b"\0"), ASSET),  # nothing to print
        ((32).to_bytes(32, "big") + HUGE + b"abc", ASSET),  # longer than there are bytes
        (HUGE + HUGE, ASSET),  # begins beyond the end
        (b"", ASSET),  # no such function
        (Failure("execution reverted"), ASSET),
        ((32).to_bytes(32, "big") + (200).to_bytes(32, "big") + b"x" * 200 + bytes(24), "x" * 64),
    ],
)
def test_a_symbol_is_what_can_be_read_of_it(answer: bytes | Failure, symbol: str):
    assert symbol_of(ASSET, answer) == symbol


@given(
    st.binary(max_size=256)
    | st.builds(
        lambda at, size, rest: at.to_bytes(32, "big") + size.to_bytes(32, "big") + rest,
        st.integers(0, 2**256 - 1) | st.integers(0, 96),
        st.integers(0, 2**256 - 1) | st.integers(0, 96),
        st.binary(max_size=96),
    )
)
def test_no_answer_of_a_token_stops_a_market(raw: bytes):
    symbol = symbol_of(ASSET, raw)

    assert 0 < len(symbol) <= 64
    assert symbol.isprintable()
    symbol.encode()
