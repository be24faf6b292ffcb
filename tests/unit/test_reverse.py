"""Reverse stress: closed forms of one account, a grid of every move on two factors, and laws."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, f, norm, t

import risk_core as rc
from risk_core.reverse import horizon_root
from tests.markets import KINDS, one_account, prices, random_market, with_oracles
from tests.markets import scenario as random_scenario

DAY = timedelta(days=1)
FALL = log(1.0375)
"""10 ETH at 2,000 with threshold 0.83 against 16,000 USDC have the health factor 1.0375."""


def two(rho: float = 0.0, law: rc.laws.Law | None = None, factor=(0, 1), usdc: float = 0.2) -> rc.Scenario:
    """ETH with 80 % a year and USDC with `usdc`, over a day."""
    return rc.Scenario(
        name="two", horizon=DAY, n_steps=4, factors=("ETH", "USDC"), volatility=(0.8, usdc),
        correlation=[[1, rho], [rho, 1]], factor=factor, law=law or rc.GBM(),
    )  # fmt: skip


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.6])
def test_one_account_has_a_closed_form(rho):
    """Liquidatable where log(USDC / ETH) rises by log 1.0375: the distance is that over its standard deviation."""
    found = rc.reverse_stress(one_account(price=2_000.0), two(rho), liquidated_usd=7_000)
    sd = sqrt((0.8**2 + 0.2**2 - 2 * rho * 0.8 * 0.2) / 365)
    assert found.distance == pytest.approx(FALL / sd, rel=1e-4)
    assert found.log_move[1] - found.log_move[0] == pytest.approx(FALL, rel=1e-4)
    # The nearest point lies along C (e_USDC - e_ETH).
    along = np.array([rho * 0.8 * 0.2 - 0.8**2, 0.2**2 - rho * 0.8 * 0.2])
    assert found.log_move == pytest.approx(along / (along[1] - along[0]) * FALL, rel=1e-3)
    assert found.reached_usd >= 7_000
    assert found.most_hit().tolist() == [0]


def test_a_second_threshold_needs_the_whole_debt():
    """At 0.95 and below all may be repaid: more than half of 16,000 needs log(1.0375 / 0.95)."""
    found = rc.reverse_stress(one_account(price=2_000.0), two(factor=(0, -1)), liquidated_usd=10_000)
    assert found.distance == pytest.approx(log(1.0375 / 0.95) / (0.8 / sqrt(365)), rel=1e-4)
    assert found.moves[0] == pytest.approx(0.95 / 1.0375 - 1, rel=1e-4)


def test_a_deficit_begins_where_collateral_does_not_pay_debt_and_bonus():
    """10 ETH against 16,000 with a bonus of 5 %: deficit z at the price (16,000 - z) * 1.05 / 10."""
    found = rc.reverse_stress(one_account(price=2_000.0), two(factor=(0, -1)), deficit_usd=500)
    assert found.moves[0] == pytest.approx(15_500 * 1.05 / 10 / 2_000 - 1, rel=1e-4)
    assert found.outcome.deficit_usd == pytest.approx(500, abs=2)
    assert found.most_hit().tolist() == [0]


def test_the_chances_are_those_of_the_stated_law():
    """One direction: the tail of the normal or Student-t law; any: of chi-square and of F, k = 2."""
    market = one_account(price=2_000.0)
    normal = rc.reverse_stress(market, two(), liquidated_usd=7_000)
    d = normal.distance
    assert normal.chance == pytest.approx(norm.sf(d))
    assert normal.chance_any == pytest.approx(chi2.sf(d**2, 2))
    student = rc.reverse_stress(market, two(law=rc.StudentT(4.0)), liquidated_usd=7_000)
    assert student.distance == pytest.approx(d)
    wide = d * sqrt(4 / 2)
    assert student.chance == pytest.approx(t.sf(wide, 4))
    assert student.chance_any == pytest.approx(f.sf(wide**2 / 2, 2, 4))
    assert normal.exact_law
    assert student.exact_law


def test_the_chance_of_one_account_is_how_often_the_engine_liquidates_it():
    """One step, one account: a half space, where the first-order chance is exact but for the drift."""
    plan = replace(two(), n_steps=1)
    found = rc.reverse_stress(one_account(price=2_000.0), plan, liquidated_usd=1)
    n = 20_000
    hit = (rc.simulate(one_account(price=2_000.0), plan, n_paths=n).repaid_usd > 0).mean()
    drift = 0.5 * (0.8**2 - 0.2**2) / 365  # the log of USDC / ETH drifts up by this in the day
    exact = norm.sf(found.distance - drift / sqrt((0.8**2 + 0.2**2) / 365))
    assert abs(hit - exact) < 4 * sqrt(exact * (1 - exact) / n)


def test_jumps_count_in_the_covariance():
    """36.5 jumps a year of mean -0.1 and deviation 0.05 add 0.1 * 0.0125 * beta beta' to a day's covariance."""
    law = rc.Jumps(intensity=36.5, mean=-0.1, deviation=0.05, beta=(1.0, 0.5))
    plan = two(0.3, law)
    root = horizon_root(plan)
    jumps = 0.1 * (0.01 + 0.0025) * np.outer([1, 0.5], [1, 0.5])
    normal = np.array([[0.64, 0.048], [0.048, 0.04]]) / 365
    np.testing.assert_allclose(root @ root.T, jumps + normal, rtol=1e-9)
    moves = np.log(prices(plan, 20_000)[:, :, -1])
    spread = np.cov(moves.T)
    np.testing.assert_allclose(spread, jumps + normal, rtol=0.1)
    assert not rc.reverse_stress(one_account(price=2_000.0), plan, liquidated_usd=7_000).exact_law


def loss(market: rc.Market, plan: rc.Scenario, y: np.ndarray, measure: str) -> float:
    """The loss at log moves y (F,), written out."""
    x = (1 + plan.shock) * np.exp(y)
    move = np.array([0.0 if k < 0 else x[k] - 1 for k in plan.factor])
    answer = rc.what_if(market, move)
    return answer.repaid_usd if measure == "liquidated" else answer.deficit_usd


@pytest.mark.parametrize(("seed", "measure"), [(1, "liquidated"), (2, "liquidated"), (3, "deficit")])
def test_two_factors_against_a_grid_of_every_move(seed, measure):
    """The nearest point of a grid of moves that reaches the target is no nearer, and no further than its step."""
    market = with_oracles(random_market(seed, "plain", 40, 4), seed, caps_only=True)
    plan = random_scenario(4, seed=seed, volatility=3.0, n_factors=2)
    covariance = np.outer(plan.volatility, plan.volatility) * plan.correlation / 365
    lower, step, reach = np.linalg.cholesky(covariance), 0.125, 4.0
    ticks = np.arange(-reach, reach + step / 2, step)
    grid = np.array([(a, b) for a in ticks for b in ticks])
    grid = grid[np.argsort(np.hypot(*grid.T), kind="stable")]
    grid = grid[np.hypot(*grid.T) <= reach]
    usd = np.array([loss(market, plan, lower @ z, measure) for z in grid])
    today = loss(market, plan, np.zeros(2), measure)
    target = today + 0.6 * (usd.max() - today)
    nearest = np.hypot(*grid[np.argmax(usd >= target)])
    found = rc.reverse_stress(market, plan, **{f"{measure}_usd": target})
    assert nearest - step * sqrt(2) <= found.distance <= nearest + 0.02
    assert found.distance > 0.5


def test_no_move_drawn_at_random_beats_it():
    """Six factors, 120 accounts: none of 4,000 moves at 95 % of the distance reaches the target."""
    market = random_market(5, "plain", 120, 6)
    plan = random_scenario(6, seed=5, volatility=2.0)
    most = rc.what_if(market, np.zeros(6)).repaid_usd
    found = rc.reverse_stress(
        market, plan, liquidated_usd=most + 0.25 * (market.debt.amount * market.price[market.debt.reserve]).sum()
    )
    rng = np.random.default_rng(5)
    z = rng.normal(size=(4_000, 6))
    z *= 0.95 * found.distance / np.linalg.norm(z, axis=1)[:, None]
    lower = np.linalg.cholesky(np.outer(plan.volatility, plan.volatility) * plan.correlation / 365)
    assert max(loss(market, plan, lower @ one, "liquidated") for one in z) < found.target_usd
    assert found.distance > 0.5


@pytest.mark.property
@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), share=st.floats(0.02, 0.6), more=st.floats(1.0, 1.5),
    measure=st.sampled_from(["liquidated", "deficit"]), n_factors=st.integers(1, 4),
)  # fmt: skip
def test_a_larger_target_is_never_nearer(seed, kind, share, more, measure, n_factors):
    """And what is found does reach the target, by the market's own answer, at the distance that it states."""
    market = with_oracles(random_market(seed, kind, 25, 4), seed)
    plan = random_scenario(market.n_reserves, seed=seed, volatility=2.0, n_factors=n_factors)
    if not (plan.factor >= 0).any():
        return
    owed = float((market.debt.amount * market.price[market.debt.reserve]).sum())
    near = None
    for target in (share * owed, share * more * owed):
        try:
            found = rc.reverse_stress(market, plan, **{f"{measure}_usd": max(target, 1e-6)})
        except rc.InputError:  # out of reach, or nothing that moves: other tests say what is said
            return
        if near is not None:
            assert found.distance >= near.distance
        near = found
        assert found.reached_usd >= found.target_usd
        assert loss(market, plan, found.log_move, measure) == pytest.approx(found.reached_usd, rel=1e-9)
        covariance = np.outer(plan.volatility, plan.volatility) * plan.correlation / 365
        assert sqrt(found.log_move @ np.linalg.pinv(covariance) @ found.log_move) == pytest.approx(
            found.distance, abs=1e-6, rel=1e-6
        )


