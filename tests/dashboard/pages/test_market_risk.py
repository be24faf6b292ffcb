"""The Market page: its figures by hand, its words, its JSON, and that a changed row changes what is shown."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import risk_core as rc
from dashboard.app import create_app
from dashboard.market.fits import StoredFit
from dashboard.market.page_data import Unavailable
from dashboard.market.series import DAY, HOUR, Closes, load_closes
from dashboard.market.warehouse import Warehouse
from dashboard.pages.market_risk import charts, page
from dashboard.pages.market_risk.answers import loss_curve, portfolio, rolling
from dashboard.pages.market_risk.over_time import correlations, volatility
from risk_core.analytics import garch
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
    assert {m.verdict for m in answer.methods if not m.refused} <= {"holds", "too many", "too few", "in a row"}
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


def test_the_page_is_built_with_its_sections(source: MemorySource):
    said = words(page.build(source, ""))
    for part in ("GARCH, normal law", "Portfolio", "Do they move together", "What GARCH was fitted to"):
        assert part in said or part in str(page.build(source, ""))
    assert "volatility-fits" in words(page.fits_table(()))


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


OF = garch.Fit(
    n=60, omega=1e-4, alpha=0.2, beta=0.7, omega_se=1e-5, alpha_se=0.05, beta_se=0.06, log_likelihood=1.0
)  # fmt: skip
FAILED = garch.Fit(n=80, refused="the optimiser did not converge (flag 4)")


def stored(*fits: tuple[int, garch.Fit]) -> tuple[StoredFit, ...]:
    return tuple(
        StoredFit(first_ts=1 * DAY, fitted_ts=(at + 1) * DAY, refit_days=20, fit=fit) for at, fit in fits
    )  # fmt: skip


def coin(n: int = 200) -> Closes:
    return series((0.02 * np.where(np.random.default_rng(4).random(n) < 0.5, -1, 1)).tolist())


def test_garch_is_that_of_its_function_the_day_before_and_counted() -> None:
    places = (59, 99, 139, 179)
    closes, fits = coin(), stored(*((at, OF) for at in places))
    answer = rolling(closes, fits=fits)
    for key in ("garch", "garch-filtered"):
        method = answer.method(key)
        var, _ = garch.value_at_risk(
            closes.returns(), [garch.Refit(at=at, fit=OF) for at in places], filtered="filtered" in key
        )
        np.testing.assert_array_equal(method.var[60:], var[59:-1])
        assert method.today == var[-1]
        assert method.coverage.n == 140
        over = answer.result_usd[60:] < -var[59:-1]
        assert method.coverage.exceptions == over.sum()
        assert method.verdict in ("holds", "too many", "too few", "in a row")
        assert method.refused == ""
    table = words(page.methods_table(answer, "garch"))
    assert "GARCH, filtered" in table


def test_a_failed_fit_is_said_and_nothing_takes_its_place() -> None:
    answer = rolling(coin(), fits=stored((59, OF), (99, FAILED), (119, OF), (159, OF), (199, FAILED)))
    method = answer.method("garch")
    assert np.isnan(method.var[100:120]).all()
    assert np.isfinite(method.var[120:]).all()
    assert method.withheld_days == 20
    assert method.verdict == "withheld"
    assert "did not converge (flag 4)" in words(page.verdict(answer, method))
    assert "withheld on 20 past days" in words(page.methods_table(answer, "garch"))
    told = words(page.fits_table(stored((59, OF), (99, FAILED))))
    assert "1970-04-11: the optimiser did not converge (flag 4)" in told
    assert "0.20 ± 0.05" in told
    assert charts.losses(answer, method, "light")["data"]
    missing = rolling(coin()).method("garch-filtered")
    assert "python -m flows volatility-fits" in missing.refused
    assert np.isnan(missing.var).all()
    assert charts.losses(rolling(coin()), missing, "dark")["data"]


def test_fits_of_other_days_and_old_ones_are_not_used() -> None:
    other = tuple(replace(one, fitted_ts=one.fitted_ts + 3_600) for one in stored((59, OF)))
    assert "no fit of these days" in rolling(coin(), fits=other).method("garch").refused
    old = rolling(coin(), fits=stored((59, OF))).method("garch")
    assert "140 days old" in old.refused
    assert np.isfinite(old.var[60:99]).all()
    assert np.isnan(old.var[101:]).all()


def test_a_portfolio_is_worth_what_its_parts_are() -> None:
    """Half in what doubles, half in what halves, day after day: +25 % each day."""
    up, down = series([1.0] * 3), series([-0.5] * 3)
    both = portfolio("A=1 B=1", {"A": up, "B": down}.__getitem__)
    np.testing.assert_allclose(both.price, [1, 1.25, 1.25**2, 1.25**3])
    assert both.symbol == "A=50 B=50"
    assert page.asset("BTCUSDT=40 ETHUSDT=60") == "BTC 40\u202f%, ETH 60\u202f%"
    assert portfolio("A", {"A": up}.__getitem__) is up


@pytest.mark.parametrize("text", ["", "A=0 B=1", "A=1 A=2", "A=x", "A=-1 B=2", "A B", "A=1 " * 21])
def test_a_portfolio_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(rc.InputError, match="portfolio"):
        portfolio(text, lambda _: series([0.0]))


def test_the_term_structures(source: MemorySource) -> None:
    hours = source.closes("ETHUSDT", HOUR)
    last = int(hours.ts[-1]) // DAY * DAY
    fits = (StoredFit(first_ts=DAY, fitted_ts=last, refit_days=20, fit=OF),)
    found = volatility(hours, fits)
    assert found.forecast_days.tolist() == [1, 7, 30, 90]
    days = hours.price[hours.ts % DAY == 0]
    returns = days[1:] / days[:-1] - 1
    now = garch.variance_path(returns, OF, float((returns**2).mean()))[-1]
    np.testing.assert_allclose(found.forecast, np.sqrt(365 * garch.term_structure(OF, now, [1, 7, 30, 90])))
    assert volatility(hours, (replace(fits[0], fit=FAILED),)).forecast.size == 0
    other = replace(hours, symbol="X", price=1 / hours.price)
    mirrored = correlations(hours, [hours, other])
    np.testing.assert_allclose(mirrored.correlation[:, :3], [[1, 1, 1], [-1, -1, -1]])
    assert np.isnan(mirrored.correlation[:, 3]).all()  # 200 days hold two windows of 90
    for theme in ("light", "dark"):
        assert "90 days: too short" in str(charts.together(mirrored, theme)["layout"]["annotations"])
        assert charts.restlessness(found, theme)["data"]


def test_correlations_with_their_interval_by_hand(source: MemorySource) -> None:
    """200 days of two series, 1 day: z +- 1.96 / sqrt(200 - 3)."""
    hours = source.closes("ETHUSDT", HOUR)
    noise = np.exp(np.cumsum(np.random.default_rng(5).standard_normal(len(hours.price)) * 0.004))
    found = correlations(hours, [replace(hours, price=hours.price * noise)])
    rho, days = found.correlation[0, 0], (len(hours.price) - 1) / 24
    half = 1.959964 / np.sqrt(days - 3)
    assert found.low[0, 0] == pytest.approx(np.tanh(np.arctanh(rho) - half), rel=1e-6)
    assert found.high[0, 0] == pytest.approx(np.tanh(np.arctanh(rho) + half), rel=1e-6)


def test_a_changed_fit_is_the_one_shown(sample_warehouse: Path, tmp_path: Path) -> None:
    own = tmp_path / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    stored_source = Warehouse(own)
    ts = stored_source.closes("ETHUSDT", DAY).ts
    columns = "portfolio, fitted_ts, first_ts, n_returns, refit_days, omega, alpha, beta, alpha_se, beta_se, "
    row = f"'ETHUSDT', {ts[100]}, {ts[1]}, 100, 20, 1e-4, 0.2, 0.7, 0.05, 0.06, '{'0' * 64}', 1, 1"

    def change(sql: str) -> None:
        connection = sqlite3.connect(own)
        connection.execute(sql)
        connection.commit()
        connection.close()

    change(f"INSERT INTO fact_volatility_fit ({columns}inputs_sha256, is_synthetic, batch) VALUES ({row})")
    client = create_app(stored_source).server.test_client()
    first = client.get("/api/v1/rolling-var").get_json()["methods"]["garch"]["next_day_var_usd"]
    assert "0.20 ± 0.05" in words(page.fits_table(stored_source.fits("ETHUSDT")))
    change("UPDATE fact_volatility_fit SET omega = 4e-4")
    assert client.get("/api/v1/rolling-var").get_json()["methods"]["garch"]["next_day_var_usd"] > 1.2 * first
    assert client.get("/api/v1/market/fits").get_json()["fits"][0]["fit"]["omega"] == 4e-4
    assert len(client.get("/api/v1/market/correlation").get_json()["names"]) == 4
    mix = client.get("/api/v1/rolling-var", query_string={"portfolio": "ETHUSDT=3 BTCUSDT=1"}).get_json()
    assert mix["symbol"] == "BTCUSDT=25 ETHUSDT=75"
    assert mix["methods"]["historical"]["n_exceptions"] is not None
    assert "no fit" in mix["methods"]["garch"]["withheld"]
    assert client.get("/api/v1/rolling-var", query_string={"portfolio": "NONE=1 BTCUSDT=1"}).status_code == 400
    change("UPDATE fact_volatility_fit SET beta = 0.9")
    with pytest.raises(Unavailable, match="alpha \\+ beta below 1"):
        stored_source.fits("ETHUSDT")
