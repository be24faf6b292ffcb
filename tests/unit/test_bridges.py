"""Paths to a given end: their end, the closed forms of what comes before, and the law's own paths that end there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from tests.markets import market, prices, reserves

BOOK = market(reserves(4), [2_000.0, 60_000.0, 2_400.0, 1.0], [{0: 1.0}], [{3: 100.0}])
PLAN = rc.Scenario(
    name="day", horizon=timedelta(days=1), n_steps=8, factors=("ETH", "BTC"), volatility=[0.8, 0.5],
    correlation=[[1.0, 0.7], [0.7, 1.0]], factor=[0, 1, 0, -1],
)  # fmt: skip
HEAVY = replace(PLAN, law=rc.StudentT(nu=5.0))


def logs(paths: rc.PricePaths) -> np.ndarray:
    return np.log(paths.price / BOOK.price[:, None])


@given(
    st.floats(-0.6, 1.5), st.floats(-0.6, 1.5), st.floats(-0.5, 0.5), st.floats(-0.99, 0.99), st.integers(1, 9),
    st.sampled_from([rc.GBM(), rc.StudentT(nu=3.0)]),
)  # fmt: skip
@settings(max_examples=60)
def test_every_path_ends_where_it_must_and_reserves_follow_their_factors(eth, btc, shock, correlation, n_steps, law):
    plan = replace(PLAN, correlation=[[1, correlation], [correlation, 1]], n_steps=n_steps, law=law, shock=[shock, 0])
    path = rc.bridge(BOOK, plan, {"BTC": btc, "ETH": eth}, n_paths=5)
    np.testing.assert_allclose(path.price[:, 0, -1], 2_000 * (1 + eth), rtol=1e-9)
    np.testing.assert_allclose(path.price[:, 1, -1], 60_000 * (1 + btc), rtol=1e-9)
    np.testing.assert_allclose(path.price[:, 2], 1.2 * path.price[:, 0], rtol=1e-12)
    assert (path.price[:, 3] == 1).all()
    assert (path.price[:, :, 0] == BOOK.price).all()


def test_before_the_end_it_has_mean_and_variance_of_a_brownian_bridge():
    """t of T steps: mean t/T of the way, variance sigma^2 t (T - t) / T; the free factor keeps 1 - rho^2 of its own."""
    n, steps = 40_000, np.arange(1, 9)
    log = logs(rc.bridge(BOOK, PLAN, {"ETH": -0.2}, n_paths=n))
    end, variance = np.log(0.8), 0.8**2 / 365 / 8  # of one step
    eth = log[:, 0, 1:]
    closed = variance * steps * (8 - steps) / 8
    error = np.sqrt(closed / n)
    assert (np.abs(eth.mean(axis=0) - end * steps / 8) <= 4 * error + 1e-12).all()
    assert (np.abs(eth.var(axis=0) - closed) <= 4 * closed * np.sqrt(2 / n) + 1e-12).all()

    slope = 0.7 * 0.5 / 0.8
    drift = 8 * PLAN.of_one_step()[0]
    btc, left = log[:, 1, -1], 0.5**2 / 365 * (1 - 0.7**2)
    assert abs(btc.mean() - (drift[1] + slope * (end - drift[0]))) < 4 * np.sqrt(left / n)
    assert abs(btc.var() - left) < 4 * left * np.sqrt(2 / n)


@pytest.mark.parametrize("end", [0.0, -0.03, -0.07])
def test_they_are_the_laws_own_paths_that_happen_to_end_there(end):
    """Heavy tails: the lowest price on the way, and how far the middle is from the straight line to the end."""
    plan = replace(HEAVY, volatility=[0.6, 0.5])
    drawn = np.log(prices(plan, 400_000)[:, 0])
    near = drawn[np.abs(drawn[:, -1] - np.log1p(end)) < 0.002]
    assert len(near) > 300
    made = logs(rc.bridge(BOOK, plan, {"ETH": end}, n_paths=20_000))[:, 0, 1:]

    def seen(log: np.ndarray) -> np.ndarray:
        return np.array([log.min(axis=1), (log[:, 3] - log[:, -1] / 2) ** 2, np.abs(log[:, 3] - log[:, -1] / 2)])

    one, two = seen(near), seen(made)
    error = np.sqrt(one.var(axis=1) / len(near) + two.var(axis=1) / len(made))
    assert (np.abs(one.mean(axis=1) - two.mean(axis=1)) < 4 * error + [2e-3, 0, 0]).all()


def test_a_far_end_means_a_wild_day_where_tails_are_heavy_and_not_where_moves_are_normal():
    for plan, wilder in ((HEAVY, True), (PLAN, False)):
        calm, far = (logs(rc.bridge(BOOK, plan, {"ETH": end}))[:, 1, 1:] for end in (0.0, -0.4))
        spread = [np.diff(log, axis=1).std(axis=1).mean() for log in (calm, far)]
        assert (spread[1] > 3 * spread[0]) == wilder


def test_a_fall_in_steps_repays_at_least_what_a_rise_does_and_a_seed_is_a_result():
    falls, rises = (rc.simulate(BOOK, rc.bridge(BOOK, HEAVY, {"ETH": end}, 50)) for end in (-0.97, 0.5))
    assert (falls.repaid_usd > 0).all()
    assert rises.repaid_usd.sum() < falls.repaid_usd.sum()
    one, two = (rc.bridge(BOOK, HEAVY, {"ETH": -0.1}, 20, seed=3).price for _ in range(2))
    assert (one == two).all()
    assert (rc.bridge(BOOK, HEAVY, {"ETH": -0.1}, 20, seed=4).price != one).any()


@pytest.mark.parametrize(
    ("change", "ends", "words"),
    [
        ({"law": rc.Jumps(intensity=10.0, mean=-0.1, deviation=0.1)}, {"ETH": -0.1}, "expected GBM or StudentT"),
        ({}, {}, "expected a mapping"),
        ({}, {"SOL": -0.1}, "no factor 'SOL' in the scenario; known: ETH, BTC"),
        ({}, {"ETH": -1.0}, "a move above -1"),
        ({}, {"ETH": float("nan")}, "a move above -1"),
        ({"volatility": [0.0, 0.5]}, {"ETH": -0.1}, "volatility of ETH is 0"),
        ({"correlation": [[1.0, 1.0], [1.0, 1.0]]}, {"ETH": -0.1, "BTC": -0.3}, "not free of each other"),
        ({"n_steps": 10_000_000}, {"ETH": -0.1}, "take fewer paths or steps"),
    ],
)
def test_what_has_no_bridge_is_refused(change, ends, words):
    with pytest.raises(rc.InputError, match=words):
        rc.bridge(BOOK, replace(PLAN, **change), ends)
