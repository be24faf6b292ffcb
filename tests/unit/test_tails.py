"""Importance samples: what they refuse, their shards, and weights that are the likelihood ratio they claim to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import risk_core as rc
from risk_core import tails, tilt_search
from risk_core.price_models import PricePaths
from tests.markets import one_account, random_market, scenario

BOOK = random_market(11, "plain", 60)
TILT = tails.Tilt(
    share=[0.2, 0.5, 0.3],
    shift=[[0] * 5, [-1.0, 0, 0, 0.5, 0], [0, 0.3, 0, 0, 0]],
    burst=[[0] * 5, [0] * 5, [-3.0, 0, 0, 0, 0]],
    thinning=[1, 0.5, 0.7],
    surge=[1, 5, 2],
    jolt=[0, -1, 0.5],
)
LAWS = (rc.GBM(), rc.StudentT(4.0), rc.Jumps(60.0, -0.1, 0.05))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_shards_add_up_to_the_whole_bit_for_bit(law):
    plan = replace(scenario(5), law=law)
    whole = tails.sample(BOOK, plan, TILT, 500, seed=3, threads=2)
    parts = [tails.sample(BOOK, plan, TILT, seed=3, paths=cut) for cut in ((0, 123), (123, 500))]
    joined = parts[0] + parts[1]
    np.testing.assert_array_equal(whole.loss_usd, joined.loss_usd)
    np.testing.assert_array_equal(whole.weight, joined.weight)
    assert whole.probability() == joined.probability()
    with pytest.raises(rc.InputError, match="begins at path 0, expected 500"):
        parts[1] + parts[0]
    with pytest.raises(rc.InputError, match="different tilts"):
        parts[0] + tails.sample(BOOK, plan, tails.Tilt.none(5), seed=3, paths=(123, 200))


def test_without_a_tilt_it_is_plain_monte_carlo():
    plan = scenario(5, volatility=2.0)
    plain = rc.simulate(BOOK, plan, 400, seed=3)
    sample = tails.sample(BOOK, plan, tails.Tilt.none(5), 400, seed=3)
    np.testing.assert_array_equal(sample.loss_usd, plain.deficit_usd)
    assert (sample.weight == 1).all()
    estimate = sample.probability()
    assert estimate.value == rc.measures.probability_of_loss(plain).value
    assert estimate.variance_reduction == pytest.approx(1, rel=0.01)
    assert estimate.effective_draws == pytest.approx(estimate.n_positive)
    assert sample.mean().value == pytest.approx(plain.deficit_usd.mean())


def test_no_weight_exceeds_the_inverse_of_the_plain_share():
    for law in LAWS:
        sample = tails.sample(BOOK, replace(scenario(5), law=law), TILT, 2_000)
        assert sample.weight.max() <= 5 * (1 + 1e-12)
        assert sample.weight.min() > 0


@pytest.mark.statistical
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_weights_give_the_scenario_back(law):
    """40,000 paths: the mean weight is 1, and weighted repayments have their plain mean, within 4 standard errors."""
    plan = replace(scenario(5, 6), law=law)
    sample = tails.sample(BOOK, plan, TILT, 40_000, of="repaid")
    assert abs(sample.weight.mean() - 1) < 4 * sample.weight.std() / 200
    plain = rc.measures.mean(rc.simulate(BOOK, plan, 40_000, seed=99))
    weighted = sample.mean()
    assert abs(weighted.value - plain.value) < 4 * np.hypot(weighted.se, plain.se)


@pytest.mark.statistical
def test_a_rare_deficit_in_closed_form():
    """One account, one step: the deficit shows when ether falls so far that the collateral is worth less than the debt
    and the bonus. 20,000 weighted paths find that chance, 1 in 40,000, within 4 standard errors of 3 %."""
    market = one_account(collateral=10, debt=16_000.0, price=2_400.0, bonus=0.05)
    plan = replace(scenario(2, 1, volatility=1.0), volatility=[2.0, 0.0], correlation=np.eye(2))
    sigma = 2.0 / np.sqrt(365)
    fall = np.log(16_000 * 1.05 / 24_000)
    exact = stats.norm.cdf((fall + sigma**2 / 2) / sigma)
    estimate = tails.probability_of_deficit(market, plan, n_paths=20_000)
    assert 1e-5 < exact < 1e-3
    assert not estimate.few_draws
    assert estimate.se < 0.03 * exact
    assert abs(estimate.value - exact) < 4 * estimate.se
    assert estimate.low < exact < estimate.high
    assert estimate.variance_reduction > 100


def test_where_no_loss_can_be_it_says_plain_and_zero():
    market = one_account(debt=10.0)
    tilt = tails.find_tilt(market, scenario(2), n_paths=100)
    assert len(tilt.share) == 1
    assert tilt.n_pilot == 100 * len(tilt_search.WIDENINGS)
    estimate = tails.probability_of_deficit(market, scenario(2), n_paths=100)
    assert (estimate.value, estimate.n_positive, estimate.few_draws) == (0.0, 0, True)
    assert estimate.no_interval.startswith("no path has a loss")
    assert (estimate.low, estimate.high) == (0.0, 1.0)  # a chance is never above 1


def test_the_same_call_gives_the_same_figure_and_seeds_matter():
    plan = replace(scenario(5), law=rc.StudentT(3.0))
    one, again, other = (tails.probability_of_deficit(BOOK, plan, 1e4, 500, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.value != other.value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(share=[0.5, 0.2, 0.2]), "Tilt.share: must add up to 1, found 0.9"),
        (dict(share=[0.0, 0.5, 0.5]), "Tilt.share: entry 0 is 0.0; must be finite and positive"),
        (dict(shift=np.full((3, 5), 1.0)), "component 0 must be the scenario itself"),
        (dict(shift=np.full((3, 5), np.nan)), "Tilt.shift: entry 0, 0 is nan; must be finite"),
        (dict(burst=np.zeros((3, 4))), r"Tilt.burst: expected shape \(3, 5\), found \(3, 4\)"),
        (dict(thinning=[1, 0, 1]), "Tilt.thinning: entry 1 is 0.0; must be finite and positive"),
        (dict(surge=[1, 1]), r"Tilt.surge: expected shape \(3\)"),
        (dict(jolt=[0, np.inf, 0]), "Tilt.jolt: entry 1 is inf"),
    ],
)
def test_a_tilt_refuses(change, message):
    with pytest.raises(rc.InputError, match=message):
        replace(TILT, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(above=-1.0), "above: expected USD, finite and not negative, found -1.0"),
        (dict(above=float("nan")), "above: expected USD"),
        (dict(seed=-1), "seed: expected an integer"),
        (dict(seed="7"), "seed: expected an integer"),
        (dict(n_paths=0), "n_paths: expected a positive integer"),
        (dict(policy="greedy"), "policy: expected one of"),
    ],
)
def test_a_question_is_refused(change, message):
    with pytest.raises(rc.InputError, match=message):
        tails.probability_of_deficit(BOOK, scenario(5), **change)


def test_given_paths_have_no_law_to_tilt():
    paths = PricePaths.one_step(BOOK, BOOK.price)
    with pytest.raises(rc.InputError, match="needs a Scenario with a law, found PricePaths"):
        tails.probability_of_deficit(BOOK, paths)
    with pytest.raises(rc.InputError, match=r"Tilt.shift: expected 2 factors, found 5"):
        tails.sample(one_account(), scenario(2), TILT)
    with pytest.raises(rc.InputError, match="of: expected one of"):
        tails.sample(BOOK, scenario(5), TILT, of="profit")
