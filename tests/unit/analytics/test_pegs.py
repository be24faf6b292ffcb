"""Time-weighted statistics, status and episodes of a peg, by hand and against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics import pegs

HOUR = 3600


def test_a_price_weighs_the_time_that_it_stood():
    """1.00 for 18 hours, 0.96 for 6: the mean is 0.99, whatever the number of rows."""
    times = [0, *range(18 * HOUR, 24 * HOUR, 60), 24 * HOUR]
    prices = [1.0] + [0.96] * (len(times) - 2) + [1.0]
    found = pegs.rolling(times, prices, least_updates=2)
    assert found.mean[-1] == pytest.approx(0.99)
    assert found.deviation[-1] == pytest.approx(0.04 * np.sqrt(0.75 * 0.25), rel=2e-3)


def test_a_feed_that_updates_once_a_day_has_no_score_of_a_day():
    times = np.arange(30) * 24 * HOUR
    found = pegs.rolling(times, 1 + 0.001 * np.sin(np.arange(30)))
    assert np.isnan(found.z).all()
    assert found.updates[-1] == 1


def test_a_price_that_did_not_move_has_no_score():
    found = pegs.rolling(np.arange(50) * HOUR, np.ones(50))
    assert np.isnan(found.z).all()
    assert found.mean[-1] == 1.0


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.floats(0.9, 1.1)), min_size=3, max_size=40), st.integers(100, 20_000)
)
def test_equals_a_sum_over_seconds(steps: list[tuple[int, float]], window: int):
    times = np.cumsum([gap for gap, _ in steps])
    prices = np.array([price for _, price in steps])
    found = pegs.rolling(times, prices, window=window, least_updates=2)
    for i in range(len(times)):
        start = times[i] - window
        if start < times[0]:
            assert np.isnan(found.mean[i])
            continue
        stood = [max(0, min(times[k + 1], times[i]) - max(times[k], start)) if k < i else 0 for k in range(len(times))]
        if not np.isnan(found.mean[i]):
            mean = np.average(prices, weights=stood)
            assert found.mean[i] == pytest.approx(mean, abs=1e-9)


def test_critical_wants_two_updates_or_a_second_source():
    times, prices = [0, 60, 120, 180], [1.0, 0.97, 0.97, 0.994]
    assert pegs.status(times, prices) == ["healthy", "warning", "critical", "warning"]
    assert pegs.status(times, prices, confirmed=[False, True, False, False])[1] == "critical"
    assert pegs.status([0, 1], [0.98, 0.98])[1] == "critical"  # 200 basis points are critical, 50 a warning
    assert pegs.status([0], [1.005]) == ["warning"]


def test_an_episode_has_depth_duration_and_half_life():
    times = np.arange(10) * HOUR
    prices = [1.0, 0.99, 0.90, 0.94, 0.96, 0.999, 1.0, 1.0, 1.0, 0.99]
    first, last = pegs.episodes(times, prices, calm=2 * HOUR)
    assert (first.began, first.ended, first.deepest) == (HOUR, 5 * HOUR, 2 * HOUR)
    assert first.depth == pytest.approx(-0.10)
    assert first.half_life == 2 * HOUR  # 0.96 is within half of 10 %
    assert first.duration == 4 * HOUR
    assert (last.began, last.ended, last.half_life) == (9 * HOUR, None, None)


def test_a_short_calm_does_not_end_an_episode():
    times, prices = np.arange(5) * HOUR, [0.98, 1.0, 0.98, 1.0, 1.0]
    assert len(pegs.episodes(times, prices, calm=HOUR * 2)) == 1
    assert len(pegs.episodes(times, prices, calm=0)) == 2


@pytest.mark.parametrize(
    ("times", "prices", "field"),
    [
        ([0, 0], [1.0, 1.0], "times"),
        ([5, 1], [1.0, 1.0], "times"),
        ([0, 1], [1.0, -1.0], "prices"),
        ([0, 1], [1.0, float("nan")], "prices"),
        ([0.5, 1], [1.0, 1.0], "times"),
        ([0, 1], ["1", "1"], "prices"),
    ],
)
def test_series_that_none_can_be_are_refused(times, prices, field):
    with pytest.raises(rc.InputError, match=field):
        pegs.rolling(times, prices)


def test_another_source_confirms_while_its_price_holds_and_on_its_own_side_only():
    times, prices = [0, 100, 200], [0.98, 0.97, 1.0]
    agreed = pegs.confirmed(times, prices, [([0], [0.98], 150), ([150], [0.5], 100)])
    assert agreed.tolist() == [True, True, False]  # at 200 the price stands at its peg: there is no side to agree on
    assert pegs.confirmed([100], [0.97], [([0], [0.98], 50), ([101], [0.5], 50), ([90], [1.03], 50)]).tolist() == [
        False
    ]
    assert pegs.confirmed([0], [0.9], []).tolist() == [False]
