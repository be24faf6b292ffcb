"""Cascades against their twins: brute force bit for bit, plain Python within rounding, no impact bit for bit."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.draws import opening_steps
from risk_core.kernels.cascade import MAX_ROUNDS
from risk_core.liquidation import POLICIES
from tests.markets import KINDS, random_market, scenario
from tests.property.drawn import CASCADE, amounts, random_impact, random_paths, same
from tests.reference import naive

pytestmark = pytest.mark.property


@settings(max_examples=200)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    n_steps=st.sampled_from([1, 2, 7, 8, 9, 24, 31, 100]),
    n_paths=st.integers(1, 11),
    n_accounts=st.integers(1, 120),
    fewer_factors=st.booleans(),
    volatility=st.sampled_from([0.1, 0.9, 4.0]),
    depth=st.sampled_from([1e-3, 0.1, 3.0, 1e3]),
    policy=st.sampled_from(sorted(POLICIES)),
)
def test_pruned_cascade_equals_brute_force_bit_for_bit(
    seed, kind, n_steps, n_paths, n_accounts, fewer_factors, volatility, depth, policy
):
    market = random_market(seed, kind, n_accounts)
    plan = scenario(market.n_reserves, n_steps, seed, volatility, n_factors=3 if fewer_factors else None)
    impact = random_impact(market, seed, depth)
    pruned = rc.simulate(market, plan, n_paths, seed=seed, policy=policy, threads=1, impact=impact)
    brute = rc.simulate(market, plan, n_paths, seed=seed, policy=policy, threads=1, impact=impact, brute_force=True)
    same(pruned, brute, CASCADE)


@settings(max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    n_steps=st.sampled_from([1, 9, 24]),
    policy=st.sampled_from(sorted(POLICIES)),
    brute=st.booleans(),
)
def test_without_impact_a_cascade_is_the_plain_engine_bit_for_bit(seed, kind, n_steps, policy, brute):
    market = random_market(seed, kind)
    plan = scenario(market.n_reserves, n_steps, seed, 2.0)
    deep = rc.Impact.exponential(np.full(market.n_reserves, np.inf))
    plain = rc.simulate(market, plan, 9, seed=seed, policy=policy, threads=1)
    cascade = rc.simulate(market, plan, 9, seed=seed, policy=policy, threads=1, impact=deep, brute_force=brute)
    same(plain, cascade)
    np.testing.assert_array_equal(cascade.multiplier_by_step, 1.0)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    depth=st.sampled_from([0.01, 0.3, 5.0]),
    policy=st.sampled_from(["largest_legs", "most_profitable"]),
)
def test_cascades_agree_with_the_plain_python_twin(seed, kind, depth, policy):
    market = random_market(seed, kind, 25)
    paths = random_paths(market, seed, 2, 5, timedelta(hours=2))
    impact = random_impact(market, seed, depth)
    result = rc.simulate(market, paths, policy=policy, impact=impact)
    relative = paths.price[:, :, 1:] / market.price[:, None]
    expected, multiplier = naive.cascade(market, relative, opening_steps(market, paths), policy, impact, paths.step)
    found = amounts(result)
    np.testing.assert_allclose(found, expected[:, :4], rtol=1e-7, atol=1e-2)
    np.testing.assert_array_equal(result.n_liquidations, expected[:, 4])
    np.testing.assert_array_equal(result.n_accounts_liquidated, expected[:, 5])
    np.testing.assert_allclose(result.multiplier_by_step, multiplier, atol=1e-7)


def test_the_twin_comparisons_see_cascades():
    """The tests above would pass on books where no sale brings anybody down; here they bring down many."""
    plain = impacted = 0.0
    rounds_ran_out = 0
    for kind in KINDS:
        market = random_market(1, kind)
        plan = scenario(market.n_reserves, volatility=0.9)
        plain += rc.simulate(market, plan, 20).repaid_usd.sum()
        result = rc.simulate(market, plan, 20, impact=random_impact(market, 1, 0.1))
        impacted += result.repaid_usd.sum()
        rounds_ran_out += int(result.unsettled.sum())
    assert impacted > 1.2 * plain
    assert rounds_ran_out == 0, f"rounds are cut at {MAX_ROUNDS} only by extremes"


@settings(max_examples=25)
@given(seed=st.integers(0, 2**64 - 1), cut=st.integers(1, 29), threads=st.sampled_from([1, 2, 4]))
def test_any_split_of_the_paths_gives_the_same_bits(seed, cut, threads):
    market = random_market(3)
    plan, impact = scenario(5), random_impact(market, 3, 0.1)
    whole = rc.simulate(market, plan, 30, seed=seed, threads=1, impact=impact)
    first = rc.simulate(market, plan, seed=seed, paths=(0, cut), threads=threads, impact=impact)
    second = rc.simulate(market, plan, seed=seed, paths=(cut, 30), threads=threads, impact=impact)
    same(whole, first + second, CASCADE)
    with pytest.raises(rc.InputError, match="different impacts"):
        first + rc.simulate(market, plan, seed=seed, paths=(cut, 30), threads=threads)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    depth=st.sampled_from([1e-3, 0.1, 3.0]),
    policy=st.sampled_from(sorted(POLICIES)),
)
def test_money_is_conserved_and_prices_stay_positive(seed, kind, depth, policy):
    market = random_market(seed, kind)
    impact = random_impact(market, seed, depth)
    plan = scenario(market.n_reserves, 8, seed, volatility=2.0)
    result = rc.simulate(market, plan, 16, seed=seed, policy=policy, impact=impact)
    assert (result.path >= 0).all()
    for column in range(4):
        by_path, by_step = result.path[:, column].sum() / 1e6, result.by_step[:, :, column].sum() / 1e3
        assert by_step == pytest.approx(by_path, rel=1e-9, abs=1e-3 * (1 + result.n_liquidations.sum()))
    assert result.fan.sum(axis=1).tolist() == [16] * 8
    assert result.account_hits.sum() == result.n_accounts_liquidated.sum()
    assert (result.multiplier_by_step >= 0).all()
    assert (result.multiplier_by_step <= 1).all()
    assert (result.unsettled <= 16).all()


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6), depth=st.sampled_from([1e-3, 1.0, 1e3]))
def test_a_larger_sale_never_fetches_less_nor_leaves_a_higher_price(seed, depth):
    impact = random_impact(random_market(seed), seed, depth)
    sold = np.concatenate([[0.0], np.sort(np.random.default_rng(seed).exponential(impact.sold_usd.max(), 50))])
    multiplier = np.array([impact.multiplier(q) for q in sold])
    proceeds = np.array([impact.proceeds(q) for q in sold])
    np.testing.assert_array_equal(multiplier[0], 1.0)
    assert ((multiplier > 0) & (multiplier <= 1)).all()
    assert (np.diff(multiplier, axis=0) <= 1e-15).all()
    assert (np.diff(proceeds, axis=0) >= -1e-9 * proceeds[1:]).all()
    assert (proceeds <= sold[:, None] * (1 + 1e-12)).all()
