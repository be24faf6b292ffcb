"""Coverage tests and scores against hand values, published values, and what a right forecast does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics import backtests as bt


def test_an_exception_is_a_loss_above_its_forecast_and_not_one_equal_to_it():
    assert bt.exceptions([1.0, 2.0, 3.0], [1.0, 1.5, 4.0]).tolist() == [False, True, False]


def test_returns_given_for_losses_are_refused():
    with pytest.raises(rc.InputError, match="change the sign"):
        bt.exceptions([0.1, 0.2], [-0.05, -0.04])


@pytest.mark.parametrize(("x", "n", "statistic"), [(5, 250, 1.9568097882306779), (10, 250, 12.955491062356042)])
def test_kupiec_gives_the_recomputed_values(x: int, n: int, statistic: float):
    assert bt.kupiec(x, n, 0.99).statistic == pytest.approx(statistic, rel=1e-9)


def test_no_exception_in_255_days_is_too_safe_though_the_printed_table_accepts_it():
    found = bt.kupiec(0, 255, 0.99)
    assert found.statistic == pytest.approx(-2 * 255 * np.log(0.99))
    assert found.rejects(0.05)


def test_exceptions_in_a_row_are_told_from_isolated_ones():
    row, apart = np.zeros(250, bool), np.zeros(250, bool)
    row[100:105] = True
    apart[[10, 60, 110, 160, 210]] = True
    assert bt.coverage(row, 0.99).transitions == ((243, 1), (1, 4))
    assert bt.independence(row).statistic == pytest.approx(30.98481265704308)
    assert bt.independence(apart).statistic == pytest.approx(0.20493237652149787)
    assert bt.coverage(row, 0.99).kupiec == bt.coverage(apart, 0.99).kupiec
    assert bt.coverage(row, 0.99).conditional.rejects()
    assert not bt.coverage(apart, 0.99).conditional.rejects()


def test_the_direction_of_the_transition_matrix():
    """An exception, then none: day 0 is the exception, so the pair counts under n10."""
    assert bt.transitions([True, False]) == ((0, 0), (1, 0))


@pytest.mark.parametrize(("x", "zone"), [(0, "green"), (4, "green"), (5, "yellow"), (9, "yellow"), (10, "red")])
def test_traffic_light(x: int, zone: str):
    assert bt.traffic_light(x, 250) == zone


def test_multipliers_rise_and_stop():
    assert [bt.multiplier(x) for x in (0, 4, 5, 9, 10, 99)] == [1.5, 1.5, 1.7, 1.92, 2.0, 2.0]


@given(st.lists(st.booleans(), min_size=2, max_size=300))
def test_statistics_are_never_negative_and_probabilities_are_probabilities(hits: list[bool]):
    found = bt.coverage(hits, 0.95)
    for test in (found.kupiec, found.independence, found.conditional):
        assert test.statistic >= 0
        assert 0 <= test.p_value <= 1
    assert found.conditional.statistic == pytest.approx(found.kupiec.statistic + found.independence.statistic)
    (a, b), (c, d) = found.transitions
    assert a + b + c + d == len(hits) - 1


def test_pinball_by_hand():
    np.testing.assert_allclose(bt.pinball_loss([3.0, 1.0], [2.0, 2.0], 0.9), [0.9, 0.1])


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(-100, 100))
def test_crps_equals_its_definition(samples: list[float], outcome: float):
    x = np.array(samples)
    slow = np.abs(x - outcome).mean() - np.abs(x[:, None] - x[None, :]).mean() / 2
    assert bt.crps(x, outcome) == pytest.approx(slow, abs=1e-9)


def test_crps_of_a_normal_forecast_by_its_quantiles_is_the_published_form():
    """Gneiting and Raftery 2007, equation 21: y (2 Phi(y) - 1) + 2 phi(y) - 1 / sqrt(pi)."""
    from scipy.stats import norm

    quantiles = norm.ppf(bt.middle_levels(4_000))
    for y in (0.0, 0.7, -2.0):
        exact = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
        assert bt.crps_of_quantiles(quantiles, y) == pytest.approx(exact, abs=2e-4)


def test_crps_of_two_quantiles_by_hand():
    """Levels 0.25 and 0.75; 3 above both: (0.25 x 3 + 0.75 x 2), twice their mean."""
    assert bt.middle_levels(2).tolist() == [0.25, 0.75]
    assert bt.crps_of_quantiles([0.0, 1.0], 3.0) == pytest.approx(2.25)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(-100, 100))
def test_crps_of_quantiles_is_that_of_the_same_sample(samples: list[float], outcome: float):
    assert bt.crps_of_quantiles(sorted(samples), outcome) == pytest.approx(bt.crps(samples, outcome), abs=1e-9)


def test_where_an_outcome_lies_by_hand():
    """Days without any: 3 of 4 quantiles are 0, so nothing lies in the middle of the first three quarters."""
    assert [bt.pit([0.0, 0.0, 0.0, 5.0], y) for y in (0.0, 2.0, 5.0, 9.0)] == [0.375, 0.75, 0.875, 1.0]


def test_places_of_right_forecasts_are_uniform_and_of_timid_ones_are_not():
    outcomes = np.random.default_rng(5).normal(size=400)
    from scipy.stats import norm

    right, timid = (scale * norm.ppf(bt.middle_levels(200)) for scale in (1.0, 0.5))
    assert bt.uniformity([bt.pit(right, y) for y in outcomes]) > 0.05
    assert bt.uniformity([bt.pit(timid, y) for y in outcomes]) < 0.001


@pytest.mark.parametrize(
    ("quantiles", "words"), [([], "at least one"), ([1.0, 0.5], "entry 1 is 0.5, below"), ([float("nan")], "finite")]
)
def test_quantiles_that_are_none_are_refused(quantiles, words):
    with pytest.raises(rc.InputError, match=words):
        bt.pit(quantiles, 0.0)
    with pytest.raises(rc.InputError, match=words):
        bt.crps_of_quantiles(quantiles, 0.0)


def test_a_true_quantile_has_the_least_expected_pinball_loss():
    losses = np.random.default_rng(1).normal(size=200_000)
    scores = [bt.pinball_loss(losses, np.full(len(losses), q), 0.95).mean() for q in (1.3, 1.645, 2.0)]
    assert scores[1] == min(scores)


def test_wealth_against_a_right_shortfall_stays_small_and_against_half_of_it_grows():
    rng = np.random.default_rng(3)
    losses = rng.normal(size=2000)
    var, es = 1.6448536, 2.0627128
    right = [
        bt.evidence_against_es(rng.normal(size=500), np.full(500, var), np.full(500, es), 0.95)[-1] for _ in range(200)
    ]
    assert np.mean(np.array(right) >= 20) <= 0.05
    wrong = bt.evidence_against_es(losses, np.full(2000, var), np.full(2000, var + (es - var) / 3), 0.95)
    assert wrong[-1] > 20


def test_a_shortfall_below_its_value_at_risk_is_refused():
    with pytest.raises(rc.InputError, match=r"es_forecasts: entry 1"):
        bt.evidence_against_es([0.0, 0.0], [1.0, 1.0], [2.0, 0.5], 0.95)


@pytest.mark.parametrize("level", [0.0, 1.0, float("nan"), "0.95", None])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(rc.InputError, match="level"):
        bt.kupiec(1, 10, level)
