"""One forecast against another: the paired t test is its closed form; a fair pair is rejected as often as stated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from risk_core import InputError
from risk_core.analytics import accuracy, backtests


def test_without_lags_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    one, two = rng.exponential(size=200), rng.exponential(1.1, size=200)
    found = accuracy.loss_difference(one, two)
    witness = ttest_rel(one, two)

    assert found is not None
    assert found.statistic == pytest.approx(witness.statistic)
    assert found.p_value == pytest.approx(witness.pvalue)
    interval = witness.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    other = accuracy.loss_difference(two, one)
    assert other is not None
    assert (other.mean, other.low) == pytest.approx((-found.mean, -found.high))


def test_lags_by_hand() -> None:
    """Differences 1, -1, 1, -1, ... cancel: with one lag the variance is 100 - 99 of 100 squares."""
    one = np.tile([1.0, -1.0], 50)
    plain = accuracy.loss_difference(one, np.zeros(100))
    lagged = accuracy.loss_difference(one, np.zeros(100), lags=1)
    assert plain is not None
    assert lagged is not None
    # Half width: t times the root of (sum of squares + 2 x 1/2 x autocovariance at lag 1) / (n (n - 1)).
    assert (lagged.high / plain.high) ** 2 == pytest.approx((100 - 99) / 100)


@pytest.mark.statistical
def test_equal_forecasts_are_rejected_as_often_as_stated() -> None:
    rng = np.random.default_rng(8)
    p = []
    for _ in range(400):
        lost = rng.standard_t(5, size=250)
        one, two = 2 + rng.normal(0, 0.3, 250), 2 + rng.normal(0, 0.3, 250)
        found = accuracy.loss_difference(*(backtests.pinball_loss(lost, q, 0.95) for q in (one, two)))
        assert found is not None
        p.append(found.p_value)
    share = float(np.mean(np.array(p) < 0.05))
    assert abs(share - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400)


def test_a_forecast_that_is_always_too_low_is_clearly_worse() -> None:
    rng = np.random.default_rng(1)
    lost = rng.normal(size=500)
    low, right = (backtests.pinball_loss(lost, np.full(500, q), 0.95) for q in (0.5, 1.645))
    found = accuracy.loss_difference(low, right)
    assert found is not None
    assert found.clear
    assert found.mean > 0


def test_few_days_and_equal_losses_are_not_judged() -> None:
    assert accuracy.loss_difference(np.ones(29), np.zeros(29)) is None
    assert accuracy.loss_difference(np.ones(40), np.ones(40)) is None
    always = accuracy.loss_difference(np.ones(40), np.zeros(40))
    assert always is not None
    assert (always.mean, always.low, always.high, always.p_value) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("one", "two", "lags", "words"),
    [
        ([1.0, np.nan], [1.0, 2.0], 0, "first"),
        ([1.0, 2.0], [1.0], 0, "second"),
        ([1.0, 2.0], [1.0, 3.0], 2, "lags"),
        ([1.0, 2.0], [1.0, 3.0], -1, "lags"),
    ],
)
def test_bad_losses_are_refused_by_name(one: list[float], two: list[float], lags: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        accuracy.loss_difference(one, two, lags)
