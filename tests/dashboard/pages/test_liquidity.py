"""The Liquidity page: what is sold against depth, by hand and by the engine; words, JSON, damaged rows."""

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
from dashboard.market.liquidators import Repaid
from dashboard.market.loaded import LoadedMarket, ShownFigure
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.liquidity import charts, page, warning
from dashboard.pages.liquidity.answers import DAY, best, carriers, limits, rolling_day, sales, ways
from dashboard.pages.liquidity.parts import verdict
from data.quotes import Ladder
from risk_core.warning_time import warnings_before
from tests.dashboard.conftest import WEAK, MemorySource, words

WETH, WSTETH, USDC, GHO = range(4)


def ladder(sold: int, bought: int, size, received, *, assumed: bool = False) -> Ladder:
    n = len(size)
    return Ladder(
        sold=sold, bought=bought, size_usd=np.array(size, float), received_usd=np.array(received, float),
        source=("desk",) * n, quoted_at=np.full(n, 1_787_356_800), assumed=np.full(n, assumed),
    )  # fmt: skip


THIN = ladder(WETH, USDC, [1_000.0, 4_000.0], [990.0, 3_800.0])
"""Loses 1 % of 1,000 USD and 5 % of 4,000."""
DEEP = ladder(WETH, WSTETH, [1e6, 4e6], [0.99e6, 3.8e6])


def test_sales_are_what_liquidators_receive_without_the_treasurys_fee(loaded):
    swept = sales(loaded, "eth")
    assert swept.fall[30] == pytest.approx(0.30)
    # ETH -30 %: weak has 7,000 of collateral against 7,000 of debt; the loop falls with both sides and stays.
    then = rc.what_if(loaded.market, {"WETH": -0.3})
    assert swept.repaid[30] == pytest.approx(then.repaid_usd)
    assert swept.sold[30] == pytest.approx(then.seized_by_reserve)
    # All of weak's collateral goes, and of the bonus of 5 % a tenth is the treasury's.
    assert swept.sold[30, WETH] == pytest.approx(7_000 * (1 - 0.005 / 1.05))
    assert swept.sold[30, GHO] == swept.sold[30, WSTETH] == 0
    assert swept.sold[0].sum() == 0
    assert (sales(loaded, "both").sold == swept.sold).all()  # nothing here follows BTC


def test_a_limit_by_hand(loaded):
    [way] = ways(loaded.market, [THIN])
    limit = 1 - 1.0005 / 1.045
    assert way.limit == pytest.approx(limit)
    # Between 1 % and 5 % the logarithm of what is kept is linear in the logarithm of the size.
    slope = np.log(0.99 / 0.95) / np.log(4)
    assert way.depth_usd == pytest.approx(1_000 * np.exp(np.log(0.99 / (1 - limit)) / slope))
    swept = sales(loaded, "eth")
    [weth, *_] = limits(loaded, [way], swept, 0.30)
    assert weth.symbol == "WETH"
    assert weth.used == pytest.approx(swept.sold[30, WETH] / way.depth_usd)
    first = int(np.flatnonzero(swept.sold[:, WETH] >= way.depth_usd)[0])
    assert weth.reached == pytest.approx(first / 100)
    assert weth.kept_usd < 0 < weth.sold_usd


def test_the_deepest_pair_is_taken_and_reserves_without_quotes_come_first(loaded):
    found = ways(loaded.market, [THIN, DEEP])
    assert best(found)[WETH].bought == WSTETH
    swept = sales(loaded, "eth")
    [weth] = [row for row in limits(loaded, found, swept, 0.3) if row.symbol == "WETH"]
    assert (weth.bought, weth.used < 0.01) == ("wstETH", True)
    [none] = [row for row in limits(loaded, (), swept, 0.3) if row.sold_usd]
    assert (none.symbol, none.used, none.problem) == ("WETH", None, "no quotes")


