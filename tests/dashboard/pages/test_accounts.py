"""The Accounts page: the rows asked for are the rows shown, and an account is shown in full."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import risk_core as rc
from dashboard.app import create_app
from dashboard.market.bands import Bands, Level, PairBand
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.accounts import answers, bands, page
from dashboard.pages.accounts.account import account_page, label
from risk_core.analytics.wallets import FEATURES
from tests.dashboard.conftest import LOOP, SAFE, SUPPLIER, WEAK, MemorySource, words
from tests.flows.running import ran


def ask(source: MemorySource, **request: object) -> dict:
    return page.rows_for(source, {"startRow": 0, "endRow": 100, **request}, None)[0]


def address(loaded: LoadedMarket, row: int) -> str:
    return str(loaded.market.accounts[row])


def order(source: MemorySource, **request: object) -> list[str]:
    return [row["address"][-1] for row in ask(source, **request)["rowData"]]


def test_a_row_by_hand(loaded: LoadedMarket) -> None:
    """weak: $10,000 of WETH at threshold 0.8 against $7,000 of USDC."""
    [row] = answers.shown(answers.table(loaded), np.array([WEAK]))
    assert row == {
        "address": address(loaded, WEAK), "health": "1.143", "tone": "watch", "debt": "$7k", "collateral": "$10k",
        "emode": "none", "main": "WETH", "fall": "−12.5\u202f%", "price": "WETH $875.00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "way", "expected"),
    [
        ("health", "asc", "0312"),  # 1.067, 1.143, 2, no debt
        ("health", "desc", "2130"),
        ("debt", "desc", "0132"),  # 9,000, 8,000, 7,000, none
        ("fall", "desc", "3102"),  # -12.5 %, -50 %, then those that no fall liquidates, by address
        ("main", "asc", "1230"),
        ("address", "desc", "3210"),
    ],
)
def test_sorted(source: MemorySource, column: str, way: str, expected: str) -> None:
    assert order(source, sortModel=[{"colId": column, "sort": way}]) == list(expected)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"health": {"type": "lessThan", "filter": 1.2}}, "03"),
        ({"health": {"type": "inRange", "filter": 1.1, "filterTo": 2.0}}, "13"),
        ({"debt": {"type": "equals", "filter": 7_000}}, "3"),
        ({"fall": {"type": "greaterThan", "filter": -20}}, "3"),  # per cent
        ({"fall": {"type": "blank"}}, "02"),
        ({"main": {"type": "equals", "filter": "weth"}}, "123"),
        ({"main": {"type": "contains", "filter": "steth"}}, "0"),
        ({"address": {"type": "contains", "filter": "A2"}}, "2"),
        ({"health": {"operator": "OR", "conditions": [
            {"type": "lessThan", "filter": 1.1}, {"type": "greaterThan", "filter": 1.9}]}}, "012"),
        ({"health": {"type": "lessThan", "filter": 1.2}, "main": {"type": "equals", "filter": "WETH"}}, "3"),
    ],
)  # fmt: skip
def test_filtered(source: MemorySource, where: dict, expected: str) -> None:
    assert sorted(order(source, filterModel=where)) == list(expected)
    assert ask(source, filterModel=where)["rowCount"] == len(expected)


@pytest.mark.parametrize("way", ["asc", "desc"])
@pytest.mark.parametrize("column", [*answers.NUMBERS, *answers.WORDS])
def test_a_known_order_is_that_of_a_sort(sample_warehouse: Path, column: str, way: str) -> None:
    """300 accounts sorted by Python: values, then addresses; those without a value last, both ways."""
    of = answers.table(Warehouse(sample_warehouse).loaded())
    values = (of.numbers if column in of.numbers else of.words)[column].tolist()
    named = of.words["address"].tolist()
    rows = sorted(range(len(named)), key=lambda row: named[row])
    told = [row for row in rows if values[row] == values[row]]
    told.sort(key=lambda row: values[row], reverse=way == "desc")
    if way == "desc":  # equal ones by address all the same
        told = [row for value in dict.fromkeys(values[row] for row in told) for row in rows if values[row] == value]
    expected = told + [row for row in rows if values[row] != values[row]]
    asked = [{"colId": column, "sort": way}]
    assert answers.chosen(of, asked, {}).tolist() == expected
    # Filtered, and with a second column that decides nothing, it is the same order.
    where = {"debt": {"type": "greaterThan", "filter": 5_000}}
    kept = [row for row in expected if of.numbers["debt"][row] > 5_000]
    assert 0 < len(kept) < len(expected)
    assert answers.chosen(of, asked, where).tolist() == kept
    assert answers.chosen(of, [*asked, {"colId": "address", "sort": "asc"}], where).tolist() == kept


def test_prices_of_the_grid_are_those_of_the_account(sample_warehouse: Path) -> None:
    of = answers.table(Warehouse(sample_warehouse).loaded())
    shown = answers.shown(of, np.arange(of.loaded.market.n_accounts))
    priced = [row for row in shown if row["price"] != "–" and " " in row["price"]]
    assert len(priced) > 50
    for row in priced[:40]:
        one = answers.account(of.loaded, row["address"])
        symbol, price = row["price"].split(" ")
        held = next(holding for holding in one.holdings if holding.symbol == symbol)
        assert price == answers.price_text(held.liquidation_price)


def test_a_block_of_rows_is_what_was_asked_for(source: MemorySource) -> None:
    everything = order(source)
    assert order(source, startRow=1, endRow=3) == everything[1:3]
    assert page.rows_for(source, {"startRow": 0, "endRow": 2}, None)[1] == "4 of 4"
    assert len(ask(source, startRow=0, endRow=10**9)["rowData"]) == 4


@pytest.mark.parametrize(
    "request_",
    [
        {"sortModel": [{"colId": "price", "sort": "asc"}]},
        {"filterModel": {"secret": {"type": "equals", "filter": 1}}},
        {"filterModel": {"debt": {"type": "eval", "filter": 1}}},
        {"filterModel": {"debt": {"type": "equals", "filter": "1"}}},
        {"filterModel": {"main": {"type": "regex", "filter": ".*"}}},
    ],
)
def test_what_no_column_is_is_refused(source: MemorySource, request_: dict) -> None:
    with pytest.raises(rc.InputError, match="expected"):
        ask(source, **request_)


def test_the_columns_hold_no_script() -> None:
    """A key with `function` in it is code that the grid would run."""
    described = page.grid().to_plotly_json()["props"]
    assert "function" not in str({key: described[key] for key in ("columnDefs", "defaultColDef", "dashGridOptions")})
    assert not described.get("dangerously_allow_code")
    assert not described.get("enableEnterpriseModules")


def test_an_account_in_full(source: MemorySource, loaded: LoadedMarket) -> None:
    said = words(account_page(source, address(loaded, WEAK).upper().replace("0X", "0x")))
    for part in ("by 12.5", "1.143", "$10k", "$7k", "80.0", "WETH", "$875.00", "USDC", "$1.1429", "+14.3"):
        assert part in said
    assert "python -m flows wallet-features" in said
    assert "it has no debt" in words(account_page(source, address(loaded, SUPPLIER)))
    assert "No fall of all crypto" in words(account_page(source, address(loaded, LOOP)))
    assert "2.000" in words(page.build(source, f"?address={address(loaded, SAFE)}"))


@pytest.mark.parametrize("asked", ["0x" + "f" * 40, "0x12", "", "<script>", "0x" + "0" * 41])
def test_an_unknown_address_is_said_so(source: MemorySource, asked: str) -> None:
    said = words(account_page(source, asked))
    assert "No such account" in said
    assert "All accounts" in said
    status = create_app(source).server.test_client().get("/api/v1/accounts/account", query_string={"address": asked})
    assert status.status_code == 400


def test_a_symbol_that_steers_is_shown_as_what_it_is(loaded: LoadedMarket, run) -> None:
    symbols = ("W\u202eETH" * 20, *loaded.market.reserves.symbol[1:])
    market = replace(loaded.market, reserves=replace(loaded.market.reserves, symbol=symbols))
    hostile = MemorySource(replace(loaded, market=market), run)
    for text in (words(account_page(hostile, address(loaded, WEAK))), str(ask(hostile))):
        assert "\u202e" not in text
        assert symbols[0] not in text


@pytest.fixture(scope="module")
def featured(sample_warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample with stored features."""
    own = tmp_path_factory.mktemp("featured") / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(own))
        ran("wallet-features")
    return own


