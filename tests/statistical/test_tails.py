"""Rare deficits by importance sampling against plain Monte Carlo with many more paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import risk_core as rc
from risk_core import tails
from tests.markets import random_market, scenario

pytestmark = pytest.mark.statistical

CASES = {
    "gbm, one step": (1, rc.GBM(), 0.8, 30),
    "gbm, three steps": (3, rc.GBM(), 1.2, 10),
    "gbm, a day of hours": (24, rc.GBM(), 0.8, 1.5),
    "student-t, one step": (1, rc.StudentT(4.0), 0.8, 30),
    "student-t, a day of hours": (24, rc.StudentT(4.0), 0.8, 30),
    "jumps": (3, rc.Jumps(20.0, -0.1, 0.06), 0.5, 5),
}


@pytest.mark.parametrize("case", CASES)
def test_rare_deficits_agree_with_plain_monte_carlo(case):
    """P(deficit > a) near 5 and 0.5 in 1,000: 200,000 plain paths and 10,000 weighted ones agree within 4 standard
    errors of both; the rarer one takes at least the stated number of times fewer paths for the same error."""
    n_steps, law, volatility, least = CASES[case]
    market = random_market(11, "plain", 200)
    plan = replace(scenario(5, n_steps, seed=2, volatility=volatility), law=law)
    deficit = rc.simulate(market, plan, 200_000, seed=99).deficit_usd
    for level in (0.995, 0.9995):
        above = float(np.quantile(deficit, level))
        plain = float((deficit > above).mean())
        estimate = tails.probability_of_deficit(market, plan, above, 10_000, seed=7)
        error = np.hypot(estimate.se, np.sqrt(plain * (1 - plain) / len(deficit)))
        assert abs(estimate.value - plain) < 4 * error
        assert 0 < estimate.value < 0.01
        assert not estimate.few_draws
    assert estimate.variance_reduction > least


def test_the_stated_error_is_the_one_seen_over_seeds():
    """8 tilts and samples of 4,000 paths: squared distances from their common mean, in stated errors, add up to a
    chi-square of 7 degrees of freedom, at four standard errors' worth (3e-5 either side)."""
    market = random_market(11, "plain", 200)
    plan = replace(scenario(5, 4, seed=2, volatility=0.8), law=rc.StudentT(4.0))
    found = [tails.probability_of_deficit(market, plan, 30_000.0, 4_000, seed=seed) for seed in range(8)]
    value, stated = np.array([one.value for one in found]), np.array([one.se for one in found])
    centre = (value / stated**2).sum() / (1 / stated**2).sum()
    distance = (((value - centre) / stated) ** 2).sum()
    assert stats.chi2.ppf(3e-5, 7) < distance < stats.chi2.isf(3e-5, 7)
