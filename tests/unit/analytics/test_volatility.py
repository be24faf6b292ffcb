"""Two-speed volatility with a quiet weekend: the recursion by hand, and nothing of the future in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_core import InputError
from risk_core.analytics import volatility as v

MONDAY = 1_609_718_400  # 2021-01-04 00:00 UTC
ONE_SPEED = v.Memory(half_lives=(24.0,), weights=(1.0,))


def hours(n: int, first: int = MONDAY + v.HOUR) -> np.ndarray:
    return first + v.HOUR * np.arange(n, dtype=np.int64)


def test_the_hour_that_ends_at_midnight_belongs_to_the_day_before():
    saturday = MONDAY + 5 * v.DAY
    assert v.weekday_factor([saturday, saturday + 1, saturday + v.DAY, saturday + v.DAY + v.HOUR]).tolist() == [
        1.11,
        0.65,
        0.65,
        0.79,
    ]


def test_a_window_counts_each_day_by_its_length():
    friday_noon = MONDAY + 4 * v.DAY + v.DAY // 2
    assert v.mean_weekday_factor(friday_noon, v.DAY) == pytest.approx((1.11 + 0.65) / 2)
    assert v.mean_weekday_factor(MONDAY, v.DAY) == pytest.approx(1.11)
    for begin in (MONDAY, friday_noon):
        assert v.mean_weekday_factor(begin, 14 * v.DAY) == pytest.approx((5 * 1.11 + 0.65 + 0.79) / 7)
    assert v.mean_weekday_factor(MONDAY, 9 * v.DAY) == pytest.approx((7 * 1.11 + 0.65 + 0.79) / 9)


def test_the_mean_over_a_window_is_the_mean_over_its_hours():
    begin = MONDAY + 3 * v.DAY + 7 * v.HOUR
    for n in (1, 24, 40, 168, 500):
        by_hour = v.weekday_factor(hours(n, begin + v.HOUR)).mean()
        assert v.mean_weekday_factor(begin, n * v.HOUR) == pytest.approx(by_hour)


def test_a_shock_after_calm_decays_by_half_in_a_half_life():
    calm = 24 * 40  # 40 half-lives: what came before the calm is forgotten
    returns = np.full((calm + 25, 1), 0.01)
    returns[calm] = 0.11
    path = v.variance_path(returns, hours(len(returns)), ONE_SPEED)[:, 0]
    excess = path - 1e-4
    assert np.abs(excess[:calm]).max() < 1e-12
    assert excess[calm] == pytest.approx((1 - 2 ** (-1 / 24)) * (0.0121 - 1e-4))
    assert excess[calm + 24] == pytest.approx(excess[calm] / 2)


def test_two_speeds_add_by_their_weights_over_the_weekday_factor():
    """The definition of the module's head, term by term."""
    returns = np.random.default_rng(3).normal(0, 0.01, (300, 2))
    ends = hours(300)
    s = np.array(
        [
            0.65 if (end - 1 - MONDAY) // v.DAY % 7 == 5 else 0.79 if (end - 1 - MONDAY) // v.DAY % 7 == 6 else 1.11
            for end in ends
        ]
    )
    x = returns / np.sqrt(s)[:, None]
    for last in (0, 1, 299):
        age = last - np.arange(last + 1)
        fast, slow = (np.average(x[: last + 1] ** 2, axis=0, weights=0.5 ** (age / half)) for half in (24, 2160))
        assert v.variance_path(returns, ends)[last] == pytest.approx(0.6 * fast + 0.4 * slow)


@given(st.integers(2, 400), st.integers(0, 399), st.sampled_from([v.TWO_SPEED, ONE_SPEED]))
def test_later_returns_change_nothing_before_them(n, at, memory):
    at = min(at, n - 1)
    returns = np.random.default_rng(n).normal(0, 0.01, (n, 1))
    other = returns.copy()
    other[at:] = 0.3
    before, after = (v.variance_path(r, hours(n), memory) for r in (returns, other))
    assert (before[:at] == after[:at]).all()
    assert (
        v.standardised(returns, hours(n), memory)[: max(at - 1, 0)]
        == v.standardised(other, hours(n), memory)[: max(at - 1, 0)]
    ).all()


def test_standardised_returns_of_a_quiet_week_with_quiet_weekends_have_one_size():
    n = 24 * 7 * 60
    ends = hours(n)
    returns = (0.01 * np.sqrt(v.weekday_factor(ends)) * np.where(np.arange(n) % 2, 1, -1))[:, None]
    assert np.abs(v.standardised(returns, ends)) == pytest.approx(1.0)
    assert v.annual_volatility(v.variance_path(returns, ends)[-1]) == pytest.approx(0.01 * np.sqrt(8760))


def test_a_price_that_stood_still_has_no_deviation_to_be_measured_by():
    still = np.zeros((300, 1))
    assert (v.standardised(still, hours(300)) == 0).all()
    assert v.annual_volatility(v.variance_path(still, hours(300))[-1], floor=0.005).tolist() == [0.005]


def test_what_makes_no_sense_is_refused_by_name():
    with pytest.raises(InputError, match="entry 1, 0 is nan"):
        v.variance_path([[0.1], [np.nan]], hours(2))
    with pytest.raises(InputError, match="at least 2 rows"):
        v.variance_path([[0.1]], hours(1))
    with pytest.raises(InputError, match=r"week: entry 6 is 0.0; must be a positive variance factor"):
        v.weekday_factor(hours(2), (1.0, 1, 1, 1, 1, 1, 0))
    with pytest.raises(InputError, match="seconds"):
        v.mean_weekday_factor(MONDAY, 0)
    with pytest.raises(InputError, match="one weight for each half-life"):
        v.variance_path([[0.1], [0.1]], hours(2), v.Memory((24.0,), (0.5, 0.5)))
