"""Every reserve follows a stated price; one without a rule is refused by name."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import data
from data.errors import BatchRefused, NoSnapshot, UnmappedReserve
from data.prices import assets
from data.sample import configuration, fill
from data.store.store import Store
from tests.data.snapshot.test_snapshot import execute


@pytest.mark.parametrize(
    ("symbol", "description", "series", "kind", "factor"),
    [
        ("WETH", "ETH / USD", "ETHUSDT", "series", "ETH"),
        ("wstETH", "Capped wstETH / stETH(ETH) / USD", "ETHUSDT", "ratio", "ETH"),
        ("weETH", "", "ETHUSDT", "ratio", "ETH"),
        ("WBTC", "wBTC/BTC/USD", "BTCUSDT", "series", "BTC"),
        ("GHO", "", "", "fixed", ""),
        ("USDtb", "ONE USD", "", "fixed", ""),
        ("USDtb", "Capped USDtb / USD", "DAI/USD", "proxy", "USD"),
        ("sUSDe", "Capped sUSDe / USDT / USD", "USDT/USD", "ratio", "USDT"),
        ("USDe", "Capped USDT/USD", "USDT/USD", "ratio", "USDT"),
        ("PT-sUSDE-25SEP2025", "", "USDT/USD", "ratio", "USDT"),
        ("PT_USDG_28MAY2026", "", "DAI/USD", "proxy", "USD"),
        ("newETH", "Capped newETH / ETH / USD", "ETHUSDT", "ratio", "ETH"),
        ("newBTC", "Capped newBTC / BTC / USD", "BTCUSDT", "ratio", "BTC"),
        ("EURC", "Capped EURC/USD", "EURUSDT", "series", "EUR"),
    ],
)
def test_a_reserve_follows_what_its_oracle_reads(symbol, description, series, kind, factor):
    rule = assets.rule_for(symbol, description)

    assert (rule.series, rule.kind, rule.factor) == (series, kind, factor)


@pytest.mark.parametrize(("symbol", "description"), [("NEW", "NEW / USD"), ("NEW", ""), ("weth", ""), ("", "")])
def test_what_nobody_named_has_no_rule(symbol, description):
    assert assets.rule_for(symbol, description) is None


def test_every_rule_is_whole_and_a_factor_has_one_series_and_a_series_one_factor():
    series_of, factor_of = {}, {}
    for symbol, rule in assets.rules().items():
        assert rule.kind in ("series", "ratio", "proxy", "fixed"), symbol
        assert (rule.series == "") == (rule.factor == "") == (rule.kind == "fixed"), symbol
        assert rule.note, symbol
        if rule.factor:
            assert series_of.setdefault(rule.factor, rule.series) == rule.series, symbol
            assert factor_of.setdefault(rule.series, rule.factor) == rule.factor, symbol


def test_every_reserve_of_the_ethereum_market_has_a_rule():
    sheet = Path(data.__file__).parents[2] / "shared" / "facts" / "reserves_ethereum.csv"
    if not sheet.exists():
        pytest.skip("the sheet of facts is not beside the repository")
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    missing = [row["symbol"] for row in rows if assets.rule_for(row["symbol"], row["oracle_description"]) is None]

    assert len(rows) == 67
    assert missing == []


def test_the_sample_is_mapped_whole(filled):
    mapping = assets.asset_map()

    assert list(mapping["symbol"]) == [row["symbol"] for row in configuration.reserve_rows()]
    with Store.open() as opened:
        assert opened.rows("SELECT count(*), count(DISTINCT asset) FROM dim_asset") == [(48, 48)]


def test_an_unmapped_reserve_is_refused_by_name(filled):
    execute(
        filled, "UPDATE raw_aave_reserves SET symbol = 'NEW', price_description = 'NEW / USD' WHERE symbol = 'LINK'"
    )

    with pytest.raises(UnmappedReserve, match=r"no price series for NEW \(0x514910.*add a row to dim_asset"):
        assets.asset_map()


def test_a_row_set_by_hand_wins_and_is_kept(filled):
    link = "0x514910771AF9Ca656af840dff83E8264EcF986CA"

    assets.set_series("SampleAaveV3Ethereum", link, series="ETHUSDT", kind="proxy", factor="ETH", note="mine")

    def link_row():
        return assets.asset_map().set_index("symbol").loc["LINK"]

    assert (link_row()["series"], link_row()["note"]) == ("ETHUSDT", "mine")
    fill(400, 11)
    assert (link_row()["series"], link_row()["note"]) == ("ETHUSDT", "mine")


@pytest.mark.parametrize(
    "row",
    [
        {"series": "", "kind": "series", "factor": "X"},
        {"series": "ETHUSDT", "kind": "proxy", "factor": ""},
        {"series": "ETHUSDT", "kind": "fixed", "factor": ""},
        {"series": "ETHUSDT", "kind": "guess", "factor": "ETH"},
    ],
)
def test_a_row_set_by_hand_has_to_make_sense(filled, row):
    with pytest.raises(BatchRefused):
        assets.set_series("SampleAaveV3Ethereum", "0x" + "a" * 40, note="", **row)


def test_without_a_snapshot_there_is_no_map(store):
    with pytest.raises(NoSnapshot):
        assets.asset_map()
