"""Tail figures: by hand, against closed forms, and honest about few draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import risk_core as rc
from risk_core.measures import quantile, tail_mean
from tests.markets import one_account, scenario


def test_quantile_and_tail_mean_of_one_to_a_thousand():
    sample = np.random.default_rng(0).permutation(np.arange(1.0, 1001.0))
    assert quantile(sample, 0.99).value == 990.0
    assert tail_mean(sample, 0.99).value == pytest.approx(np.mean(np.arange(991, 1001)))
    assert tail_mean(sample, 0.95).value == pytest.approx(np.mean(np.arange(951, 1001)))


def test_a_boundary_draw_counts_with_its_fraction():
    """40 draws at 0.99: the tail is 0.4 of a draw, all of it in the largest."""
    assert tail_mean(np.arange(40.0), 0.99).value == 39.0
    assert tail_mean(np.arange(150.0), 0.99).value == pytest.approx((149 + 0.5 * 148) / 1.5)


def test_few_draws_are_said():
    sample = np.zeros(10_000)
    sample[:29] = 1.0
    assert tail_mean(sample, 0.99).few_draws
    assert quantile(sample, 0.99).value == 0.0
    sample[:40] = 1.0
    assert not tail_mean(sample, 0.99).few_draws


@pytest.mark.statistical
def test_intervals_cover_the_truth_as_often_as_they_say():
    """Seed 5, 600 samples of 4,000 normals: coverage of the 95 % intervals within 4 standard errors of a share."""
    rng = np.random.default_rng(5)
    level, n, rounds = 0.99, 4_000, 600
    true_quantile = norm.ppf(level)
    true_tail = norm.pdf(true_quantile) / (1 - level)
    hits = np.zeros(2)
    for _ in range(rounds):
        sample = rng.normal(size=n)
        for i, (estimate, truth) in enumerate(
            [(quantile(sample, level), true_quantile), (tail_mean(sample, level), true_tail)]
        ):
            hits[i] += estimate.low <= truth <= estimate.high
    tolerance = 4 * np.sqrt(0.95 * 0.05 / rounds)
    assert hits[0] / rounds == pytest.approx(0.95, abs=tolerance + 0.01)  # order statistics cover a little more
    assert hits[1] / rounds == pytest.approx(0.95, abs=tolerance)


def test_probability_of_loss_has_wilsons_interval():
    """0 of 20,000: the upper end is 0.0192 %, as published for this case."""
    result = rc.simulate(one_account(debt=1_000.0), scenario(2, 1, volatility=0.01), 20_000)
    estimate = rc.measures.probability_of_loss(result)
    assert estimate.value == 0.0
    assert estimate.low == pytest.approx(0.0, abs=1e-12)
    assert round(estimate.high * 100, 4) == 0.0192


def test_measures_read_the_column_they_are_asked_for():
    result = rc.simulate(one_account(fee=0.1), scenario(2, 4), 500)
    repaid, seized = (rc.measures.lar(result, 0.5, of=of).value for of in ("repaid", "seized"))
    assert repaid > 0
    assert seized == pytest.approx(repaid * 1.045, rel=0.02)  # bonus of 5 %, a tenth of it to the treasury
    assert rc.measures.mean(result).value == pytest.approx(result.repaid_usd.mean())
    with pytest.raises(rc.InputError, match="of: expected one of repaid"):
        rc.measures.lar(result, of="profit")
    with pytest.raises(rc.InputError, match="level: expected a number between 0 and 1"):
        rc.measures.lar(result, 99)


def test_the_fan_ends_in_the_exact_quantile_and_never_falls():
    result = rc.simulate(one_account(debt=14_000.0), scenario(2, 24), 2_000)
    fan = result.fan_usd()
    assert fan.shape == (24, 3)
    assert fan[-1, 2] == rc.measures.lar(result, 0.99).value
    assert (np.diff(fan[:-1], axis=0) >= 0).all()
    assert (np.diff(fan, axis=1) >= 0).all()
    middle = np.quantile(result.repaid_usd, 0.99, method="inverted_cdf")
    assert fan[-2, 2] <= middle * 1.016


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "quasi"])
def test_without_a_loss_the_interval_begins_at_nothing_exactly(sampling):
    """Rounding of Wilson's formula left 2e-19; with a loss on every path the upper end is 1."""
    market = one_account(collateral=1_000.0, debt=100.0)
    result = rc.simulate(market, replace(scenario(2, 1, volatility=0.01), sampling=sampling), n_paths=1_024)

    none = rc.measures.probability_of_loss(result)
    assert (none.value, none.low) == (0.0, 0.0)
    assert 0.0 < none.high < 0.01
    every = rc.measures.probability_of_loss(result, above=-1.0)
    assert (every.value, every.high) == (1.0, 1.0)
    assert 0.99 < every.low < 1.0
