"""The Market page: its figures by hand, its words, its JSON, and that a changed row changes what is shown."""

from __future__ import annotations

import numpy as np
import pytest

import risk_core as rc
from dashboard.app import create_app
from dashboard.market.series import DAY, HOUR, Closes, load_closes
from dashboard.market.warehouse import Unavailable, Warehouse
from dashboard.pages.market_risk import charts, page
from dashboard.pages.market_risk.answers import loss_curve, rolling, volatility
from tests.dashboard.conftest import MemorySource, words


def series(returns: list[float], start: int = 0) -> Closes:
    price = 1000 * np.cumprod([1.0, *(1 + r for r in returns)])
    ts = (start + np.arange(len(price))) * DAY
    return Closes(symbol="ETHUSDT", step=DAY, ts=ts, price=price, source="test", synthetic=False)


def test_each_day_is_held_against_what_was_known_the_day_before():
    """100 days of -1 %, then -5 %: the forecast for that day is 1 % of a million, and only that day exceeds it."""
    answer = rolling(series([-0.01] * 100 + [-0.05]))
    historical = answer.method("historical")
    assert historical.var[-1] == pytest.approx(10_000)
    assert answer.result_usd[-1] == pytest.approx(-50_000)
    # A loss equal to its forecast is none above it; float noise in the last digit does not count.
    assert historical.exceeded[-1]
    assert historical.today_shortfall > historical.today >= 10_000 - 1e-6


def test_a_gap_ends_the_history():
    before, after = series([0.01] * 50), series([0.02] * 40, start=60)
    both = Closes(
        symbol="ETHUSDT",
        step=DAY,
        ts=np.concatenate([before.ts, after.ts]),
        price=np.concatenate([before.price, after.price]),
        source="test",
        synthetic=False,
    )
    assert both.gaps == 9
    np.testing.assert_array_equal(both.whole().ts, after.ts)


def test_too_few_days_say_how_many_are_needed():
    with pytest.raises(rc.InputError, match="expected at least 32 days in a row, found 21"):
        rolling(series([0.01] * 20))
    with pytest.raises(rc.InputError, match="expected at least 122 days"):
        rolling(series([0.01] * 60), level=0.99)


def test_too_many_exceptions_are_said_to_be(source: MemorySource):
    calm_then_wild = [0.001, -0.001] * 40 + [-0.05, 0.05] * 40
    answer = rolling(series(calm_then_wild))
    assert {m.verdict for m in answer.methods} <= {"holds", "too many", "too few", "in a row"}
    steady = rolling(series([-0.01, 0.01] * 60))
    assert steady.method("ewma").verdict == "too few"  # 1.645 sigma of a coin that never moves more than one


def test_the_range_holds_the_price_of_now():
    assert page.held_range([-25, 25]) == (-0.25, 0.25)
    assert page.held_range([5, 20]) == (-0.01, 0.2)
    assert page.held_range([-50, -10]) == (-0.5, 0.01)


def test_the_curve_and_the_volatility_say_what_their_functions_say(source: MemorySource):
    hours = source.closes("ETHUSDT", HOUR)
    curve = loss_curve(-0.2, 0.25, hours)
    assert curve.concentrated[100] == pytest.approx(0.0, abs=1e-12)
    assert 0 <= curve.in_range <= 1
    found = volatility(hours)
    assert found.whole[0] == pytest.approx(0.03 * np.sqrt(365), rel=1e-6)
    assert (found.low < found.whole).all()
    assert (found.whole < found.high).all()


def test_the_page_names_losses_and_record(source: MemorySource):
    answer = rolling(source.closes("ETHUSDT", DAY))
    said = words(page.verdict(answer, answer.methods[0]))
    assert said.startswith("holds") or "too" in said
    assert "One day in twenty, a $1,000,000 ETH position loses" in said
    assert f"{answer.methods[0].coverage.exceptions} times" in said
    table = words(page.methods_table(answer, "historical"))
    assert "Filtered historical" in table
    assert "2 draws only" in table
    for theme in ("light", "dark"):
        assert charts.losses(answer, answer.methods[0], theme)["data"]


def test_an_empty_warehouse_names_the_command(empty_source: MemorySource):
    with pytest.raises(Unavailable, match="No price series yet") as nothing:
        page.build(empty_source, "")
    assert nothing.value.command == "python -m flows market-prices"


def test_json_of_the_charts(source: MemorySource):
    client = create_app(source).server.test_client()
    found = client.get("/api/v1/rolling-var?level=0.99").get_json()
    assert found["window_days"] == 120
    assert found["methods"]["historical"]["verdict"]
    assert client.get("/api/v1/il-curve").get_json()["in_range"] is not None
    assert client.get("/api/v1/market/volatility").status_code == 200


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("rolling-var?level=2", "level"),
        ("rolling-var?series=%3Cb%3E", "series"),
        ("il-curve?low=x", "low"),
        ("il-curve?low=0.5", "low < 0"),
        ("il-curve?high=inf", "high"),
    ],
)
def test_a_query_that_cannot_be_answered_says_why(source: MemorySource, address: str, word: str):
    answer = create_app(source).server.test_client().get(f"/api/v1/{address}")
    assert answer.status_code == 400
    assert word in answer.get_json()["detail"]


def test_a_changed_row_changes_the_figure(sample_warehouse, tmp_path):
    import shutil
    import sqlite3

    own = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, own)
    before = page.rolling_json(Warehouse(own), {})
    connection = sqlite3.connect(own)
    connection.execute(
        "UPDATE dim_prices SET price_usd = price_usd * 0.8 WHERE symbol = 'ETHUSDT' AND interval = '1h' AND ts = "
        "(SELECT max(ts) FROM dim_prices WHERE symbol = 'ETHUSDT' AND interval = '1h' AND ts % 86400 = 0)"
    )
    connection.commit()
    connection.close()
    after = page.rolling_json(Warehouse(own), {})
    assert after["result_usd"][-1] < before["result_usd"][-1] - 150_000
    assert len(load_closes("ETHUSDT", DAY, synthetic=True, path=own).ts) == len(before["ts"]) + 1
