"""Mean reversion: mean, variance and covariance at a lag are the closed forms; a peg that broke comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from risk_core.price_models import YEAR
from tests.markets import one_account, prices, random_market, scenario

N = 40_000
KAPPA = np.array([60.0, 400.0, 0.0])
MEAN = np.array([0.02, -0.05, 0.0])
SHOCK = np.array([-0.08, 0.03, 0.0])


def pegs(n_steps: int = 6, **changes) -> rc.Scenario:
    """Two pegs that revert within days and hours, correlated with a third factor that does not revert."""
    given = dict(
        name="pegs",
        horizon=timedelta(days=3),
        n_steps=n_steps,
        factors=["a", "b", "c"],
        volatility=[0.3, 0.6, 0.8],
        correlation=[[1, 0.5, -0.3], [0.5, 1, 0.2], [-0.3, 0.2, 1]],
        factor=[0, 1, 2],
        shock=SHOCK,
        law=rc.OrnsteinUhlenbeck(KAPPA, MEAN),
    )
    return rc.Scenario(**(given | changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([-1.0],), r"OrnsteinUhlenbeck.kappa: entry 0: is -1.0; must be a speed a year in \[0, 1e\+06\]"),
        (([1.0, float("nan")],), "OrnsteinUhlenbeck.kappa: entry 1: is nan"),
        ((["fast"],), "OrnsteinUhlenbeck.kappa: entry 0: is 'fast'"),
        ((250.0,), "OrnsteinUhlenbeck.kappa: is 250.0; must be one number for each factor$"),
        (([1.0], [6.0]), r"OrnsteinUhlenbeck.mean: entry 0: is 6.0; must be a log move in \[-5, 5\]"),
        (([1.0], 0.0), "OrnsteinUhlenbeck.mean: is 0.0; must be one number for each factor, or None"),
    ],
)
def test_it_refuses(arguments, message):
    with pytest.raises(rc.InputError, match=message):
        rc.OrnsteinUhlenbeck(*arguments)


def test_a_scenario_wants_one_number_for_each_factor():
    with pytest.raises(rc.InputError, match=r"\.kappa: expected 3 numbers, one for each factor, found 1"):
        pegs(law=rc.OrnsteinUhlenbeck([1.0]))
    with pytest.raises(rc.InputError, match=r"\.mean: expected 3 numbers, one for each factor, found 2"):
        pegs(law=rc.OrnsteinUhlenbeck(KAPPA, [0.0, 0.0]))


def test_without_noise_a_shock_heals_along_the_exponential():
    """By hand: a fall by 8 % with a half-life of a day is 4.08 % below the peg after one day, 2.06 % after two."""
    plan = pegs(3, volatility=[0.0] * 3, law=rc.OrnsteinUhlenbeck([365 * np.log(2), 1.0, 0.0]))
    found = prices(plan, 1)[0, 0]
    np.testing.assert_allclose(found, 0.92 ** np.array([0.5, 0.25, 0.125]), rtol=1e-12)
    np.testing.assert_allclose(1 - found[:2], [0.0408, 0.0206], atol=5e-5)


def test_a_factor_that_does_not_revert_has_the_bits_of_gbm():
    plan = scenario(3)
    law = rc.OrnsteinUhlenbeck([0.0, 0.0, 0.0])
    np.testing.assert_array_equal(prices(replace(plan, law=law), 50), prices(plan, 50))


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "quasi"])
def test_pruned_and_brute_runs_have_the_same_bits(sampling):
    market = random_market(3)
    plan = replace(scenario(5, volatility=2.0), law=rc.OrnsteinUhlenbeck([0, 50, 500, 5000, 9.0]), sampling=sampling)
    fast, slow = (rc.simulate(market, plan, 200, brute_force=brute, threads=2) for brute in (False, True))
    for name in ("path", "by_step", "fan", "hits"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), err_msg=name)
    assert fast.repaid_usd.std() > 0


@pytest.mark.statistical
def test_mean_and_covariance_at_every_lag_are_the_closed_forms():
    """40,000 paths, seed 7, six steps of 12 hours, every pair of factors and steps, within 4.5 standard errors.

    E[X_t] = m + (x_0 - m) e^(-kappa t); for s <= t, Cov(X_i(s), X_j(t)) =
    rho_ij sigma_i sigma_j e^(-kappa_j (t - s)) (1 - e^(-(kappa_i + kappa_j) s)) / (kappa_i + kappa_j).
    """
    plan = pegs()
    x = np.log(prices(plan, N))
    t = np.arange(1, 7) * (plan.step / YEAR)
    start = np.log1p(SHOCK)
    mean = MEAN[:, None] + (start - MEAN)[:, None] * np.exp(-KAPPA[:, None] * t)
    mean[2] = start[2] - 0.5 * plan.volatility[2] ** 2 * t
    sigma = plan.volatility
    expected = np.empty((3, 6, 3, 6))
    for i, s, j, u in np.ndindex(expected.shape):
        a, b = (i, j) if s <= u else (j, i)  # the factor of the earlier time, and of the later
        early, late = sorted((t[s], t[u]))
        both = KAPPA[a] + KAPPA[b]
        grown = early if both == 0 else (1 - np.exp(-both * early)) / both
        expected[i, s, j, u] = plan.correlation[a, b] * sigma[a] * sigma[b] * np.exp(-KAPPA[b] * (late - early)) * grown
    flat = x.reshape(N, 18)
    covariance = expected.reshape(18, 18)
    variance = np.diag(covariance)
    assert (np.abs(flat.mean(axis=0) - mean.reshape(18)) < 4.5 * np.sqrt(variance / N)).all()
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / N)
    assert (np.abs(np.cov(flat.T) - covariance) < 4.5 * error).all()
    # What would hide in the tolerance: a lag that forgets, a variance that grows without end.
    assert covariance[0, 5] > 20 * error[0, 5]
    assert variance[5] < 0.8 * sigma[0] ** 2 * t[5]


@pytest.mark.statistical
def test_the_law_of_the_horizon_does_not_depend_on_the_steps():
    """The discretisation is exact: one step and 48 agree in mean and variance within 4.5 standard errors of both."""
    one, many = (np.log(prices(pegs(n), N, seed=n))[:, :, -1] for n in (1, 48))
    spread = np.sqrt((one.var(axis=0) + many.var(axis=0)) / N)
    assert (np.abs(one.mean(axis=0) - many.mean(axis=0)) < 4.5 * spread).all()
    assert (np.abs(one.var(axis=0) / many.var(axis=0) - 1) < 4.5 * np.sqrt(4 / N)).all()


@pytest.mark.statistical
def test_rare_losses_are_weighed_exactly():
    """Importance sampling shifts the normals alone, whatever the law makes of them: both ways agree in 4.5 errors."""
    law = rc.OrnsteinUhlenbeck([200.0, 0.0])
    plan = replace(scenario(2, 6, volatility=1.0), law=law)
    market = one_account(debt=13_600.0)
    plain = rc.simulate(market, plan, 60_000, seed=3)
    share = (plain.repaid_usd > 0).mean()
    tilt = rc.tails.find_tilt(market, plan, of="repaid", n_paths=500)
    found = rc.tails.sample(market, plan, tilt, 20_000, of="repaid").probability()
    assert 0 < share < 0.05
    assert abs(found.value - share) < 4.5 * np.hypot(found.se, np.sqrt(share * (1 - share) / 60_000))
