"""A day's forecast is the law's own quantile, and knows nothing of the day."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from risk_core import InputError, OrnsteinUhlenbeck, backtest
from risk_core.analytics import garch
from risk_core.laws import calibrated as laws
from risk_core.laws.from_returns import NAMES, law_called
from tests.markets import one_account

MIDNIGHT = 1_609_718_400  # Monday 2021-01-04 00:00 UTC
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]


def hours(n: int) -> np.ndarray:
    return MIDNIGHT + 3600 * np.arange(1, n + 1, dtype=np.int64)


def moves(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.006, (n, 2))


def test_days_begin_at_midnight_after_the_warm_up_and_end_within_the_prices():
    assert backtest.starts(hours(24 * 5), 48).tolist() == [47, 71, 95]
    assert backtest.starts(hours(24 * 5 - 1), 48).tolist() == [47, 71]
    assert backtest.starts(hours(24), 2).tolist() == []
    with pytest.raises(InputError, match="one row an hour"):
        backtest.starts([3600, 7200, 14_400], 2)


@pytest.mark.parametrize(
    ("returns", "days", "words"),
    [
        (np.zeros((72, 2)), [23, 48], "days: entry 1 is 48; must be a row from 2 to 47"),
        (np.zeros((72, 2)), [1], "days: entry 0 is 1"),
        ([[0.0, 0.0], [0.0, np.nan]], [], "log_returns: entry 1, 1 is nan; must be finite"),
    ],
)
def test_a_day_outside_the_prices_is_refused_by_its_place(returns, days, words):
    with pytest.raises(InputError, match=words):
        backtest.losses(returns, WEIGHTS, days)


def test_a_loss_is_that_of_the_weights_held_through_the_day():
    returns = np.zeros((72, 2))
    returns[24, 0], returns[47, 0], returns[30, 1] = np.log(0.9), np.log(0.5), np.log(1.2)
    returns[23, 0] = returns[48, 0] = 1.0
    assert backtest.losses(returns, WEIGHTS, [23]) == pytest.approx(np.array([[0.55, -0.2, 0.175]]))


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_after_a_day_began_changes_no_forecast_of_it(name):
    n = 24 * 40
    returns, ends = moves(n), hours(n)
    days = backtest.starts(ends, 24 * 20)
    at = 7
    other = returns.copy()
    other[days[at] + 1 :] *= 5
    law = law_called(name)
    before, after = (backtest.value_at_risk(r, ends, WEIGHTS, days, law) for r in (returns, other))
    assert (before[: at + 1] == after[: at + 1]).all()
    later = after[at + 1 :, :2] > before[at + 1 :, :2]
    # A GARCH that was fitted to calm days and has little memory hardly knows of wild hours a day later.
    assert later.all() if name in laws.CALIBRATED or name == "bootstrap" else later.mean() > 0.8


def test_one_asset_has_the_closed_form_of_its_law():
    """exp(drift + sigma q) - 1 at the quantile q of a unit-variance law, sigma that of the weekday ahead."""
    n = 24 * 30
    ends = hours(n)
    returns = 0.01 * np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
    days = backtest.starts(ends, 24 * 28)[:1]
    for name, unit in (("normal", norm.ppf), ("t4", lambda p: t.ppf(p, 4) / np.sqrt(2))):
        found = backtest.value_at_risk(returns, ends, [[1.0]], days, laws.CALIBRATED[name])[0, 0]
        sigma = 0.01 * np.sqrt(24)
        expected = [-np.expm1(-(sigma**2) / 2 + sigma * unit(1 - level)) for level in (0.95, 0.99)]
        assert found == pytest.approx(expected, rel=0.003)


def test_weekends_are_forecast_quieter():
    n = 24 * 30
    ends, returns = hours(n), np.full((n, 1), 0.01)
    days = backtest.starts(ends, 24 * 21)
    law = laws.CALIBRATED["two-speed-normal"]
    level = backtest.value_at_risk(returns, ends, [[1.0]], days, law)[:, 0, 1]
    weekday = [int((at - MIDNIGHT) // 86_400) % 7 for at in ends[days]]
    friday, saturday = weekday.index(4), weekday.index(5)
    assert level[saturday] / level[friday] == pytest.approx(np.sqrt(0.65 / 1.11), rel=0.02)


def test_jumps_leave_the_total_variance_as_it_was():
    volatility = np.array([0.8, 0.4])
    normal, law = laws.CALIBRATED["two-speed-jumps"].shape(volatility)
    drawn = backtest.day_moves(normal, np.eye(2), law)
    assert drawn.std(axis=0) == pytest.approx(volatility / np.sqrt(365), rel=0.01)
    assert normal == pytest.approx(volatility * np.sqrt(0.7))


def test_every_law_says_all_its_numbers():
    assert laws.calibrated("two-speed-t5").record() == {
        "name": "two-speed-t5",
        "law": "StudentT",
        "nu": 5.0,
        "half_lives_hours": [24.0, 2160.0],
        "weights": [0.6, 0.4],
        "week": [1.11, 1.11, 1.11, 1.11, 1.11, 0.65, 0.79],
    }
    assert laws.calibrated("normal").record()["half_lives_hours"] == pytest.approx([268.85], abs=0.01)
    assert laws.calibrated("two-speed-jumps").record()["intensity"] == 36.5
    with pytest.raises(InputError, match=r"expected one of normal, t4, .* found .gauss."):
        laws.calibrated("gauss")


def test_a_held_book_repays_what_the_rules_say_when_the_day_brought_the_fall():
    """10 ETH at 2,000 against 16,000 USDC: 3.6 % down is health 1; at 1,900 a call repays half, 8,000."""
    returns = np.zeros((96, 1))
    returns[30, 0], returns[31, 0] = np.log(0.95), -np.log(0.95)
    returns[60, 0] = np.log(0.97)
    book = one_account(price=2_000.0)
    assert backtest.liquidated(book, [0, -1], returns, [23, 47]) == pytest.approx([8_000.0, 0.0])
    assert backtest.liquidated(book, [-1, 0], returns, [23]).tolist() == [0.0]  # the debt's price alone moved, and fell


@pytest.mark.parametrize("name", ["normal", "two-speed-t5", "bootstrap"])
def test_liquidations_at_risk_are_those_of_a_run_and_know_nothing_of_the_day(name):
    """Wild days put LaR where the position is closed half; calm days leave nothing to repay."""
    n = 24 * 30
    calm, wild = moves(n)[:, :1] / 100, moves(n)[:, :1] * 3
    ends, book, law = hours(n), one_account(price=2_000.0), law_called(name)
    days = backtest.starts(ends, 24 * 20)

    def at_risk(returns: np.ndarray) -> np.ndarray:
        return backtest.liquidations_at_risk(book, [0, -1], returns, ends, days, law, n_paths=256)

    assert (at_risk(calm) == 0).all()
    assert (at_risk(wild) >= 8_000).all()
    other = calm.copy()
    other[days[3] + 1 :] = wild[days[3] + 1 :]
    assert (at_risk(other)[:4] == 0).all()
    assert (at_risk(other)[4:, 1] > 0).any()


def clusters(n: int) -> np.ndarray:
    """(n, 2) hourly returns whose variance follows them, with common innovations."""
    rng, out, v = np.random.default_rng(12), np.empty((n, 2)), np.full(2, 3e-5)
    for hour in range(n):
        out[hour] = np.sqrt(v) * (0.8 * rng.standard_normal() + 0.6 * rng.standard_normal(2))
        v = 6e-7 + 0.08 * out[hour] ** 2 + 0.9 * v
    return out


def test_a_bootstrap_of_the_past_has_the_quantiles_of_sums_of_its_blocks():
    """The VaR of one asset against 24 consecutive hours drawn by a plain loop: blocks end with chance 1/24 an hour."""
    n = 24 * 120
    returns, ends = clusters(n)[:, :1], hours(n)
    day = backtest.starts(ends, 24 * 110)[:1]
    found = backtest.value_at_risk(returns, ends, [[1.0]], day, law_called("bootstrap"))[0, 0]
    past, rng = returns[: day[0] + 1, 0], np.random.default_rng(1)
    sums = np.empty(20_000)
    for k in range(len(sums)):
        row, total = rng.integers(len(past)), 0.0
        for _ in range(24):
            total += past[row]
            row = rng.integers(len(past)) if rng.random() < 1 / 24 else (row + 1) % len(past)
        sums[k] = total
    lost = -np.expm1(sums - 24 * past.mean() - 12 * past.var())
    # Both are samples: a quantile's standard error is sqrt(p (1 - p) / N) over the density, here 1.5 to 3 %.
    assert found == pytest.approx(np.quantile(lost, [0.95, 0.99]), rel=0.08)


def test_garch_forecasts_todays_volatility_and_fits_anew_every_twenty_days():
    """At one step the deviation of the day is that of the term structure; a fit is to the year before, not later."""
    pytest.importorskip("arch")
    n = 24 * 140
    returns, ends = clusters(n), hours(n)
    days = backtest.starts(ends, 24 * 100)
    shapes = list(backtest.calibrations(returns, ends, days, law_called("garch")))
    for k in (0, 19, 20):
        volatility, _, law = shapes[k]
        begin = days[k - k % 20]
        fits = [garch.fit(column[: begin + 1]) for column in returns.T]
        assert law.alpha == pytest.approx([fit.alpha for fit in fits])
        past = returns[: days[k] + 1]
        ahead = [garch.variance_path(c, fit, fit.long_run)[-1] for c, fit in zip(past.T, fits, strict=True)]
        assert volatility == pytest.approx(np.sqrt(8760 * np.array(ahead)))
        drawn = backtest.day_moves(volatility, np.eye(2), law).std(axis=0)
        expected = [np.sqrt(24 * garch.term_structure(f, v, [24])[0]) for f, v in zip(fits, ahead, strict=True)]
        assert drawn == pytest.approx(expected, rel=0.03)
    assert shapes[19][2].alpha == shapes[0][2].alpha != shapes[20][2].alpha


def test_one_day_moves_of_a_law_without_a_rule_are_refused():
    with pytest.raises(InputError, match="no one-day moves are known of OrnsteinUhlenbeck"):
        backtest.day_moves(np.array([0.1]), np.eye(1), OrnsteinUhlenbeck([1.0]))
