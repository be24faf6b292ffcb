"""Looking back on the Overview: another block, what changed since, and what a single snapshot says instead."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import data
import risk_core as rc
from dashboard import api, app
from dashboard.look import formatting as fmt
from dashboard.market import looking_back
from dashboard.market.looking_back import StoredBlock, timeline
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.overview import page as overview
from dashboard.pages.overview.past import changes_json, chosen, timeline_json
from dashboard.pages.overview.past_charts import timeline_chart, waterfall
from data.sample import configuration
from data.sample.book import holdings
from data.sample.frames import frames
from data.snapshot.changes import Moved
from data.snapshot.saving import save_snapshot
from data.store.store import Store
from tests.dashboard.conftest import MemorySource, words
from tests.flows.running import ran

MARKET = "PastSample"
DAY = 86_400
BLOCKS = {10: 3 * DAY, 20: 2 * DAY, 30: DAY}
"""Block to seconds before the sample's own."""


def kept(block: int, dearer: float = 1.0) -> Mapping:
    """The sample's book as a block of a market of its own; WETH `dearer`."""
    at = configuration.BLOCK_TIME - BLOCKS[block]
    found = {
        name: frame.assign(market=MARKET, **{"valid_from" if "valid_from" in frame else "block": block})
        for name, frame in frames(holdings(300, 7)).items()
    }
    found["fact_snapshot"] = found["fact_snapshot"].assign(block_time=at)
    reserves = found["raw_aave_reserves"]
    price = [
        str(round(int(raw) * dearer)) if symbol == "WETH" else raw
        for raw, symbol in zip(reserves["price_raw"], reserves["symbol"], strict=True)
    ]
    found["raw_aave_reserves"] = reserves.assign(last_update_timestamp=at, price_raw=price)
    return found