def test_a_target_that_is_reached_already_needs_no_move():
    found = rc.reverse_stress(one_account(price=1_900.0), two(), liquidated_usd=1_000)
    assert found.distance == 0
    assert found.chance == found.chance_any == 1
    assert found.moves.tolist() == [0, 0]


def test_a_cap_that_bars_the_way_is_obeyed():
    """USDC owed, and its oracle capped at 1.01: the debt's price alone cannot bring the account down."""
    market = one_account(price=2_000.0)
    capped = replace(market, reserves=replace(market.reserves, price_cap=[np.inf, 1.01]))
    found = rc.reverse_stress(capped, two(usdc=5.0), liquidated_usd=7_000)
    free = rc.reverse_stress(market, two(usdc=5.0), liquidated_usd=7_000)
    assert free.moves[0] == pytest.approx(0, abs=0.01)
    assert free.moves[1] > 0.03
    # The cheapest way now: up to the cap by USDC, the rest by ETH.
    assert found.moves[0] == pytest.approx(1.01 / 1.0375 - 1, abs=2e-3)
    assert found.distance > 1.5 * free.distance


def test_out_of_reach_says_the_most_that_was_reached():
    with pytest.raises(rc.InputError, match=r"liquidated_usd: expected at most [\d,]+ USD, the most debt liquidated"):
        rc.reverse_stress(one_account(price=2_000.0), two(factor=(0, -1)), liquidated_usd=16_001)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "expected exactly one"),
        ({"liquidated_usd": 1, "deficit_usd": 1}, "expected exactly one"),
        ({"liquidated_usd": 0}, "USD above 0"),
        ({"liquidated_usd": float("nan")}, "USD above 0"),
        ({"deficit_usd": "5"}, "USD above 0"),
        ({"deficit_usd": -3.0}, "USD above 0"),
    ],
)
def test_a_target_is_one_positive_amount(asked, words):
    with pytest.raises(rc.InputError, match=words):
        rc.reverse_stress(one_account(), two(), **asked)


def test_a_scenario_that_does_not_fit_is_refused():
    with pytest.raises(rc.InputError, match=r"Scenario\.factor: expected 2 entries"):
        rc.reverse_stress(one_account(), two(factor=(0, 1, 1)), liquidated_usd=1)
    with pytest.raises(rc.InputError, match="found none"):
        rc.reverse_stress(one_account(), two(factor=(-1, -1)), liquidated_usd=1)
