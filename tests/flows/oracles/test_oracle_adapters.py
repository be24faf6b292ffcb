"""Kinds of price sources and their caps: on one real pool state, and on the cap that bound by mistake in 2026."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.aave.price_adapters import getters
from flows.clients.block_reader import Block
from flows.errors import ConfigurationError
from flows.oracles import caps as oracle_adapters
from flows.oracles import known_feeds as chainlink_book
from flows.oracles import rows as oracle_rows
from flows.oracles.adapters import OracleSource
from flows.oracles.caps import cap_of, kind_of
from flows.oracles.known_feeds import KnownAdapter
from risk_core.price_caps import YEAR, largest_ratio

MID_2025 = Block(22_600_000, "0x" + "ab" * 32, 1_749_000_000)
RESERVES = Path(__file__).resolve().parents[3] / "data" / "sample" / "reserves.csv"


def source(description: str = "", price: int | None = 10**8, **other: object) -> OracleSource:
    said: dict = {
        "asset": "0x" + "aa" * 20,
        "symbol": "X",
        "source": "0x" + "bb" * 20,
        "decimals": 8,
        "answer": price,
        "aggregator": "",
        "parameters": {},
    }
    return OracleSource(**(said | {"description": description, "price": price} | other))


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    """`dim_oracle_adapter` of the 48 reserves of one real pool state, by symbol; no parameter was read there."""
    frame = pd.read_csv(RESERVES, comment="#", dtype=str, keep_default_na=False)
    found = [
        source(row.price_description, int(row.price_raw), asset=row.asset, symbol=row.symbol, source=row.price_source)
        for row in frame.itertuples()
    ]
    return oracle_rows.adapters("AaveV3Ethereum", 1, MID_2025, found).set_index("symbol")


@pytest.mark.parametrize(
    ("symbols", "kind"),
    [
        (["WETH", "tBTC", "cbBTC", "FBTC", "LINK", "AAVE", "CRV", "UNI", "ENS", "STG"], "direct_feed"),
        (["USDC", "USDT", "DAI", "USDe", "USDS", "RLUSD", "USDtb", "crvUSD", "PYUSD", "EURC"], "stable_cap"),
        (["wstETH", "weETH", "rETH", "cbETH", "osETH", "ETHx", "rsETH", "sDAI", "sUSDe", "eBTC"], "ratio_cap"),
        (["PT-sUSDE-31JUL2025", "PT-eUSDE-14AUG2025", "PT-eUSDE-29MAY2025"], "pendle_linear_discount"),
        (["WBTC"], "composite"),
        (["GHO", "LDO"], "unknown"),  # their contracts have no description: nothing is guessed from the symbol
    ],
)
def test_reserves_of_a_real_market_have_the_kind_their_source_says(real, symbols, kind):
    assert dict(real.loc[symbols, "kind"]) == dict.fromkeys(symbols, kind)


def test_usde_follows_tether_and_says_so(real):
    """Since 2025-02 USDe's source is USDT's: a fall of USDe in the market does not reach the oracle."""
    assert real.loc["USDe", "description"] == "Capped USDT/USD"
    assert real.loc["USDe", "price"] == real.loc["USDT", "price"] == 1.00025887
    assert (real.loc["USDT", "price_cap"], real.loc["USDT", "cap_binds"]) == (1.04, 0)
    assert real.loc["USDT", "parameters_status"] == "deployment"


def test_what_was_not_read_is_not_judged(real):
    """Parameters of a ratio cap are known as deployed; stewards have moved them since."""
    row = real.loc["wstETH"]
    assert (row["parameters_status"], row["cap_binds"] is pd.NA) == ("deployment", True)
    assert json.loads(row["parameters"])["snapshot_ratio"] == "1157209899495068171"
    assert row["implied_ratio"] == pytest.approx(3112.68103854 / 2578.46174800)
    assert pd.isna(real.loc["sDAI", "implied_ratio"])  # DAI's own source is capped: no base price to divide by
    assert real.loc["EURC", "price_cap"] is None or pd.isna(real.loc["EURC", "price_cap"])  # its cap follows EUR/USD


def test_the_cap_of_2026_03_10():
    """1.1572 raised by at most 3 % to 1.1919, dated 7 days back: the cap was 1.1939 (reported), the ratio 1.2282."""
    at, ratio, snapshot = 1_773_100_000, 1_228_200_000_000_000_000, 1_191_900_000_000_000_000
    read = {
        "ratio": ratio,
        "snapshot_ratio": snapshot,
        "snapshot_timestamp": at - 7 * 86_400,
        "max_yearly_growth_bps": 968,
    }

    cap = cap_of(source(parameters=read), "ratio_cap", None, at)

    assert (cap.binds, cap.parameters_status) == (1, "chain")
    assert cap.max_ratio / 1e18 == pytest.approx(1.1939, abs=5e-4)
    assert cap.max_ratio / ratio - 1 == pytest.approx(-0.0285, abs=1e-3)


@pytest.mark.property
@given(
    snapshot=st.integers(10**15, 10**27),
    bps=st.integers(0, 10_000),
    seconds=st.integers(0, 5 * YEAR),
    other=st.integers(0, 5 * YEAR),
)
def test_the_largest_ratio_is_the_contracts_to_a_unit_a_second_and_grows(snapshot, bps, seconds, other):
    highest = largest_ratio(snapshot, 0, bps, seconds)
    contract = snapshot + snapshot * bps // 10_000 // YEAR * seconds

    assert contract <= highest <= contract + seconds + 1
    assert (other >= seconds) <= (largest_ratio(snapshot, 0, bps, other) >= highest)


@pytest.mark.parametrize(
    ("price", "read", "deployed", "binds", "status"),
    [
        (1_03999999, 1_04000000, None, 0, "chain"),
        (1_04000000, 1_04000000, None, 1, "chain"),
        (88000000, 1_04000000, None, 0, "chain"),  # no floor
        (1_04000000, None, 1.04, 1, "deployment"),
        (1_05000000, None, 1.04, None, "deployment"),  # above it: the cap was raised since
        (1_03000000, 1_02000000, 1.04, None, "chain"),
        (1_00000000, None, None, None, "none"),
        (None, 1_04000000, None, None, "chain"),
    ],
)
def test_a_stable_cap_binds_where_the_price_is_the_cap(price, read, deployed, binds, status):
    known = KnownAdapter(description="", kind="stable_cap", snapshot_ratio=None, snapshot_timestamp=None,
                         max_yearly_growth_bps=None, price_cap=deployed, discount_rate_per_year_pct=None)  # fmt: skip
    asked = source(price=price, parameters={} if read is None else {"price_cap": read})

    cap = cap_of(asked, "stable_cap", known if deployed else None, 0)

    assert (cap.binds, cap.parameters_status) == (binds, status)
    assert cap.note or binds is not None


def test_a_fallback_is_noted():
    frame = oracle_rows.adapters("M", 1, MID_2025, [source("ETH / USD", 200, answer=-1, aggregator="0x" + "cc" * 20)])

    assert frame.loc[0, "note"] == "the source's answer is not positive: the price is the oracle's fallback"
    assert frame.loc[0, "kind"] == "direct_feed"


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("ONE USD", "fixed"),
        ("Fixed mUSD/USD", "fixed"),
        ("Capped", "unknown"),
        ("Capped A", "unknown"),
        ("1INCH / USD", "unknown"),
    ],
)
def test_words_alone_are_read_with_care(description, kind):
    assert kind_of(source(description), set(), None)[0] == kind


def test_every_deployed_adapter_is_known_by_its_description():
    known = chainlink_book.adapters(1)
    assert len(known) == 34
    for adapter in known.values():
        assert kind_of(source(adapter.description), set(), None)[0] == adapter.kind, adapter.description


@pytest.mark.parametrize("setting", ["[]", "{", '{"ratio": "f(uint256)"}', '{"speed": "f()"}', '{"ratio": 3}'])
def test_getters_of_another_form_are_refused(setting):
    with pytest.raises(ConfigurationError, match="AAVE_CAP_GETTERS"):
        getters(setting)


def test_kinds_are_those_of_the_table():
    from data.schemas.oracles import ADAPTER_KINDS

    assert list(oracle_adapters.KINDS) == ADAPTER_KINDS
