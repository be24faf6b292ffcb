"""Oracle models against a plain Python twin, and what must hold of them: every question asks the same oracle."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.draws import opening_steps
from risk_core.liquidation import POLICIES
from tests.markets import KINDS, prices, random_market, scenario, with_oracles
from tests.property.drawn import amounts
from tests.reference import naive, oracles

pytestmark = pytest.mark.property
SEEDS = st.integers(0, 10**6)


def moves_of(market: rc.Market, seed: int, n_paths: int = 3, n_steps: int = 6) -> np.ndarray:
    moves = np.random.default_rng(seed).normal(0, 0.08, (n_paths, market.n_reserves, n_steps))
    return np.exp(moves.cumsum(axis=2))


def given_paths(market: rc.Market, relative: np.ndarray) -> rc.PricePaths:
    whole = np.concatenate([np.ones((*relative.shape[:2], 1)), relative], axis=2) * market.price[:, None]
    return rc.PricePaths(name="random", price=whole, step=timedelta(hours=2))


@settings(max_examples=30)
@given(seed=SEEDS)
def test_oracle_prices_are_those_of_the_twin(seed):
    market = with_oracles(random_market(seed, n_accounts=1), seed)
    moves = moves_of(market, seed)
    found = market.oracle_prices((moves * market.price[:, None]).transpose(0, 2, 1)).transpose(0, 2, 1)
    np.testing.assert_allclose(found / market.price[:, None], oracles.relative(market, moves), rtol=1e-12)


@settings(max_examples=50)
@given(seed=SEEDS)
def test_a_cap_never_raises_a_price_and_keeps_order(seed):
    market = with_oracles(random_market(seed, n_accounts=1), seed, caps_only=True)
    low, high = np.sort(moves_of(market, seed, 2, 1)[:, :, 0], axis=0) * market.price
    assert (market.oracle_prices(low) <= low).all()
    assert (market.oracle_prices(low) <= market.oracle_prices(high)).all()
    assert (market.oracle_prices(high) <= market.reserves.price_cap * (1 + 1e-12)).all()


@settings(max_examples=50)
@given(seed=SEEDS)
def test_the_oracle_says_today_what_the_market_holds_and_repeats_itself(seed):
    market = with_oracles(random_market(seed, n_accounts=1), seed)
    np.testing.assert_allclose(market.oracle_prices(market.price), market.price, rtol=1e-14)
    said = market.oracle_prices(moves_of(market, seed, 1, 1)[0, :, 0] * market.price)
    np.testing.assert_allclose(market.oracle_prices(said), said, rtol=1e-12)


@settings(max_examples=30)
@given(seed=SEEDS, kind=st.sampled_from(KINDS), policy=st.sampled_from(["largest_legs", "most_profitable"]))
def test_simulated_paths_stay_under_the_caps(seed, kind, policy):
    """The engine's own draws, capped by the twin and liquidated in plain Python."""
    market = with_oracles(random_market(seed, kind, 25), seed)
    plan = scenario(market.n_reserves, 8, seed, 2.0, n_factors=3 if seed % 2 else None)
    factors = np.concatenate([prices(plan, 3, seed), np.ones((3, 1, 8))], axis=1)
    capped = oracles.relative(market, factors[:, plan.factor])
    result = rc.simulate(market, plan, 3, seed=seed, policy=policy, threads=1)
    own = np.arange(market.n_reserves)
    expected = naive.simulate(market, capped, own, opening_steps(market, plan), policy)
    np.testing.assert_allclose(amounts(result), expected[:, :4], rtol=1e-8, atol=1e-3)
    np.testing.assert_array_equal(result.n_liquidations, expected[:, 4])


@settings(max_examples=30)
@given(seed=SEEDS, kind=st.sampled_from(KINDS), policy=st.sampled_from(["largest_legs", "most_profitable"]))
def test_given_paths_stay_under_the_caps(seed, kind, policy):
    market = with_oracles(random_market(seed, kind, 25), seed)
    moves = moves_of(market, seed)
    paths = given_paths(market, moves)
    capped = oracles.relative(market, moves)
    own = np.arange(market.n_reserves)
    expected = naive.simulate(market, capped, own, opening_steps(market, paths), policy)
    result = rc.simulate(market, paths, policy=policy)
    np.testing.assert_allclose(amounts(result), expected[:, :4], rtol=1e-8, atol=1e-3)


