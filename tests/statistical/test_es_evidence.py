"""The bet against an expected shortfall: how often it condemns a right forecast, whenever one stops to look."""

from __future__ import annotations

import numpy as np
import pytest

from risk_core.analytics.backtests import evidence_against_es

pytestmark = pytest.mark.statistical

SEED, LAWS, DAYS, LEVEL, ALARM = 20_260_822, 1_000, 250, 0.95, 20.0
MOST = 0.05 + 4 * np.sqrt(0.05 * 0.95 / LAWS)
"""One in twenty, and four standard errors of that share."""


def losses(tail: str) -> tuple[np.ndarray, float, float]:
    """(LAWS, DAYS) losses, and their value-at-risk and expected shortfall at LEVEL in closed form."""
    uniform = np.random.default_rng(SEED).random((LAWS, DAYS))
    if tail == "exponential":
        var = -np.log(1 - LEVEL)
        return -np.log(uniform), var, var + 1
    var = (1 - LEVEL) ** (-1 / 3)  # Pareto with exponent 3: no finite kurtosis
    return uniform ** (-1 / 3), var, 1.5 * var


@pytest.mark.parametrize("tail", ["exponential", "pareto"])
def test_a_right_shortfall_is_condemned_no_more_often_than_stated_at_any_stopping_time(tail):
    """The highest wealth of a whole year counts: whoever stops earlier has seen less."""
    found, var, es = losses(tail)
    of_day = np.ones(DAYS)

    highest = [evidence_against_es(year, var * of_day, es * of_day, LEVEL).max() for year in found]

    assert np.mean(np.array(highest) >= ALARM) <= MOST


def test_the_mean_wealth_of_a_right_shortfall_is_one_whatever_the_day():
    found, var, es = losses("exponential")
    paths = np.array([evidence_against_es(year, np.full(DAYS, var), np.full(DAYS, es), LEVEL) for year in found])

    for day in (9, 49, DAYS - 1):
        error = paths[:, day].std() / np.sqrt(LAWS)
        assert paths[:, day].mean() <= 1 + 4 * error


def test_a_shortfall_a_quarter_as_far_beyond_its_quantile_is_condemned_within_a_year():
    found, var, es = losses("exponential")
    near = var + (es - var) / 4

    highest = [evidence_against_es(year, np.full(DAYS, var), np.full(DAYS, near), LEVEL).max() for year in found[:200]]

    assert np.mean(np.array(highest) >= ALARM) > 0.5
