"""Simulated laws have the moments, tails and martingale property that they state; errors of figures are honest.

Seeds are fixed; tolerances are four standard errors, from the closed forms.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats

import risk_core as rc
from risk_core import measures
from risk_core.price_models import YEAR
from tests.markets import one_account, prices, random_market, scenario

pytestmark = pytest.mark.statistical

N = 40_000


def end(plan: rc.Scenario, n: int = N, seed: int = 7) -> np.ndarray:
    """(n, F) log moves over the horizon, without the drift of -sigma^2 / 2, in standard deviations."""
    sigma = plan.volatility * np.sqrt(plan.horizon / YEAR)
    return (np.log(prices(plan, n, seed)[:, :, -1]) + sigma**2 / 2) / sigma


@pytest.mark.parametrize("nu", [2.5, 4.0, 7.3])
@pytest.mark.parametrize("n_steps", [1, 24])
def test_the_horizon_is_student_t_however_fine_the_steps(nu, n_steps):
    """Shares beyond closed-form quantiles out to 1 in 1,000, each factor; the variance is the configured one."""
    z = end(replace(scenario(3, n_steps), law=rc.StudentT(nu)))
    scale = np.sqrt((nu - 2) / nu)
    for level in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999):
        below = (z < scale * stats.t.ppf(level, nu)).mean(axis=0)
        assert (np.abs(below - level) < 4 * np.sqrt(level * (1 - level) / N)).all(), level
    if nu > 4:
        fourth = 3 + 6 / (nu - 4)
        assert (np.abs(z.var(axis=0) - 1) < 4 * np.sqrt((fourth - 1) / N)).all()


def test_student_t_steps_share_their_widening():
    """A step of an hour has the law of the day: extremes of a path come together, so a sum keeps its tail."""
    plan = replace(scenario(2, 24), law=rc.StudentT(4.0))
    first = np.log(prices(plan, N)[:, :, 0])
    sigma = plan.volatility * np.sqrt(plan.step / YEAR)
    z = (first + sigma**2 / 2) / sigma
    below = (z < np.sqrt(0.5) * stats.t.ppf(0.01, 4)).mean(axis=0)
    assert (np.abs(below - 0.01) < 4 * np.sqrt(0.01 * 0.99 / N)).all()


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "quasi"])
def test_correlation_holds_under_student_t(sampling):
    """Kendall's tau is (2 / pi) asin(rho) for every elliptical law (Lindskog, McNeil, Schmock, 2003)."""
    plan = replace(scenario(3), law=rc.StudentT(3.0), sampling=sampling)
    n = 4_000
    z = end(plan, n)
    for i in range(3):
        for j in range(i):
            tau = stats.kendalltau(z[:, i], z[:, j]).statistic
            # the variance of tau is at most (2 / n) (1 - tau^2), and pairs of twins double it
            error = np.sqrt(2 / n * (1 - tau**2) * 2)
            assert abs(tau - 2 / np.pi * np.arcsin(plan.correlation[i, j])) < 4 * error


def test_student_t_extremes_coincide():
    """Joint falls beyond the 1 % quantile of two factors: as often as the bivariate t says, by its own integral."""
    nu, rho = 3.0, 0.5
    plan = rc.Scenario(
        name="two",
        horizon=timedelta(days=1),
        n_steps=2,
        factors=["a", "b"],
        volatility=[0.8, 0.8],
        correlation=[[1, rho], [rho, 1]],
        factor=[0, 1],
        law=rc.StudentT(nu),
    )
    z = end(plan)
    edge = stats.t.ppf(0.01, nu)
    expected = stats.multivariate_t(shape=[[1, rho], [rho, 1]], df=nu, seed=0).cdf([edge, edge])
    found = (z < edge * np.sqrt((nu - 2) / nu)).all(axis=1).mean()
    assert abs(found - expected) < 4 * np.sqrt(expected / N) + 1e-4
    assert expected > 0.002


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "quasi"])
@pytest.mark.parametrize("law", [rc.GBM(), rc.Jumps(300.0, -0.1, 0.15, beta=(1.0, 0.4, -0.5))], ids=["gbm", "jumps"])
def test_expected_prices_stay_where_they_start(law, sampling):
    """A hundredfold intensity, so that the compensation of the drift matters."""
    plan = replace(scenario(3), law=law, sampling=sampling)
    x = prices(plan, N)
    for step in (0, 11, 23):
        assert (np.abs(x[:, :, step].mean(axis=0) - 1) < 4 * x[:, :, step].std(axis=0) / np.sqrt(N)).all()


