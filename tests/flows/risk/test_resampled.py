"""Laws made of past returns: what went in comes out, numbers come back as stored, unfit prices say why."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from flows.risk import resampled
from flows.risk.calibration import Calibration, stressed
from flows.risk.calibration_inputs import DAY, FLOOR, HOUR, Inputs, InsufficientHistory, inputs_of
from flows.risk.resampled import NoLaw, fit, from_row, steps_of
from risk_core import Bootstrap, EModes, FilteredHistory, Garch, Market, Positions, Reserves, Snapshot
from risk_core.analytics import garch
from risk_core.laws.bootstrap import rows_correlation
from risk_core.laws.from_returns import FROM_RETURNS, NAMES, degrees_of_freedom, law_called, residuals

BLOCK_TIME = 1_763_640_000
SERIES = {"ETH": "ETHUSDT", "BTC": "BTCUSDT"}
ONE_DAY = timedelta(hours=24)
TRUE = garch.Fit(n=1, omega=3e-7, alpha=0.06, beta=0.92)


def market() -> Market:
    n = 3
    reserves = Reserves(
        id=range(n), symbol=("WETH", "WBTC", "GHO"), asset=[f"0x{i:040x}" for i in range(n)], decimals=[18] * n,
        ltv=[0.7] * n, liquidation_threshold=[0.8] * n, liquidation_bonus=[0.05] * n, protocol_fee=[0.1] * n,
        active=[True] * n, paused=[False] * n, grace_until=[0] * n,
    )  # fmt: skip
    nobody = Positions.from_entries([], [], [], 0)
    return Market(
        reserves=reserves, emodes=EModes.none(), accounts=np.array([], dtype=str), emode=[], collateral=nobody,
        debt=nobody, price=[2600.0, 104_000.0, 1.0],
        snapshot=Snapshot(market="Test", chain_id=1, block=1, block_time=BLOCK_TIME, revision=10),
    )  # fmt: skip


MAPPING = pd.DataFrame({
    "asset": [f"0x{i:040x}" for i in range(3)], "symbol": ["WETH", "WBTC", "GHO"],
    "series": ["ETHUSDT", "BTCUSDT", ""], "kind": ["series", "series", "fixed"], "factor": ["ETH", "BTC", ""],
})  # fmt: skip


def history(days: int = 200, of: garch.Fit = TRUE, nu: float = 6.0, seed: int = 3) -> pd.DataFrame:
    """Hourly prices of two series whose variances follow their moves, with common Student-t innovations."""
    n, rng = days * 24, np.random.default_rng(seed)
    z = rng.standard_normal((n, 2)) @ np.array([[1.0, 0.7], [0.0, np.sqrt(0.51)]])
    z *= np.sqrt((nu - 2) / rng.chisquare(nu, (n, 1)))
    moves, variance = np.empty((n, 2)), np.full(2, of.long_run)
    for t in range(n):
        moves[t] = np.sqrt(variance) * z[t]
        variance = of.omega + of.alpha * moves[t] ** 2 + of.beta * variance
    levels = np.exp(np.vstack([np.zeros((1, 2)), np.cumsum(moves, axis=0)])) * [2600.0, 104_000.0]
    return pd.DataFrame(levels, [BLOCK_TIME - HOUR * (n - i) for i in range(n + 1)], list(SERIES.values()))


def inputs(prices: pd.DataFrame, law: str) -> Inputs:
    def load(series, first, last):
        return prices.loc[first:last, list(dict.fromkeys(series))].dropna()

    return inputs_of(market(), MAPPING, load, law)


def returns_of(prices: pd.DataFrame) -> np.ndarray:
    return np.diff(np.log(prices.to_numpy()), axis=0)


def test_every_law_has_a_calibration_a_scenario_and_a_record_of_its_own():
    prices, records = history(), set()
    for name in NAMES:
        found = fit(inputs(prices, name))
        scenario = found.scenario("s", ONE_DAY, 24, BLOCK_TIME)
        assert scenario.factors == ("ETH", "BTC")
        assert (scenario.volatility > 0).all()
        records.add(json.dumps(found.row("Test")["method"]))
        assert found.inputs.id not in records
    assert len(records) == len(NAMES)
    assert isinstance(fit(inputs(prices, "filtered-history")).scenario("s", ONE_DAY, 24, 0).law, FilteredHistory)


def test_the_bootstrap_is_of_the_joint_returns_and_has_their_volatility_and_correlation():
    prices = history()
    found, past = fit(inputs(prices, "bootstrap")), returns_of(prices)
    law = found.scenario("s", ONE_DAY, 24, BLOCK_TIME).law
    assert isinstance(law, Bootstrap)
    assert law.mean_block == 24
    np.testing.assert_allclose(law.returns, past, atol=1e-9)
    np.testing.assert_allclose(found.volatility, past.std(axis=0) * np.sqrt(8760), rtol=1e-6)
    np.testing.assert_allclose(found.correlation, np.corrcoef(past.T), atol=1e-6)
    assert found.notes[-1].startswith("law bootstrap: drawn from 200 days of hours (2025-05-04 to 2025-11-20)")


def test_only_the_last_year_up_to_the_block_is_drawn_from():
    prices = history(400)
    later = pd.concat([prices, prices.iloc[1:].set_axis(prices.index[1:] + 400 * DAY) * 3])
    found = fit(inputs(later, "bootstrap"))
    assert found.told["rows"] == 365 * 24
    assert found.told["last_ts"] == BLOCK_TIME
    np.testing.assert_allclose(found.fitted.rows, returns_of(prices)[-365 * 24 :], atol=1e-9)


@pytest.mark.statistical
def test_garch_finds_the_numbers_of_a_process_that_is_known():
    """One year of hours: each series within four of the standard errors that the fit states; nu within a third."""
    pytest.importorskip("arch")
    prices = history(365)
    found = fit(inputs(prices, "garch-t"))
    for kept in found.told["fits"].values():
        for number in ("alpha", "beta"):
            assert abs(kept[number] - getattr(TRUE, number)) < 4 * kept[f"{number}_se"]
    assert found.fitted.nu == pytest.approx(6.0, rel=1 / 3)
    law = found.scenario("s", ONE_DAY, 24, BLOCK_TIME).law
    assert isinstance(law, Garch)
    np.testing.assert_allclose(
        np.sqrt(law.long_run) * found.volatility, found.fitted.long_run_volatility, rtol=1e-12
    )  # the ratio of the law is that of the two volatilities


def test_todays_volatility_is_that_of_a_plain_loop_and_the_residuals_are_the_returns_over_it():
    pytest.importorskip("arch")
    prices = history()
    found, past = fit(inputs(prices, "filtered-history")), returns_of(prices)
    for column, name in enumerate(SERIES.values()):
        kept = found.told["fits"][name]
        v = kept["omega"] / (1 - kept["alpha"] - kept["beta"])
        for t, r in enumerate(past[:, column]):
            assert found.fitted.rows[t, column] == pytest.approx(r / np.sqrt(v), abs=1e-6)
            v = kept["omega"] + kept["alpha"] * r**2 + kept["beta"] * v
        assert found.volatility[column] == pytest.approx(np.sqrt(8760 * v), rel=1e-9)
    np.testing.assert_allclose(found.correlation, rows_correlation(found.fitted.rows), atol=1e-12)


@pytest.mark.parametrize("law", FROM_RETURNS)
def test_a_stored_calibration_comes_back_without_a_fit(law, monkeypatch):
    prices = history()
    found = fit(inputs(prices, law))
    monkeypatch.setattr(resampled, "garch_of", lambda *_: pytest.fail("fitted again"))
    again = from_row(inputs(prices, law), found.row("Test"))
    assert again.volatility.tobytes() == found.volatility.tobytes()
    assert again.correlation.tobytes() == found.correlation.tobytes()
    one, other = (c.scenario("s", ONE_DAY, 24, BLOCK_TIME) for c in (found, again))
    assert one.law == other.law
    assert again.notes == found.notes


def test_a_plain_law_is_fitted_and_read_as_before():
    prices = history()
    found = fit(inputs(prices, "normal"))
    assert type(found) is Calibration
    assert found.row("Test")["fitted"] is None
    assert type(from_row(found.inputs, found.row("Test"))) is Calibration


def test_another_price_long_before_the_shared_window_is_another_calibration():
    prices = history()
    before = inputs(prices, "bootstrap").id
    prices.iloc[10, 1] = np.nextafter(prices.iloc[10, 1], np.inf)
    assert inputs(prices, "bootstrap").id != before


def test_a_series_without_a_variance_that_follows_keeps_its_volatility_and_says_so(monkeypatch):
    """Moves of one size beside a GARCH: the variance stands still, and a stressed one as well."""
    pytest.importorskip("arch")
    none = garch.Fit(n=1, refused="no effect of past returns")
    monkeypatch.setattr(resampled, "fit_garch", lambda r: garch.fit(r) if np.abs(r).std() > 1e-9 else none)
    resampled.garch_of.cache_clear()
    prices = history()
    flat = np.random.default_rng(8).choice([-0.004, 0.004], len(prices) - 1)
    prices["BTCUSDT"] = 1e5 * np.exp(np.concatenate([[0.0], np.cumsum(flat)]))
    found = fit(inputs(prices, "filtered-history"))
    assert found.volatility[1] == pytest.approx(0.004 * np.sqrt(8760), rel=1e-9)
    assert "the volatility of BTCUSDT stands still, as no GARCH was found" in found.notes[-1]
    loud = stressed(found)
    assert loud.volatility[1] >= found.volatility[1]
    law = loud.scenario("s", ONE_DAY, 24, BLOCK_TIME).law
    assert (law.alpha[1], law.beta[1], law.long_run[1]) == (0, 0, 1)
    assert law.long_run[0] < found.scenario("s", ONE_DAY, 24, BLOCK_TIME).law.long_run[0]


def holes(prices: pd.DataFrame, share: float) -> pd.DataFrame:
    gone = np.random.default_rng(1).random(len(prices)) < share
    return prices.assign(BTCUSDT=prices["BTCUSDT"].where(~gone))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda p: p.iloc[-20 * 24 :], InsufficientHistory, r"^law bootstrap: 20\.0 days .* at least 30 are needed"),
        (lambda p: p.assign(BTCUSDT=p["BTCUSDT"].where(p.index > BLOCK_TIME - 25 * DAY)), InsufficientHistory,
         r"25\.0 days of hourly returns are stored for all series together \(the shortest is BTCUSDT\)"),
        (lambda p: holes(p, 0.2), InsufficientHistory,
         r"36% of the hours from 2025-05-04 to 2025-11-20 lack a return of some series \(most: BTCUSDT\), at most 10%"),
        (lambda p: p.assign(BTCUSDT=1.0), InsufficientHistory,
         r"law bootstrap: BTCUSDT never moves in its hourly prices from 2025-05-04 to 2025-11-20; let its reserves"),
    ],
)  # fmt: skip
def test_prices_that_make_no_rows_are_refused_by_series_and_window(change, error, message):
    with pytest.raises(error, match=message):
        fit(inputs(change(history()), "bootstrap"))


def test_where_no_series_has_such_a_variance_the_law_is_refused_with_every_reason(monkeypatch):
    monkeypatch.setattr(resampled, "garch_of", lambda _: garch.Fit(n=1, refused="the optimiser did not converge"))
    message = r"law garch: no variance .* from 2025-05-04 to 2025-11-20 \(ETHUSDT: the optimiser did not converge; BTC"
    with pytest.raises(NoLaw, match=message):
        fit(inputs(history(), "garch"))


def test_a_peg_that_hardly_moves_has_the_floor_in_the_first_step_and_after():
    pytest.importorskip("arch")
    prices = history()
    prices["BTCUSDT"] = 1.0 + 1e-6 * np.random.default_rng(2).standard_normal(len(prices)).round(2)
    found = fit(inputs(prices, "garch"))
    assert found.volatility[1] == FLOOR
    assert found.scenario("s", ONE_DAY, 24, BLOCK_TIME).law.long_run[1] >= 1 - 1e-12


def test_steps_that_a_law_does_not_take_become_hours():
    prices = history()
    block, follows, plain = (fit(inputs(prices, law)) for law in ("bootstrap", "garch", "normal"))
    for calibration, asked, expected in (
        (plain, 96, 96), (block, 24, 24), (block, 6, 6), (block, 96, 24), (follows, 24, 24), (follows, 6, 24),
    ):  # fmt: skip
        assert steps_of(calibration, ONE_DAY, asked) == expected
        calibration.scenario("s", ONE_DAY, expected, BLOCK_TIME)  # and it takes these
    assert steps_of(follows, timedelta(minutes=90), 2) is None


def test_residuals_of_a_fit_that_was_refused_have_variance_one():
    r = np.random.default_rng(0).standard_normal(500) * 0.01
    rows, ahead = residuals(r, garch.Fit(n=500, refused="too few"))
    assert (rows**2).mean() == pytest.approx(1)
    assert ahead == pytest.approx((r**2).mean())


@pytest.mark.statistical
@pytest.mark.parametrize("nu", [3.0, 5.0, 12.0])
def test_degrees_of_freedom_are_found_again_and_a_normal_sample_has_none(nu):
    """20,000 draws of two columns: about 4 % a standard error at nu 5, a third allowed at most."""
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((20_000, 2)) * np.sqrt((nu - 2) / rng.chisquare(nu, (20_000, 1)))
    assert degrees_of_freedom(rows) == pytest.approx(nu, rel=0.2)
    assert degrees_of_freedom(rng.standard_normal((20_000, 2))) is None


def test_a_law_by_name_is_of_either_kind():
    assert law_called("bootstrap") is FROM_RETURNS["bootstrap"]
    assert law_called("normal").name == "normal"
    with pytest.raises(
        ValueError, match=r"expected one of normal, .* bootstrap, garch, garch-t, filtered-history, found"
    ):
        law_called("gauss")
    assert len({json.dumps(law.record()) for law in FROM_RETURNS.values()}) == len(FROM_RETURNS)
    assert replace(FROM_RETURNS["garch"], tail=True).record() != FROM_RETURNS["garch"].record()
