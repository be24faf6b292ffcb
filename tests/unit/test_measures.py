"""Tail figures: by hand, against closed forms, and honest about few draws."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy.stats import norm

import risk_core as rc
from risk_core.estimates import Groups
from risk_core.measures import Z95, average, quantile, share, tail_mean
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
    """Seed 5, 600 samples of 10,000 normals: coverage of the 95 % intervals within 4 standard errors of a share."""
    rng = np.random.default_rng(5)
    level, n, rounds = 0.99, 10_000, 600
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


def test_hall_s_interval_ends_where_the_corrected_statistic_is_normal():
    """At each end the studentised distance T solves T + a T^2 / 3 + a^2 T^3 / 27 + a / 6 = -+ 1.96, with a the skewness
    of the mean: Hall (1992), section 2."""
    sample = np.random.default_rng(1).lognormal(sigma=1.5, size=2_000)
    off = sample - sample.mean()
    a = (off**3).mean() / (off**2).mean() ** 1.5 / np.sqrt(len(sample))
    se = sample.std(ddof=1) / np.sqrt(len(sample))

    estimate = average(sample)

    for end, z in ((estimate.low, Z95), (estimate.high, -Z95)):
        t = (estimate.value - end) / se
        assert t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 == pytest.approx(z)
    assert estimate.se == pytest.approx(se)
    assert estimate.high - estimate.value > 1.1 * (estimate.value - estimate.low)


def test_without_skewness_the_interval_is_the_usual_one():
    estimate = average(np.concatenate([np.full(2_000, 1.0), np.full(2_000, 3.0)]))
    assert estimate.value == 2.0
    assert estimate.high - 2.0 == pytest.approx(Z95 / np.sqrt(3_999))
    assert 2.0 - estimate.low == pytest.approx(Z95 / np.sqrt(3_999))


@pytest.mark.parametrize(
    ("n", "positive", "reason"),
    [
        (10_000, 0, "no path has a loss"),
        (10_000, 29, "29 paths with a loss lie in the tail, 30 are needed for an interval"),
        (10_000, 1, "1 path with a loss lies in the tail, 30 are needed for an interval"),
        (10_000, 30, ""),
        (1_000, 1_000, "10 of 1,000 paths lie beyond the level, 100 are needed for an interval"),
    ],
)
def test_where_an_interval_cannot_be_there_is_none_and_a_reason(n, positive, reason):
    sample = np.zeros(n)
    sample[:positive] = np.arange(1.0, positive + 1)
    estimate = tail_mean(sample, 0.99)
    assert estimate.no_interval.startswith(reason)
    assert bool(estimate.no_interval) == bool(reason)
    if reason:
        assert (estimate.low, estimate.high, estimate.se) == (0.0, np.inf, np.inf)
    else:
        assert 0 < estimate.low < estimate.value < estimate.high < np.inf


def test_few_groups_have_no_error():
    cluster = np.arange(10_000) % 7
    for estimate in (tail_mean(np.arange(10_000.0), 0.9, cluster), average(np.arange(10_000.0), cluster)):
        assert estimate.no_interval == "7 independent groups of paths were drawn, 8 are needed for an interval"
    assert average([5.0]).no_interval.startswith("1 paths were drawn")


def test_a_quantile_at_a_cliff_is_not_taken_for_certain():
    """104 of 2,000 paths lose 40 M, the others 10 M to 20 M. At 95 % every draw of the tail is 40 M, but the rank of
    the quantile is uncertain by 10. With q = 20 M the mean is 20 + 20 x 104 / 100 = 40.8 M, its error is
    20 sqrt(104 x 0.948) / 100 = 1.99 M, and 1.96 of them below are 36.9 M (37.1 M with the skewness of a count)."""
    sample = np.concatenate([np.full(104, 40e6), np.linspace(10e6, 20e6, 1_896)])
    estimate = tail_mean(sample, 0.95)
    assert estimate.value == pytest.approx(40e6)
    assert estimate.high == pytest.approx(40e6)
    assert estimate.low == pytest.approx(37.1e6, rel=2e-3)


@pytest.mark.parametrize("seed", range(8))
def test_value_lies_in_its_interval_whatever_the_order_of_the_paths(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(200, 3_000))
    sample = np.round(rng.pareto(1.2, n), int(rng.integers(0, 4))) * (rng.random(n) < rng.uniform(0.01, 1))
    cluster = None if seed % 2 else rng.integers(0, int(rng.integers(1, n)), n)
    order = rng.permutation(n)
    figures = (
        lambda x, c: tail_mean(x, 0.9, c),
        lambda x, c: quantile(x, 0.99, c),
        average,
        lambda x, c: share(x, 0.0, c),
    )
    for figure in figures:
        one, other = figure(sample, cluster), figure(sample[order], None if cluster is None else cluster[order])
        assert one.low <= one.value <= one.high
        assert one.se >= 0
        assert one.value == pytest.approx(other.value)
        assert one.low == pytest.approx(other.low, rel=1e-6)
        assert one.high == pytest.approx(other.high, rel=1e-6)


def test_the_interval_scales_with_the_money():
    sample = np.random.default_rng(2).pareto(2.0, 4_000)
    one, million = tail_mean(sample, 0.95), tail_mean(1e6 * sample, 0.95)
    assert million.low == pytest.approx(1e6 * one.low)
    assert million.high == pytest.approx(1e6 * one.high)


def test_skewness_of_few_groups_is_not_believed_beyond_one():
    """One of 16 sums holds everything: a skewness of 3.6, taken as 1, so a = 1 / 4."""
    groups = Groups(16, np.arange(16))
    low, high = groups.interval(np.where(np.arange(16) == 0, 16.0, 0.0))
    z = 2.131449545559323  # Student-t, 15 degrees of freedom
    studentised = [12 * (np.cbrt(1 + 0.25 * (x - 0.25 / 6)) - 1) for x in (z, -z)]
    assert [low, high] == pytest.approx([1.0 - t for t in studentised])


def test_losses_in_few_groups_must_be_more():
    """99 losses are enough for 10,000 paths by themselves, and too few for 16 copies of them: six in each."""
    sample = np.where(np.arange(10_000) % 101 == 0, 1e6 + np.arange(10_000.0), 0.0)
    sample[0] = 1e6
    copies = np.arange(10_000) % 16
    n = int((sample > 0).sum())
    assert n == 100
    assert not average(sample, copies).no_interval
    sample[0] = 0.0
    assert not average(sample).no_interval
    assert average(sample, copies).no_interval == "99 paths with a loss were drawn, 100 are needed for an interval"
    assert tail_mean(sample, 0.99, copies).no_interval.startswith(
        "99 paths with a loss lie in the tail, 100 are needed"
    )


def test_expected_loss_is_chance_times_severity():
    """And while a loss is rarer than the tail, the expected shortfall is the expected loss over the tail's share."""
    market = one_account(debt=15_500.0, bonus=0.15)
    plan = rc.Scenario(
        name="one step", horizon=timedelta(days=1), n_steps=1, factors=("ETH",), volatility=[0.6], correlation=[[1.0]],
        factor=[0, -1],
    )  # fmt: skip
    result = rc.simulate(market, plan, 20_000, seed=4)
    chance, severe, mean = rc.measures.probability_of_loss(result), rc.measures.severity(result), rc.measures.mean
    assert 0 < chance.value < 0.05
    assert severe.n_positive == chance.n_positive >= 30
    assert chance.value * severe.value == pytest.approx(mean(result, "deficit").value)
    assert severe.low < severe.value < severe.high
    tail = rc.measures.expected_shortfall(result, 0.95)
    assert tail.value == pytest.approx(mean(result, "deficit").value / 0.05)