def test_jumps_have_mertons_moments():
    """Mean, variance and skewness of the log move over the horizon: cumulants of a normal and a compound Poisson."""
    jumps = rc.Jumps(500.0, -0.06, 0.04, beta=(1.0, 0.5, 0.0))
    plan = replace(scenario(3), law=jumps)
    years = plan.horizon / YEAR
    log = np.log(prices(plan, N)[:, :, -1])
    beta, rate, m, d = np.array(jumps.beta), jumps.intensity * years, jumps.mean, jumps.deviation
    drift = -0.5 * plan.volatility**2 * years - rate * np.expm1(beta * m + 0.5 * (beta * d) ** 2)
    mean = drift + rate * beta * m
    variance = plan.volatility**2 * years + rate * beta**2 * (m**2 + d**2)
    third = rate * beta**3 * (m**3 + 3 * m * d**2)
    fourth = rate * beta**4 * (m**4 + 6 * m**2 * d**2 + 3 * d**4)
    assert (np.abs(log.mean(axis=0) - mean) < 4 * np.sqrt(variance / N)).all()
    assert (np.abs(log.var(axis=0) - variance) < 4 * np.sqrt((fourth + 2 * variance**2) / N)).all()
    centred = log - mean
    error = (centred**3).std(axis=0) / np.sqrt(N)
    assert (np.abs((centred**3).mean(axis=0) - third) < 4 * error).all()
    assert third[0] < -20 * error[0]


@pytest.mark.parametrize("law", [rc.GBM(), rc.StudentT(4.0), rc.Jumps(100.0, -0.1, 0.05)], ids=["gbm", "t", "jumps"])
def test_refining_the_steps_keeps_the_law_of_the_horizon(law):
    """4 and 96 steps: two samples of 20,000 end prices that no Kolmogorov-Smirnov test tells apart (p above 6e-5)."""
    ends = [end(replace(scenario(1, steps, 3), law=law), 20_000, seed=steps)[:, 0] for steps in (4, 96)]
    assert stats.ks_2samp(*ends).pvalue > 6e-5


FIGURES = {
    "mean": lambda result: measures.mean(result),
    "share": lambda result: measures.probability_of_loss(result, of="repaid"),
    "quantile": lambda result: measures.lar(result, 0.9),
    "tail": lambda result: measures.expected_shortfall(result, 0.9, "repaid"),
}


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "quasi"])
@pytest.mark.parametrize("figure", FIGURES)
def test_errors_are_those_seen_over_many_seeds(sampling, figure):
    """60 seeds: the mean squared stated error against the spread of the figure, within four standard errors of a
    variance estimated from 60 figures (a factor of 1 +- 4 sqrt(2 / 59), and a tenth for few clusters and atoms).
    1,024 paths, of which 102 lie in the tail: fewer have no error.
    """
    market, plan = _books()[figure]
    plan = replace(plan, sampling=sampling)
    found = [FIGURES[figure](rc.simulate(market, plan, 1024, seed=seed, threads=1)) for seed in range(60)]
    spread = np.var([estimate.value for estimate in found], ddof=1)
    stated = np.mean([estimate.se**2 for estimate in found])
    # a quasi-random error is widened for its 16 copies, by 1.18 in the square
    assert (1 - 4 * np.sqrt(2 / 59)) / 1.2 < spread / stated < (1 + 4 * np.sqrt(2 / 59)) * 1.1


def _books() -> dict[str, tuple[rc.Market, rc.Scenario]]:
    wide = random_market(1, "whales", 60), scenario(5)
    return dict(mean=wide, quantile=wide, tail=wide, share=(one_account(debt=15_300.0), scenario(2)))


def test_quasi_random_paths_halve_the_error_of_a_mean():
    """Measured over 40 seeds on a book of 60: at least four times less variance than plain paths would be too much
    to ask of 24 steps of 5 factors; twice is seen with room to spare."""
    market, plan = _books()["mean"]

    def spread(sampling: str) -> float:
        figures = [
            measures.mean(rc.simulate(market, replace(plan, sampling=sampling), 1024, seed=seed, threads=1)).value
            for seed in range(40)
        ]
        return float(np.var(figures))

    assert spread("quasi") < spread("plain") / 2
