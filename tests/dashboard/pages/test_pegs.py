"""The Pegs page: its figures by hand, its words, its JSON, and that a changed row changes what is shown."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from dashboard.app import create_app
from dashboard.market.page_data import Unavailable
from dashboard.market.series import HOUR, Closes
from dashboard.market.warehouse import Warehouse
from dashboard.pages.pegs import charts, page
from dashboard.pages.pegs.answers import followers, peg
from tests.dashboard.conftest import MemorySource, words


def hours(prices: list[float], source: str = "one") -> Closes:
    return Closes(
        symbol="USDC/USD",
        step=HOUR,
        ts=np.arange(len(prices)) * HOUR,
        price=np.array(prices),
        source=source,
        synthetic=False,
    )


def test_one_source_needs_two_hours_to_be_critical_and_two_sources_one():
    once = hours([1.0, 1.0, 0.97])
    assert peg("USDC", (once,)).status == "warning"
    assert peg("USDC", (once, hours([1.0, 1.0, 0.975], "two"))).status == "critical"
    assert peg("USDC", (once, hours([1.0, 1.0, 1.03], "two"))).status == "warning"  # the other side is no agreement
    assert peg("USDC", (hours([1.0, 0.97, 0.97]),)).status == "critical"


def test_sources_that_part_are_shown_and_not_averaged():
    found = peg("USDC", (hours([1.0, 0.98]), hours([1.0, 1.01], "two")))
    assert found.deviation_bps == pytest.approx(-200)
    assert found.apart_bps == pytest.approx(300)


def test_a_feed_that_updates_once_a_day_says_that_it_has_no_score():
    days = Closes(
        symbol="USDC/USD",
        step=HOUR,
        ts=np.arange(30) * 86_400,
        price=1 + 1e-4 * np.arange(30) % 2e-4,
        source="chainlink",
        synthetic=False,
    )
    assert peg("USDC", (days,)).word == "no 24 h score"


def test_who_follows_and_what_its_oracle_can_say(sample_warehouse: Path):
    found = {f.symbol: f for f in followers(Warehouse(sample_warehouse).loaded())}
    assert found["USDC"].cap_usd == pytest.approx(1.04)
    assert found["USDe"].kind == "priced by USDT"
    assert found["USDe"].cap_usd == pytest.approx(1.04 * found["USDe"].price_usd / found["USDT"].price_usd)
    assert found["GHO"].kind == "constant"
    assert "WETH" not in found


def test_the_page_in_words(sample_warehouse: Path):
    said = words(page.build(Warehouse(sample_warehouse), ""))
    for part in ("3 stablecoins stand at their peg", "one source only", "12 Apr 2025", "−3.5", "synthetic prices"):
        assert part in said
    found = page.every(Warehouse(sample_warehouse))
    for theme in ("dark", "light"):
        assert len(charts.deviations(found, theme, 120)["data"]) == 3
        assert charts.heat(found, theme)["data"][0]["z"]
        assert charts.band(found[0], theme, 30)["data"]


def test_a_depeg_is_the_first_thing_said(source: MemorySource):
    found = [peg("USDC", (hours([1.0, 0.87, 0.87]),)), peg("USDT", (hours([1.0, 1.0]),))]
    said = words(page.verdict(found))
    assert said.startswith("critical")
    assert "USDC stands −1300\u00a0bp from its peg" in said


def test_an_empty_warehouse_names_the_command(empty_source: MemorySource):
    with pytest.raises(Unavailable, match="No stablecoin prices yet"):
        page.build(empty_source, "")


def test_json(source: MemorySource):
    client = create_app(source).server.test_client()
    assert client.get("/api/v1/pegs/status").get_json()["USDC"]["status"] == "healthy"
    assert client.get("/api/v1/pegs/status?token=USDC").get_json()["z_24h"][0] is None
    assert "token" in client.get("/api/v1/pegs/status?token=%3Ca%3E").get_json()["detail"]


def test_a_changed_row_changes_the_state(sample_warehouse: Path, tmp_path: Path):
    own = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, own)
    connection = sqlite3.connect(own)
    connection.execute(
        "UPDATE dim_prices SET price_usd = 0.9 WHERE symbol = 'USDCUSDT' AND interval = '1h' AND ts > "
        "(SELECT max(ts) - 7200 FROM dim_prices WHERE symbol = 'USDCUSDT')"
    )
    connection.commit()
    connection.close()
    assert words(page.build(Warehouse(own), "")).startswith("critical")