def test_severity_without_a_loss_says_so():
    result = rc.simulate(one_account(debt=1_000.0), scenario(2, 1, volatility=0.01), 100)
    found = rc.measures.severity(result)
    assert (found.value, found.n_positive, found.few_draws) == (0.0, 0, True)
    assert found.no_interval.startswith("no path has a loss")


def test_convergence_is_the_figure_of_shorter_runs():
    market = one_account(debt=15_500.0)
    plan = scenario(2, 6, volatility=0.9)
    result = rc.simulate(market, plan, 2_000, seed=3)
    found = rc.measures.convergence(result, 0.9, points=5)
    assert [e.n_paths for e in found] == [100, 211, 447, 946, 2_000]
    assert found[-1] == rc.measures.lar(result, 0.9)
    assert found[1] == rc.measures.lar(rc.simulate(market, plan, 211, seed=3), 0.9)
    assert [e.n_paths for e in rc.measures.convergence(rc.simulate(market, plan, 40), 0.9)] == [40]


def test_first_liquidation_by_hand():
    """ETH falls below the threshold at the end of step 2 on one path of four, at step 1 on another."""
    market = one_account(debt=15_500.0, price=1_900.0)
    price = np.ones((4, 2, 4)) * np.array([1_900.0, 1.0])[:, None]
    price[0, 0, 2:] = 1_700.0
    price[1, 0, 1:] = 1_700.0
    result = rc.simulate(market, rc.PricePaths(name="given", price=price, step=scenario(2).horizon))
    assert result.first_liquidation.tolist() == [0.25, 0.25, 0.0, 0.5]
