"""The Oracles page: each lab against the engine and by hand, the check of an update, words, JSON, damaged rows."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import risk_core as rc
from dashboard import app
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.oracles import charts, page
from dashboard.pages.oracles.answers import (
    ERRORS,
    FALLS,
    MARKDOWNS,
    cap_curve,
    cap_low,
    feeds,
    minted,
    minted_curve,
    pre_flight,
    priced,
    ratios,
    stuck,
    stuck_curve,
)
from dashboard.pages.oracles.parts import models_table, says_cap, says_minted, says_stuck, says_update, verdict
from data.headroom import Headroom
from data.oracle_adapters import Adapter
from risk_core.price_caps import CapTerms
from tests.dashboard.conftest import MemorySource, words
from tests.data.test_oracle_facts import add_adapter

WETH, WSTETH, USDC, GHO = (f"0x{i:040x}" for i in range(4))


def adapter(**more) -> Adapter:
    values = dict(
        block=1, block_time=1_787_356_800, kind="ratio_cap", description="", terms=None, decimals=18, ratio=1.2,
        largest_ratio=1.25, binds=False, note="",
    )  # fmt: skip
    return Adapter(**(values | more))


def test_the_curve_of_a_low_cap_goes_through_the_exact_answers(loaded):
    """loop: $12,000 of wstETH at 0.8 against $9,000 of WETH: below 1 where wstETH counts 6.25 % less."""
    repaid, lost = cap_curve(loaded, WSTETH)
    for k in (0, 24, 26, 40):
        gap = cap_low(loaded, WSTETH, -float(ERRORS[k]))
        assert repaid[k] == pytest.approx(gap.repaid_usd, abs=0.01)
        assert lost[k] == pytest.approx(gap.borrower_loss_usd, abs=0.01)
    assert repaid[ERRORS < 0.0625].max() == 0
    assert repaid[-1] > 0
    gap = cap_low(loaded, WSTETH, -0.10)
    # seen at 10,800 and 9,600 of margin... the loop repays half of 9,000 and gives 4,725 by the oracle, 5,250 in truth
    assert gap.repaid_usd == pytest.approx(4_500)
    assert gap.borrower_loss_usd == pytest.approx(4_725 / 0.9 - 4_500, abs=0.01)


def test_a_stuck_feed_by_hand(loaded):
    """ETH -40 %: weak's 6,000 stand against 7,000; loop falls with both sides; safe's 12,000 cover 8,000."""
    gap = stuck(loaded, "eth", 0.4)
    assert gap.first.n_accounts == 0
    assert gap.bad_debt_usd == pytest.approx(1_000)
    bad_debt, missed = stuck_curve(loaded, "eth")
    at = int(np.flatnonzero(np.isclose(FALLS, 0.4))[0])
    assert bad_debt[at] == pytest.approx(1_000)
    assert missed[at] == pytest.approx(gap.honest.repaid_usd)
    alone = stuck(loaded, WETH, 0.4)  # wstETH stays: the loop's debt falls, nobody is worse off but weak
    assert alone.market_price[:2].tolist() == pytest.approx([600, 1_200])
    assert set(feeds(loaded)) == {"eth", "usdc", WETH, WSTETH}


def test_unbacked_tokens_are_limited_by_cap_and_liquidity(loaded):
    room = Headroom(np.array([5.0, 0, 0, 1e6]), np.array([np.inf, 10.0, np.inf, np.inf]))
    found = minted(loaded, room, WSTETH, 120_000.0, WETH, 0.5, oracle_sees=True)
    assert found.tokens == 10  # of 100 minted
    assert found.found.borrowed_usd == 5_000  # 9,000 by the loan to value of 75 %, 5 WETH can be lent
    assert found.found.limited
    free = minted(loaded, room, WSTETH, 12_000.0, GHO, 0.5, oracle_sees=True)
    assert free.found.borrowed_usd == pytest.approx(9_000)
    assert free.found.attacker_deficit_usd == pytest.approx(9_000 - 6_000 / 1.05, abs=0.01)
    curve = minted_curve(loaded, WSTETH)
    half = int(np.flatnonzero(np.isclose(MARKDOWNS, 0.5))[0])
    assert curve[half] == pytest.approx(rc.what_if(loaded.market, {"wstETH": -0.5}).deficit_usd)
    assert free.found.others_deficit_usd == pytest.approx(curve[half], abs=0.01)


def test_an_update_that_binds_names_who_falls_and_one_that_does_not_names_the_day(loaded):
    low = pre_flight(loaded, {}, WSTETH, 1.08, 7, 0, 3)
    assert low.update.binds
    assert low.update.move == pytest.approx(-0.1)
    assert low.gap.repaid_usd == pytest.approx(4_500)
    said = words(says_update(low))
    assert said.startswith("It binds")
    assert "1 account would be liquidated for $4" in said
    assert "terms in force are not stored" in said
    high = pre_flight(loaded, {}, WSTETH, 1.212, 7, 0, 10)
    assert not high.update.binds
    assert (high.update.binds_from - high.update.at) / 86_400 == pytest.approx(36.5, abs=0.1)
    assert "It does not bind" in words(says_update(high))
    never = pre_flight(loaded, {}, WSTETH, 1.212, 7, 20, 3)
    assert "the ratio does not reach it" in words(says_update(never))
    mild = pre_flight(loaded, {}, WSTETH, 1.19, 7, 0, 3)
    assert "Nobody would be liquidated" in words(says_update(mild))


def test_the_terms_in_force_decide_what_is_refused(loaded):
    now = loaded.market.snapshot.block_time
    terms = CapTerms(snapshot_ratio=115 * 10**16, snapshot_timestamp=now - 20 * 86_400, max_yearly_growth_bps=968)
    known = {1: adapter(terms=terms, ratio=1.21)}
    found = pre_flight(loaded, known, WSTETH, 1.2, 3, 9.68, 3)
    assert found.update.present is terms
    assert found.update.ratio == 1_210 * 10**15  # what was read, not the price over the base's
    said = words(says_update(found))
    assert "The contracts would not take it" in said
    assert "adapter wants at least 604,800 s" in said
    assert "raises the snapshot ratio by 4.3478%" in said
    drawn = charts.update(found, 0.03, "dark")["data"]
    assert [line["name"] for line in drawn] == ["the ratio", "the new cap", "the cap in force"]


def test_how_each_price_is_made(loaded):
    rows = {one.symbol: one for one in priced(loaded, {})}
    assert rows["wstETH"].kind == "ratio"
    assert rows["WETH"].kind == "feed"
    reserves = replace(
        loaded.market.reserves, price_cap=[np.inf, np.inf, 1.04, np.inf], fixed_price=[False, False, False, True],
        ratio_of=[-1, 0, -1, -1], ratio_cap=[np.inf, 1.2, np.inf, np.inf],
    )  # fmt: skip
    modelled = replace(loaded, market=replace(loaded.market, reserves=reserves))
    rows = {one.symbol: one for one in priced(modelled, {})}
    assert rows["USDC"].room == pytest.approx(0.04)
    assert (rows["wstETH"].of, rows["wstETH"].room, rows["wstETH"].binds) == ("WETH", 0, True)
    assert rows["GHO"].kind == "fixed"
    assert "A cap binds" in words(verdict(list(rows.values())))
    # what was read of the adapter counts more than the price at its cap
    rows = {one.symbol: one for one in priced(modelled, {1: adapter(binds=False)})}
    assert rows["wstETH"].binds is False
    assert "No cap binds" in words(verdict(list(rows.values())))
    assert words(models_table(list(rows.values()), 1)).count("ratio to WETH") == 1


def test_the_page_in_words_and_figures(source: MemorySource, loaded):
    said = words(page.build(source, ""))
    for part in ("Cap too low", "Feed stuck", "Collateral that nothing backs", "Check a cap's update", "ratio to ETH"):
        assert part in said
    gap = cap_low(loaded, WSTETH, -0.1)
    told = words(says_cap(gap, "wstETH", -0.1))
    assert "Debt repaid$4" in told
    assert "wstETH −2.85\u202f%, 34 accounts" in told
    assert "nobody is liquidated" in words(says_cap(cap_low(loaded, WSTETH, -0.01), "wstETH", -0.01))
    assert "the reserves can lend less" in words(says_stuck(stuck(loaded, "eth", 0.4), "ETH", 0.4, 1.0))
    room = source.headroom(loaded.market)
    blind = minted(loaded, room, WSTETH, 12_000.0, GHO, 0.5, oracle_sees=False)
    assert "The oracle does not see it" in words(says_minted(blind, WSTETH, GHO, 0.5, 12_000.0))


def test_what_is_shown_is_json_too(source: MemorySource, loaded):
    client = app.create_app(source).server.test_client()
    prices = client.get("/api/v1/oracles").get_json()
    assert {one["symbol"] for one in prices["prices"]} == {"WETH", "wstETH", "USDC", "GHO"}
    cap = client.get("/api/v1/oracles/cap?reserve=wstETH&by=10").get_json()
    assert cap["repaid_usd"] == pytest.approx(4_500)
    still = client.get("/api/v1/oracles/stuck?feed=eth&by=40").get_json()
    assert still["bad_debt_usd"] == pytest.approx(1_000)
    assert client.get("/api/v1/oracles/stuck?feed=WETH&by=40").get_json()["feed"] == WETH
    fake = client.get("/api/v1/oracles/unbacked?reserve=wstETH&borrowed=GHO&usd=0.012&markdown=50").get_json()
    assert fake["borrowed_usd"] == pytest.approx(9_000)
    update = client.get("/api/v1/oracles/update?reserve=wstETH&ratio=1.08&growth=0").get_json()
    assert update["then"]["repaid_usd"] == pytest.approx(4_500)
    for query, word in (
        ("cap?by=x", "by"),
        ("cap?reserve=DOGE", "reserve"),
        ("stuck?feed=GHO", "feed"),
        ("stuck?by=99", "by"),
        ("unbacked?seen=maybe", "seen"),
        ("unbacked?reserve=WETH&borrowed=WETH", "borrowed"),
        ("update?ratio=0", "ratio"),
        ("update?days=nan", "days"),
    ):
        answer = client.get(f"/api/v1/oracles/{query}")
        assert answer.status_code == 400, query
        assert word in answer.get_json()["detail"]


def test_a_market_without_ratios_has_no_update_to_check(loaded):
    bare = replace(loaded, assets=replace(loaded.assets, is_lst=np.zeros(4, dtype=bool)))
    assert ratios(bare) == {}
    assert "No collateral of this market is priced by a ratio" in words(page.build(MemorySource(bare), ""))
    with pytest.raises(rc.InputError, match="price of its own"):
        pre_flight(bare, {}, WSTETH, 1.2, 7, 9, 3)


def test_an_empty_warehouse_names_the_command(empty_source: MemorySource):
    with pytest.raises(Unavailable, match="No snapshot yet"):
        page.build(empty_source, "")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE raw_aave_reserves SET virtual_balance = 'x'",
        "UPDATE raw_aave_reserves SET borrow_cap = '-5'",
        "UPDATE dim_oracle_adapter SET parameters = '{'",
        "UPDATE dim_oracle_adapter SET ratio = 9e999",
        "UPDATE dim_oracle_adapter SET note = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_damaged_row_is_words(sample_warehouse: Path, tmp_path: Path, sql: str):
    own = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, own)
    add_adapter(own, parameters=json.dumps({}), parameters_status="none", ratio=1.2e18, max_ratio=None)
    connection = sqlite3.connect(own)
    connection.execute("PRAGMA ignore_check_constraints = 1")
    connection.execute(sql)
    connection.commit()
    connection.close()
    content = words(app.open_page(Warehouse(own), "/oracles", "")[0])
    assert "How each price is made" in content or "cannot be shown" in content
    answer = app.create_app(Warehouse(own)).server.test_client().get("/api/v1/oracles/unbacked")
    assert answer.status_code in (200, 409, 500, 503)
    assert "Traceback" not in answer.get_data(as_text=True)


def test_a_stored_row_changes_the_number(sample_warehouse: Path, tmp_path: Path):
    own = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, own)
    client = app.create_app(Warehouse(own)).server.test_client()
    before = client.get("/api/v1/oracles/unbacked?usd=10&reserve=wstETH&borrowed=WETH").get_json()
    assert not before["limited_by_liquidity"]
    connection = sqlite3.connect(own)
    connection.execute("UPDATE raw_aave_reserves SET virtual_balance = ? WHERE symbol = 'WETH'", (str(10**21),))
    connection.commit()
    connection.close()
    after = client.get("/api/v1/oracles/unbacked?usd=10&reserve=wstETH&borrowed=WETH").get_json()
    assert after["limited_by_liquidity"]
    assert after["borrowed_usd"] == pytest.approx(1_000 * 2_578.46, rel=1e-4)