def test_the_verdict_claims_nothing_of_what_nobody_quoted(loaded):
    """A sale within its quotes, one without any, and one beyond the largest quote, where the curve is a bound."""
    swept = sales(loaded, "eth")
    [weth] = [row for row in limits(loaded, ways(loaded.market, [DEEP]), swept, 0.3) if row.sold_usd]
    other = replace(weth, symbol="wstETH", used=None, depth_usd=None)
    alone, both = words(verdict([weth], "eth", 0.3, "")), words(verdict([other, weth], "eth", 0.3, ""))
    assert alone.startswith("Room left")
    assert "It all fits" in alone
    assert both.startswith("Partly unknown")
    assert "What is quoted fits" in both
    assert "has no quotes" in both
    short = ladder(WETH, USDC, [1_000.0], [999.99])
    [weth] = [row for row in limits(loaded, ways(loaded.market, [short]), swept, 0.3) if row.sold_usd]
    assert weth.unquoted
    assert weth.used < 1
    said = words(verdict([weth], "eth", 0.3, ""))
    assert said.startswith("Partly unknown")
    assert "Of WETH more would be sold than anybody quoted" in said


def test_a_ladder_that_has_no_curve_is_named(loaded):
    [way] = ways(loaded.market, [ladder(WETH, USDC, [1e6], [0.2e6])])
    assert "already loses" in way.problem
    assert charts.curve(way, 1e6, "dark")["data"] == []
    [row] = [one for one in limits(loaded, [way], sales(loaded, "eth"), 0.3) if one.sold_usd]
    assert (row.used, row.depth_usd) == (None, None)


def test_what_is_no_collateral_has_no_bonus_to_sell_in(loaded):
    [way] = ways(loaded.market, [ladder(GHO, USDC, [1e6], [0.999e6])])
    assert (way.limit, way.depth_usd) == (0, 0)


def repaid(*rows: tuple[float, float, str]) -> Repaid:
    hours, usd, who = zip(*rows, strict=True)
    return Repaid((np.array(hours) * 3600).astype(np.int64), np.array(usd, float), who)


def test_a_rolling_day_and_who_repaid_by_hand():
    found = repaid((0, 10, "a"), (10, 20, "b"), (24, 5, "a"), (24, np.nan, "b"), (40, 1, "c"))
    # At 24 h the liquidation of hour 0 is exactly a day old and has left.
    np.testing.assert_array_equal(rolling_day(found), [10, 30, 25, 25, 6])
    assert [(c.address, c.usd, c.n) for c in carriers(found, 30)] == [("b", 20, 2), ("a", 15, 2), ("c", 1, 1)]
    assert [(c.address, c.share * 6) for c in carriers(found, 1)] == [("a", 5), ("c", 1), ("b", 0)]
    assert page.without_price(found) == ", 1 without a known price count 0"
    assert page.without_price(repaid((0, 1, "a"))) == ""
    drawn = charts.capital(found, None, None, "dark")["data"][0]
    assert max(drawn["y"]) == 30
    assert drawn["y"][-1] == 0


def test_the_page_in_words(sample_warehouse: Path):
    source = Warehouse(sample_warehouse)
    said = words(page.build(source, ""))
    for part in (" pairs, assumed, nobody quoted them", "not used: less for more", "What does a sale cost?"):
        assert part in said
    loaded, found = page.state(source)
    rows = limits(loaded, found, sales(loaded, "both"), 0.2)
    told = words(page.verdict(rows, "both", 0.2, ""))
    assert "If ETH and BTC fell by 20%, liquidators would sell $" in told
    assert words(page.verdict(limits(loaded, found, sales(loaded, "eth"), 0.0), "eth", 0.0, "")).startswith(
        "Nothing sold"
    )
    for theme in ("dark", "light"):
        for way in page.curves_shown(loaded, found):
            assert charts.curve(way, 1e7, theme)["data"]


