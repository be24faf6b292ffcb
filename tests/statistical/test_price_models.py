"""Simulated prices have the volatility, correlation and mean that the scenario states."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from tests.markets import prices, scenario

pytestmark = pytest.mark.statistical


def test_volatility_correlation_and_mean_are_the_configured_ones():
    """40,000 paths, seed 7; every figure within 4.5 standard errors. (A covariance factor multiplied by sigma once
    more would halve the volatility and pass every test of shape.)"""
    n = 40_000
    plan = scenario(4, n_steps=6, seed=1, horizon=timedelta(days=30))
    x = prices(plan, n)
    years = 30 / 365
    log = np.log(x[:, :, -1])
    sigma = plan.volatility * np.sqrt(years)
    assert np.abs(log.std(axis=0) / sigma - 1).max() < 4.5 / np.sqrt(2 * n)
    assert np.abs(log.mean(axis=0) + sigma**2 / 2).max() < (4.5 * sigma / np.sqrt(n)).max()
    martingale_error = np.sqrt(np.exp(sigma**2) - 1) / np.sqrt(n)
    assert (np.abs(x[:, :, -1].mean(axis=0) - 1) < 4.5 * martingale_error).all()
    found = np.corrcoef(log.T)
    error = (1 - plan.correlation**2) / np.sqrt(n)
    assert (np.abs(found - plan.correlation) <= 4.5 * error + 1e-12).all()


def test_refining_the_steps_keeps_the_law_of_the_horizon():
    """4 and 96 steps, 20,000 paths: the quantiles of the end price agree within 4.5 standard errors of each."""
    n = 20_000
    ends = [np.sort(np.log(prices(scenario(1, steps, 3), n, seed=steps)[:, 0, -1])) for steps in (4, 96)]
    for level in (0.05, 0.5, 0.95):
        rank, spread = int(n * level), int(4.5 * np.sqrt(n * level * (1 - level)))
        a, b = ends
        assert a[rank - spread] < b[rank + spread]
        assert b[rank - spread] < a[rank + spread]


def test_a_shock_moves_the_start():
    plan = scenario(2, 2, 0)
    shocked = rc.Scenario(**{name: getattr(plan, name) for name in plan.__slots__} | {"shock": [-0.25, 0.1]})
    np.testing.assert_allclose(
        prices(shocked, 10) / prices(plan, 10), np.array([0.75, 1.1])[None, :, None] + np.zeros((10, 2, 2))
    )


def test_factors_that_are_one_move_as_one():
    """A correlation of 1 is only semi-definite; both factors must follow the same path."""
    plan = rc.Scenario(
        name="twins",
        horizon=timedelta(days=1),
        n_steps=5,
        factors=["a", "b"],
        volatility=[0.5, 0.5],
        correlation=np.ones((2, 2)),
        factor=[0, 1],
    )
    x = prices(plan, 20)
    np.testing.assert_allclose(x[:, 0], x[:, 1], rtol=1e-7)
