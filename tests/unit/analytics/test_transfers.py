"""Volumes against the usual hour: by hand, and against a slow twin."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from risk_core.analytics.transfers import usual
from risk_core.errors import InputError


def test_six_days_by_hand():
    """The hour before: 10, 12, 14, 16, 30; median 14, distances 4, 2, 0, 2, 16, median 2, times 1.4826."""
    v = np.zeros((6 * 24, 1))
    v[7::24, 0] = [10, 12, 14, 16, 30, 25]
    found = usual(v)
    at = 5 * 24 + 7
    assert (found.median[at, 0], found.days[at, 0]) == (14, 5)
    assert found.deviation[at, 0] == pytest.approx(2 * 1.4826)
    assert found.score[at, 0] == pytest.approx(11 / 2.9652)
    assert found.unusual()[at, 0]
    assert found.unusual().sum() == 1
    assert np.isnan(found.score[4 * 24 + 7, 0])  # four days are too few


def test_floors():
    """Five equal days: one transfer more is one deviation, and 5 % of the median is the deviation of a busy token."""
    v = np.tile([4.0, 1_000.0], (6 * 24, 1))
    v[-1] += [1, 100]
    assert usual(v).score[-1].tolist() == [1, 2]
    assert np.isnan(usual(v, least=0, least_share=0).score[-1]).all()


def test_an_unknown_hour_is_neither_zero_nor_part_of_the_usual():
    v = np.tile(8.0, (7 * 24, 1))
    v[24, 0] = np.nan
    v[-24, 0] = np.nan
    found = usual(v)
    assert found.days[-24, 0] == 5
    assert found.median[-24, 0] == 8
    assert np.isnan(found.score[-24, 0])


@pytest.mark.parametrize("hours", [0, 1, 24, 25])
def test_a_short_history_has_no_score(hours: int):
    assert np.isnan(usual(np.ones((hours, 2))).score).all()


@pytest.mark.parametrize("wrong", [-1.0, np.inf])
def test_what_is_no_volume_is_refused(wrong: float):
    v = np.zeros((30, 2))
    v[26, 1] = wrong
    with pytest.raises(InputError, match="entry 26, 1 is"):
        usual(v)


@pytest.mark.property
@given(
    arrays(np.float64, (24 * 8 + 5, 1), elements=st.one_of(st.integers(0, 50).map(float), st.just(np.nan))),
    st.integers(1, 9),
)
def test_the_same_as_the_slow_twin(v: np.ndarray, days: int):
    found = usual(v, days=days, least_days=1)
    for hour in range(0, len(v), 7):
        past = [v[hour - 24 * d, 0] for d in range(1, days + 1) if hour >= 24 * d]
        past = [x for x in past if not np.isnan(x)]
        assert found.days[hour, 0] == len(past)
        if not past:
            assert np.isnan(found.median[hour, 0])
            continue
        median = statistics.median(past)
        spread = max(1.4826 * statistics.median(abs(x - median) for x in past), 1.0, 0.05 * median)
        assert found.median[hour, 0] == pytest.approx(median)
        assert found.deviation[hour, 0] == pytest.approx(spread)