def test_a_market_without_quotes_names_the_command(source: MemorySource, empty_source: MemorySource):
    with pytest.raises(Unavailable, match="No quotes yet") as raised:
        page.build(source, "")
    assert raised.value.command == "python -m data.sample"  # the sample brings assumed ones
    at = source.loaded().market.snapshot
    live = replace(source.loaded(), market=replace(source.loaded().market, snapshot=replace(at, synthetic=False)))
    with pytest.raises(Unavailable, match="No quotes yet") as raised:
        page.build(MemorySource(live), "")
    assert "sale-quotes --file" in raised.value.command
    with pytest.raises(Unavailable, match="No snapshot yet"):
        page.build(empty_source, "")


def test_a_market_with_one_pair_has_one_curve_and_five_hidden_places(source: MemorySource):
    source.ladders = (THIN,)
    built = page.build(source, "")
    assert words(built).count("Slippage of") <= 1
    client = app.create_app(source).server.test_client()
    said = client.get("/api/v1/liquidity?falling=eth&fall=30").get_json()
    assert [row["symbol"] for row in said["limits"]] == ["WETH"]
    assert said["curves"][0]["quotes"][0] == {
        "size_usd": 1_000.0, "received_usd": 990.0, "source": "desk", "quoted_at": 1_787_356_800, "assumed": False,
        "state": "used",
    }  # fmt: skip
    for query, word in (("fall=90", "fall"), ("fall=x", "fall"), ("falling=nix", "falling")):
        answer = client.get(f"/api/v1/liquidity?{query}")
        assert answer.status_code == 400
        assert word in answer.get_json()["detail"]


@pytest.mark.parametrize("change", ["size_usd = -1", "received_usd = 9e999", "source = CAST(x'ff' AS TEXT)"])
def test_a_damaged_quote_is_words(sample_warehouse: Path, tmp_path: Path, change: str):
    own = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, own)
    connection = sqlite3.connect(own)
    connection.execute("PRAGMA ignore_check_constraints = 1")
    connection.execute(f"UPDATE dim_quote_ladder SET {change} WHERE size_usd = 1e6")
    connection.commit()
    connection.close()
    content = words(app.open_page(Warehouse(own), "/liquidity", "")[0])
    assert "Distance to capacity" in content or "The quotes cannot be shown" in content


def test_the_99_per_cent_day_stands_beside_the_largest_stored_one(sample_warehouse: Path):
    source = Warehouse(sample_warehouse)
    stored = source.repaid()
    assert len(stored.ts) > 500
    figure = charts.capital(stored, None, int(stored.ts[-1]), "dark")
    assert f"{rolling_day(stored).max() / 1e6:.2f}M" in figure["layout"]["annotations"][0]["text"]
    assert DAY == 86_400


def queue_row(path: Path, model: str = "quoted depth", **columns: object) -> None:
    """A row of mart_liquidation_queue for the sample's snapshot."""
    figure = json.dumps({"value": 2.5e6, "low": 2e6, "high": 3e6, "se": 1e5, "n_positive": 40, "few_draws": False})
    connection = sqlite3.connect(path)
    names = {row[1]: row[2] for row in connection.execute("PRAGMA table_info(mart_liquidation_queue)")}
    [(market, block)] = connection.execute("SELECT market, block FROM fact_snapshot")
    row = {name: 1 if kind == "INTEGER" else 1.0 if kind == "REAL" else "" for name, kind in names.items()}
    row |= {"market": market, "block": block, "model": model, "queue": "a" * 64, "capital_usd": None, "n_paths": 500}
    row |= dict.fromkeys(("lar_repaid", "waiting", "waiting_at_end", "shortfall"), figure)
    row |= {"by_hour": json.dumps({"hours": [12, 24], "waiting_usd": [3e6, 1e6]}), "unquoted": '["GHO"]'}
    row |= {"horizon_seconds": 86_400, "feedback": 0.0} | columns
    connection.execute("PRAGMA ignore_check_constraints = 1")
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO mart_liquidation_queue ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    connection.commit()
    connection.close()