def changed(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def busiest(path: Path) -> str:
    connection = sqlite3.connect(path)
    [wallet] = connection.execute("SELECT wallet FROM mart_wallet_features ORDER BY borrow_count DESC").fetchone()
    connection.close()
    return wallet


def test_all_features_in_seven_groups_with_their_definitions(featured: Path) -> None:
    content = account_page(Warehouse(featured), busiest(featured))
    said, tree = words(content), str(content)
    assert len({feature.group for feature in FEATURES}) == 7
    for feature in FEATURES:
        assert feature.group in said
        assert label(feature) in said
        assert f"{feature.says}. {feature.name}" in tree


def test_a_changed_row_changes_the_figure(featured: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.sqlite"
    shutil.copy(featured, own)
    wallet = busiest(own)
    assert "1,234\xa0ETH" not in words(account_page(Warehouse(own), wallet))
    changed(own, f"UPDATE mart_wallet_features SET borrow_amount_sum_eth = 1234.2 WHERE wallet = '{wallet}'")
    assert "1,234\xa0ETH" in words(account_page(Warehouse(own), wallet))
    client = create_app(Warehouse(own)).server.test_client()
    told = client.get(f"/api/v1/accounts/account?address={wallet}").get_json()
    assert told["features"]["borrow_amount_sum_eth"] == 1234.2
    assert len(told["features"]) == 28


def test_damaged_features_are_words_and_leave_the_table(featured: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.sqlite"
    shutil.copy(featured, own)
    wallet = busiest(own)
    changed(own, "ALTER TABLE mart_wallet_features RENAME TO gone")
    with pytest.raises(Unavailable, match="features of the wallet cannot be shown"):
        account_page(Warehouse(own), wallet)
    assert "Every account" in words(page.build(Warehouse(own), ""))


def test_json_is_what_the_grid_shows_unrounded(source: MemorySource, loaded: LoadedMarket) -> None:
    client = create_app(source).server.test_client()
    told = client.get("/api/v1/accounts?sort=debt&order=desc&rows=2").get_json()
    assert (told["n_accounts"], told["n_found"]) == (4, 4)
    assert [row["address"] for row in told["accounts"]] == [address(loaded, LOOP), address(loaded, SAFE)]
    assert told["accounts"][0]["health_factor"] == pytest.approx(9_600 / 9_000)
    assert client.get("/api/v1/accounts?search=a3").get_json()["n_found"] == 1
    for wrong in ("rows=5000", "sort=price", "order=up", "start=-1", "rows=x"):
        assert client.get(f"/api/v1/accounts?{wrong}").status_code == 400


def test_an_empty_warehouse_names_the_command(empty_source: MemorySource) -> None:
    with pytest.raises(Unavailable) as nothing:
        page.build(empty_source, "")
    assert nothing.value.command == "python -m data.sample"


def levels(*values: float, few: bool = False) -> tuple[Level, ...]:
    """A band whose health factors at 20, 5 and 1 % these are."""
    return tuple(
        Level(
            chance=chance, health_factor=value, low=None if few else value - 0.01, high=None if few else value + 0.01,
            few_draws=few, reason="12 paths" if few else "",
        )
        for chance, value in zip((0.2, 0.05, 0.01), values, strict=True)
    )  # fmt: skip


class Banded(MemorySource):
    """A source with bands of WETH against USDC, and none of wstETH against WETH."""

    def bands(self) -> Bands:
        def pair(collateral: int, debt: int, **more: object) -> PairBand:
            reserves = self.loaded().market.reserves
            return PairBand(
                collateral=reserves.asset[collateral], debt=reserves.asset[debt],
                collateral_symbol=reserves.symbol[collateral], debt_symbol=reserves.symbol[debt], n_accounts=1,
                debt_usd=7_000.0, **more,
            )  # fmt: skip

        pairs = (
            pair(0, 2, levels=levels(1.1, 1.2, 1.3), reason=""),
            pair(0, 3, levels=levels(1.1, 1.2, 1.3, few=True), reason=""),
            pair(1, 0, levels=(), reason="both follow one price"),
        )
        return Bands(
            market="m", block=5, block_time=1_787_356_800, horizon_seconds=604_800, n_steps=168, n_paths=20_000, seed=7,
            law="two-speed-t5", code_version="x", looks_ahead=False, synthetic=True, pairs=pairs,
        )  # fmt: skip


def test_the_band_of_an_account_and_of_every_pair(loaded: LoadedMarket, run) -> None:
    """weak stands at 1.143, between the 20 % (1.1) and the 5 % (1.2) of its pair; safe at 2, right of all."""
    banded = Banded(loaded, run)
    said = words(account_page(banded, address(loaded, WEAK)))
    for part in ("between 5\u202f% and 20\u202f%", "1.100", "1.200", "1.300", "± 0.010", "20,000 paths", "synthetic"):
        assert part in said
    safe = words(account_page(banded, address(loaded, SAFE)))
    assert "below 1\u202f%" in safe
    assert "few draws" in safe
    assert "Both follow one price" in words(account_page(banded, address(loaded, LOOP)))
    assert "The account has no debt" in words(account_page(banded, address(loaded, SUPPLIER)))
    everyone = words(page.build(banded, ""))
    assert "without a band: 1" in everyone
    assert "1.200 ± 0.010" in everyone


@pytest.mark.parametrize(
    ("health", "tone", "said"),
    [(0.99, "crit", "now"), (1.05, "warn", "above 20"), (1.1, "watch", "between 5"), (1.25, "watch", "between 1"),
     (1.3, "ok", "below 1"), (9.0, "ok", "below 1")],
)  # fmt: skip
def test_a_health_factor_is_placed_in_its_band(loaded: LoadedMarket, health: float, tone: str, said: str) -> None:
    pair = Banded(loaded).bands().pairs[0]
    found = bands.chance_words(pair, health)
    assert found[0] == tone
    assert said in found[1]


def test_no_band_is_stored_yet(source: MemorySource, loaded: LoadedMarket) -> None:
    for said in (words(page.build(source, "")), words(account_page(source, address(loaded, WEAK)))):
        assert "python -m flows health-factor-bands" in said


def test_a_changed_band_is_the_one_shown_and_a_damaged_one_is_refused(
    sample_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    monkeypatch.setenv("RISK_DB", str(own))
    ran("health-factor-bands", "--paths", "3000", "--steps", "24")
    source = Warehouse(own)
    pair = next(one for one in source.bands().pairs if one.levels)
    where = f"WHERE collateral = '{pair.collateral}' AND debt = '{pair.debt}' AND chance = 0.05"
    changed(own, f"UPDATE mart_health_factor_bands SET health_factor = 1.777, low = 1.7, high = 1.8 {where}")
    assert "1.777 ± 0.077" in words(page.build(source, ""))
    client = create_app(source).server.test_client()
    told = client.get("/api/v1/accounts/bands").json["pairs"]
    [same] = [p for p in told if (p["collateral"], p["debt"]) == (pair.collateral, pair.debt)]
    assert [one["health_factor"] for one in same["levels"] if one["chance"] == 0.05] == [1.777]
    changed(own, f"UPDATE mart_health_factor_bands SET low = 1.9 {where}")
    with pytest.raises(Unavailable, match="low <= health factor <= high"):
        source.bands()


def test_the_protection_score_shows_what_the_row_says(featured: Path, tmp_path: Path) -> None:
    own = tmp_path / "risk.sqlite"
    shutil.copy(featured, own)
    wallet, source = busiest(own), Warehouse(own)
    changed(
        own,
        "UPDATE mart_wallet_protection SET level = 'medium', room = 0.4321, acts = 37, recent = 4, liquidations = 1 "
        f"WHERE wallet = '{wallet}'",
    )
    said = words(account_page(source, wallet))
    for part in (
        "Does it protect itself?",
        "medium",
        "43.2",
        "37",
        "1 × ",
        "breaks it",
        "the rule is ours",
        "730 days",
    ):
        assert part in said
    client = create_app(source).server.test_client()
    told = client.get("/api/v1/accounts/account", query_string={"address": wallet}).json["protection"]
    assert (told["acts"], told["rule"]["strong_room"]) == (37, 0.5)
    changed(own, f"UPDATE mart_wallet_protection SET level = 'splendid' WHERE wallet = '{wallet}'")
    with pytest.raises(Unavailable, match="weak, medium, strong"):
        source.protection(wallet)


def test_no_protection_score_is_stored_yet(source: MemorySource, loaded: LoadedMarket) -> None:
    assert "No protection score" in words(account_page(source, address(loaded, WEAK)))