@settings(max_examples=50)
@given(
    seed=SEEDS,
    kind=st.sampled_from(KINDS),
    n_steps=st.sampled_from([1, 8, 9, 24]),
    policy=st.sampled_from(sorted(POLICIES)),
    sold=st.booleans(),
)
def test_pruned_equals_brute_force_bit_for_bit(seed, kind, n_steps, policy, sold):
    market = with_oracles(random_market(seed, kind), seed)
    plan = scenario(market.n_reserves, n_steps, seed, 2.0, n_factors=3 if seed % 3 else None)
    worth = max(float(market.collateral.amount @ market.price[market.collateral.reserve]), 1.0)
    impact = rc.Impact.exponential(np.full(market.n_reserves, worth * 0.3)) if sold else None
    pruned = rc.simulate(market, plan, 9, seed=seed, policy=policy, threads=1, impact=impact)
    for method in (True,) if sold else (True, "simd"):
        brute = rc.simulate(market, plan, 9, seed=seed, policy=policy, threads=1, impact=impact, brute_force=method)
        for name in ("path", "by_step", "fan", "hits"):
            np.testing.assert_array_equal(getattr(pruned, name), getattr(brute, name), err_msg=name)


@settings(max_examples=30)
@given(seed=SEEDS, kind=st.sampled_from(KINDS), policy=st.sampled_from(sorted(POLICIES)))
def test_what_if_a_sweep_and_a_path_give_one_answer(seed, kind, policy):
    market = with_oracles(random_market(seed, kind, 40), seed)
    market = replace(market, reserves=replace(market.reserves, grace_until=np.zeros(market.n_reserves)))
    direction = np.random.default_rng(seed).uniform(-1, 1, market.n_reserves)
    curve = rc.sweep(market, direction, 40, policy)
    for i in (1, 5, 17, 39):
        answer = rc.what_if(market, curve.shock[i] * direction, policy)
        rtol, atol = 1e-8, 1e-5 * (1 + answer.n_accounts)
        assert curve.n_accounts[i] == answer.n_accounts
        for name in ("debt_usd", "repaid_usd", "seized_usd", "deficit_usd"):
            np.testing.assert_allclose(getattr(curve, name)[i], getattr(answer, name), rtol, atol, err_msg=name)
        if policy == "first_passage":
            continue  # counts an account's whole debt along a path, and liquidates nobody
        for feeds in (market.price * (1 + curve.shock[i] * direction), answer.price):
            result = rc.simulate(market, rc.PricePaths.one_step(market, feeds), policy=policy)
            found = [result.repaid_usd[0], result.seized_usd[0], result.fee_usd[0], result.deficit_usd[0]]
            expected = [answer.repaid_usd, answer.seized_usd, answer.fee_usd, answer.deficit_usd]
            np.testing.assert_allclose(found, expected, rtol, atol)


@settings(max_examples=25)
@given(seed=SEEDS, kind=st.sampled_from(KINDS), policy=st.sampled_from(sorted(POLICIES)))
def test_a_cap_that_is_never_reached_changes_no_bit(seed, kind, policy):
    market = random_market(seed, kind)
    far = replace(market, reserves=replace(market.reserves, price_cap=market.price * 1e12))
    plan = scenario(market.n_reserves, 9, seed, 2.0)
    one, other = (rc.simulate(book, plan, 9, seed=seed, policy=policy, threads=1) for book in (market, far))
    for name in ("path", "by_step", "fan", "hits"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_the_laws_above_see_caps_at_work():
    """They would pass where no cap binds and nobody is liquidated; on these books both happen."""
    changed = 0
    for seed in range(20):
        market = random_market(seed, "already_liquidatable")
        capped = with_oracles(market, seed)
        plan = scenario(market.n_reserves, 8, seed, 2.0)
        one, other = rc.simulate(market, plan, 5), rc.simulate(capped, plan, 5)
        assert one.repaid_usd.sum() > 0
        changed += int(not np.array_equal(one.path, other.path))
    assert changed > 10