@pytest.fixture
def own(sample_warehouse: Path, tmp_path: Path) -> Path:
    path = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, path)
    return path


def test_the_queue_is_shown_as_it_is_stored(own: Path):
    client = app.create_app(Warehouse(own)).server.test_client()
    assert "python -m flows liquidation-queue" in words(page.build(Warehouse(own), ""))
    assert client.get("/api/v1/liquidity/queue").status_code == 503
    queue_row(own)
    queue_row(own, "record capital", capital_usd=7e6)
    said = words(page.build(Warehouse(own), ""))
    for part in ("How long does it queue?", "$2.50M", "$7.00M in 24 h", "depth assumed", "no quotes: 1 reserves"):
        assert part in said
    told = client.get("/api/v1/liquidity/queue").get_json()
    assert [model["name"] for model in told["models"]] == ["quoted depth", "record capital"]
    assert told["models"][0]["waiting_usd"] == [3e6, 1e6]
    line = Warehouse(own).queue(Warehouse(own).loaded().market.snapshot)
    drawn = charts.queue(line, "dark")["data"]
    assert [one["y"] for one in drawn] == [[3e6, 1e6], [3e6, 1e6]]


@pytest.mark.parametrize(
    "columns",
    [
        {"by_hour": "{"},
        {"by_hour": '{"hours": [1], "waiting_usd": []}'},
        {"waiting": '{"value": -1}'},
        {"model": "nix"},
        {"unquoted": "{}"},
        {"n_paths": 0},
        {"capital_usd": -1.0},
    ],
)
def test_a_damaged_queue_is_words(own: Path, columns: dict):
    queue_row(own, **columns)
    assert "cannot be shown" in words(app.open_page(Warehouse(own), "/liquidity", "")[0])


def test_the_warning_is_that_of_the_engine_with_its_error_and_paths(source: MemorySource):
    """weak stands at 1.143 and loop below 1.1 from the start, whose two sides move together."""
    found = warning.of(source)
    loaded = source.loaded()
    run = source.run(loaded.market.snapshot)
    paths = rc.simulate(loaded.market, run.scenario, n_paths=warning.PATHS, seed=warning.SEED, threads=1)
    own = warnings_before(loaded.market, paths)
    assert set(own.account.tolist()) == {WEAK}
    assert found.half.value == own.quantile_hours(0.5).value
    assert found.half.value % 6 == 0  # four steps a day
    assert found.most.value <= found.half.value
    assert found.begun == 0.0
    assert found.n_falls == len(own.path)
    said = words(warning.says(found))
    assert f"on {len(own.path)} of 4,096 paths, in steps of 6\u00a0h" in said
    drawn = warning.chart(found, "dark")["data"]
    assert drawn[0]["y"] == found.at_least.tolist()
    assert drawn[1]["x"] == [found.half.value, found.most.value]
    source.ladders = (THIN,)
    assert words(page.build(source, "")).count("How much warning?") == 1


def test_the_warning_as_json_and_without_a_run(source: MemorySource, loaded: LoadedMarket):
    said = app.create_app(source).server.test_client().get("/api/v1/liquidity/warning").get_json()
    assert said["n_paths"] == warning.PATHS
    assert said["hours_half"]["low"] <= said["hours_half"]["value"] <= said["hours_half"]["high"]
    assert said["share_at_least"][0] == pytest.approx(1.0)
    with pytest.raises(Unavailable, match="Not simulated"):
        warning.of(MemorySource(loaded))


def test_nobody_liquidated_has_no_warning():
    none = ShownFigure(0.0, n_positive=0, few_draws=True, no_interval="no path has a loss")
    found = warning.Warned(np.arange(3.0), np.full(3, np.nan), none, none, none, 0.0, 4_096, 0, 1.0)
    assert "Nobody is liquidated" in words(warning.says(found))
    assert warning.chart(found, None)["data"] == []