@pytest.fixture(scope="session")
def past_once(sample_warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three blocks a day apart: at the second WETH is 1 % dearer; a run is stored on the first."""
    own = tmp_path_factory.mktemp("past") / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    with Store.open(own) as store:
        save_snapshot(store, "test", kept(10))
        save_snapshot(store, "test", kept(20, dearer=1.01))
        save_snapshot(store, "test", kept(30, dearer=1.01))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(own))
        ran("risk-scenarios", "--paths", "256", "--market", MARKET, "--block", "10")
    return own


@pytest.fixture
def past(past_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = tmp_path / "risk.sqlite"
    shutil.copy(past_once, own)
    monkeypatch.setenv("RISK_DB", str(own))
    monkeypatch.setenv("AAVE_MARKET", MARKET)
    return own


def change(sql: str) -> None:
    with Store.open() as store, store.transaction() as connection:
        assert connection.execute(sql).rowcount > 0


def owed(block: int) -> float:
    market = data.load_market(block, MARKET)
    return float((market.debt.amount * market.price[market.debt.reserve]).sum())


def test_another_block_shows_its_own_market_and_its_own_run(past: Path) -> None:
    source = Warehouse()
    now, then = words(overview.build(source, "")), words(overview.build(source, "?block=10"))

    for block in (10, 30):
        shown = api.summary(source, {"block": str(block)})["position"]["borrowed_usd"]
        assert shown == pytest.approx(owed(block), rel=1e-12)
    assert owed(10) < owed(30)
    assert f"Borrowed{fmt.money(owed(10))}" in then
    assert f"Borrowed{fmt.money(owed(30))}" in now
    stored = data.results.latest(market=MARKET)
    assert fmt.money(stored.figure("lar_repaid", 0.99).value) in then
    assert "This is the market as it was at block 10, 28 Jun 2025, 00:00 UTC." in then
    assert "from prices up to the block's time only" in then
    assert "block 10 · 2\u00a0days before the newest" in then
    assert "the newest of 3" in now
    assert "No run yet" in now  # none is stored on the newest block
    assert overview.question(source, "?block=10") == "How risky was it then?"
    assert overview.question(source, "?block=30") == overview.question(source, "") == "How risky is it now?"


def test_a_block_without_a_run_names_the_command_that_computes_it(past: Path) -> None:
    text = words(overview.build(Warehouse(), "?block=20"))
    assert "No risk run of this block is stored" in text
    assert "python -m flows risk-scenarios --block 20" in text


def test_a_run_that_saw_later_prices_is_no_forecast_and_says_so(past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data.results.RiskRun, "looks_ahead", True)
    text = words(overview.build(Warehouse(), "?block=10"))
    assert "its figures are no forecast" in text
    assert "from prices up to the block's time only" not in text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("block=11", r"block=11: this block was not read; the nearest that were: 10 \(28 Jun 2025, 00:00 UTC\), 20 "),
        ("block=ten", "expected the number of a stored block, found 'ten'"),
        ("block=" + "9" * 5_000, "expected the number of a stored block"),
        ("block=", "expected the number of a stored block"),
        ("block=10&against=10", "expected another block than the one shown"),
    ],
)
def test_a_block_that_is_not_stored_is_refused_with_the_nearest(past: Path, query: str, says: str) -> None:
    client = app.create_app(Warehouse()).server.test_client()
    text = words(overview.build(Warehouse(), f"?{query}"))
    assert "This block cannot be shown" in text
    for address in ("timeline", "changes"):
        answer = client.get(f"/api/v1/overview/{address}?{query}")
        assert answer.status_code == 400
        assert answer.json["detail"] in text
    with pytest.raises(rc.InputError, match=says):
        chosen(Warehouse(), overview.query_of(query))


def test_the_charts_and_the_summary_are_of_the_block_that_the_address_names(past: Path) -> None:
    source = Warehouse()
    client = app.create_app(source).server.test_client()
    newest = source.status().snapshot_hash

    then = client.get("/api/v1/summary?block=10").json
    assert then["snapshot"]["block"] == 10
    assert then["run"]["looks_ahead"] is False
    assert client.get("/api/v1/summary").json["snapshot"]["block"] == 30
    assert client.get("/api/v1/summary?block=11").status_code == 400
    assert overview._run(source, newest, "?block=10").block == 10
    with pytest.raises(Unavailable, match="No run yet"):
        overview._run(source, newest, "")


def test_the_timeline_has_what_each_market_owes_and_the_stored_run(past: Path) -> None:
    told = timeline_json(Warehouse(), {"block": "20"})

    assert [one["block"] for one in told["blocks"]] == [10, 20, 30]
    assert [one["debt_usd"] for one in told["blocks"]] == pytest.approx([owed(b) for b in BLOCKS], rel=1e-9)
    figure = data.results.latest(market=MARKET).figure("lar_repaid", 0.99)
    assert [one["lar_99_usd"] for one in told["blocks"]] == [figure.value, None, None]
    first = told["blocks"][0]
    assert (first["few_draws"], first["low"], first["high"]) == (True, None, None)  # 2.56 paths of 256 lie beyond 99 %
    assert (told["block"], told["against"]) == (20, 10)

    change("UPDATE raw_aave_reserves SET price_raw = price_raw * 2 WHERE market = 'PastSample' AND block = 20")
    again = timeline_json(Warehouse(), {"block": "20"})
    assert again["blocks"][1]["debt_usd"] == pytest.approx(2 * told["blocks"][1]["debt_usd"], rel=1e-9)
    assert again["blocks"][0] == told["blocks"][0]


def test_what_changed_is_the_change_of_the_two_markets_and_follows_a_row_that_changes(past: Path) -> None:
    told = changes_json(Warehouse(), {"block": "20"})  # against the one before it

    total = told["debt"]["total"]
    assert (told["first"]["block"], told["second"]["block"]) == (10, 20)
    assert total["before"] == pytest.approx(owed(10), rel=1e-9)
    assert total["after"] == pytest.approx(owed(20), rel=1e-9)
    assert total["before"] + total["action"] + total["interest"] + total["price"] == pytest.approx(total["after"])
    [weth] = [row for row in told["debt"]["reserves"] if row["symbol"] == "WETH"]
    assert weth["price"] == pytest.approx(0.01 * weth["before"], rel=1e-6)  # 1 % dearer, and nothing else moved
    assert total["price"] == pytest.approx(weth["price"], rel=1e-9)

    change(
        "UPDATE raw_aave_reserves SET price_raw = CAST(price_raw * 2 AS INTEGER) WHERE market = 'PastSample' "
        "AND block = 20 AND symbol = 'WETH'"
    )
    [again] = [row for row in changes_json(Warehouse(), {"block": "20"})["debt"]["reserves"] if row["symbol"] == "WETH"]
    assert again["price"] == pytest.approx(1.02 * weth["before"], rel=1e-6)


def test_the_blocks_compared_may_be_chosen_and_are_in_order_of_time(past: Path) -> None:
    source = Warehouse()
    for query in ({"block": "10", "against": "30"}, {"block": "30", "against": "10"}, {"against": "10"}):
        told = changes_json(source, query)
        assert (told["first"]["block"], told["second"]["block"]) == (10, 30)
    oldest = changes_json(source, {"block": "10"})  # nothing is before it
    assert (oldest["first"]["block"], oldest["second"]["block"]) == (10, 20)


def test_a_page_of_one_snapshot_names_the_command_that_brings_another(source: MemorySource) -> None:
    text = words(overview.build(source, ""))
    assert "No other snapshot yet" in text
    assert "python -m flows aave-market" in text
    assert "Stored snapshots" not in text
    answer = app.create_app(source).server.test_client().get("/api/v1/overview/changes")
    assert (answer.status_code, answer.json["command"]) == (503, "python -m flows aave-market")


def test_snapshots_that_cannot_be_listed_leave_the_rest_of_the_page(
    past: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_back, "_runs", lambda *_: 1 / 0)
    source = Warehouse()
    assert f"Borrowed{fmt.money(owed(30))}" in words(overview.build(source, ""))
    assert "The stored snapshots cannot be listed" in words(overview.build(source, "?block=10"))
    assert api.summary(source)["snapshot"]["block"] == 30


def test_a_long_past_is_drawn_by_its_first_snapshot_of_each_day() -> None:
    hourly = [StoredBlock(block=n, time=n * 3_600, hash=str(n)) for n in range(365 * 24)]
    drawn = timeline(hourly)
    assert len(drawn) == looking_back.SHOWN
    assert drawn[-looking_back.RECENT :] == hourly[-looking_back.RECENT :]
    older = drawn[: -looking_back.RECENT]
    assert all(one.time % DAY == 0 for one in older)
    assert np.diff([one.time for one in older]).tolist() == [DAY] * (len(older) - 1)
    assert timeline(hourly[:400]) == hourly[:400]


def test_bars_of_the_waterfall_begin_where_the_one_before_ends() -> None:
    moved = Moved(symbol="", before=100e6, action=20e6, interest=1e6, price=-30e6, after=91e6)
    figure = waterfall(moved, None)
    bar = figure["data"][0]
    ends = [(b, b + x) for b, x in zip(bar["base"], bar["x"], strict=True)]
    assert ends[1:4] == [(100e6, 120e6), (120e6, 121e6), (91e6, 121e6)]
    assert sum(ends[0]) / 2 == pytest.approx(100e6)
    assert sum(ends[4]) / 2 == pytest.approx(91e6)
    texts = [note["text"] for note in figure["layout"]["annotations"]]
    assert texts == ["<b>$100.0M</b>", "<b>+$20.0M</b>", "<b>+$1.00M</b>", "<b>\u2212$30.0M</b>", "<b>$91.0M</b>"]


def test_a_waterfall_where_nothing_moved_can_be_drawn() -> None:
    figure = waterfall(Moved(symbol="", before=0.0, action=0.0, interest=0.0, price=0.0, after=0.0), None)
    assert all(np.isfinite([*figure["data"][0]["base"], *figure["data"][0]["x"]]))


def test_marks_of_the_timeline_say_their_block_and_hollow_ones_that_they_saw_later_prices(past: Path) -> None:
    found = chosen(Warehouse(), {"block": "10"})
    debt, lar = timeline_chart(found, None)["data"]
    assert [mark[0] for mark in debt["customdata"]] == [10, 20, 30]
    assert debt["y"] == pytest.approx([owed(b) for b in BLOCKS], rel=1e-9)
    assert [mark[0] for mark in lar["customdata"]] == [10]
    change(
        "UPDATE fact_risk_series SET value = json_set(value, '$.looks_ahead', json('true')) "
        "WHERE series = 'calibration'"
    )
    _, hollow = timeline_chart(chosen(Warehouse(), {"block": "10"}), None)["data"]
    assert "saw later prices" in hollow["customdata"][0][1]
    assert hollow["marker"]["color"] != lar["marker"]["color"]
