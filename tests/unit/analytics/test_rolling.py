"""Rolling value-at-risk by hand, by what must hold, and against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics.rolling import METHODS, term_structure, value_at_risk


def test_historical_by_hand():
    """Of 30 losses 0.1 to 3.0 %, 95 % are 28.5: the 29th smallest, 2.9 %; the tail is (2.9 + 3.0) / 2."""
    returns = -np.random.default_rng(1).permutation(np.arange(1, 31)) / 1000
    var, es = value_at_risk(returns)
    assert np.isnan(var[:29]).all()
    assert var[29] == pytest.approx(29_000)
    assert es[29] == pytest.approx(29_500)


@given(st.lists(st.floats(-0.5, 0.5), min_size=20, max_size=60), st.sampled_from(METHODS))
def test_shortfall_is_at_least_the_value_at_risk_and_both_scale_with_the_position(returns, method):
    var, es = value_at_risk(returns, window=20, method=method, position=1.0)
    twice, _ = value_at_risk(returns, window=20, method=method, position=2.0)
    np.testing.assert_allclose(twice, 2 * var)
    assert (es[19:] >= var[19:] - 1e-12).all()


@given(st.lists(st.floats(-0.2, 0.2), min_size=25, max_size=40))
def test_historical_equals_a_slow_twin(returns):
    var, es = value_at_risk(returns, window=25, level=0.9, position=1.0)
    for t in range(24, len(returns)):
        losses = sorted(-r for r in returns[t - 24 : t + 1])
        value = next(loss for i, loss in enumerate(losses, 1) if i >= 0.9 * 25 - 1e-9)
        assert var[t] == pytest.approx(value)
        assert es[t] == pytest.approx(np.mean([loss for loss in losses if loss >= value]))


def test_a_forecast_does_not_see_the_day_it_is_for():
    returns = np.random.default_rng(2).normal(0, 0.02, 80)
    changed = returns.copy()
    changed[60:] = -0.5
    for method in METHODS:
        before, after = value_at_risk(returns, method=method)[0], value_at_risk(changed, method=method)[0]
        np.testing.assert_array_equal(before[:60], after[:60])
        assert after[60] > before[60]


def test_ewma_of_a_normal_series_has_the_normal_quantile():
    returns = np.random.default_rng(4).normal(0, 0.02, 5000)
    var, es = value_at_risk(returns, method="ewma", level=0.99, position=1.0, decay=0.999, window=500)
    assert var[-1] == pytest.approx(0.02 * 2.326, rel=0.05)
    assert es[-1] / var[-1] == pytest.approx(2.665 / 2.326, rel=1e-3)


def test_a_window_without_a_tail_is_refused():
    with pytest.raises(rc.InputError, match="expected at least 100"):
        value_at_risk(np.zeros(200), window=30, level=0.99)


@pytest.mark.parametrize("returns", [[float("nan")] * 30, [-1.5] * 30, ["0.1"] * 30])
def test_returns_that_none_can_be_are_refused(returns):
    with pytest.raises(rc.InputError, match="returns"):
        value_at_risk(returns)


def test_a_return_of_minus_one_is_the_whole_position_and_less_is_none():
    var, es = value_at_risk([-1.0, -1.0], window=2, level=0.5, position=100.0)
    assert (var[-1], es[-1]) == (100.0, 100.0)
    with pytest.raises(rc.InputError, match=r"returns: entry 1 is -1.01; must be a fraction of at least -1"):
        value_at_risk([-1.0, -1.01])


def test_term_structure_is_flat_for_independent_returns_and_zero_for_a_back_and_forth():
    returns = np.random.default_rng(5).normal(0, 0.01, 50_000)
    np.testing.assert_allclose(term_structure(returns, [1, 24, 168], 8760), 0.01 * np.sqrt(8760), rtol=0.1)
    assert term_structure(np.tile([0.01, -0.01], 100), [2], 8760)[0] == pytest.approx(0.0)
