"""The engine against its twins: brute force bit for bit, plain Python within rounding, and itself in every layout."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.draws import opening_steps
from risk_core.price_models import PricePaths
from tests.markets import KINDS, market, one_account, random_market, reserves, scenario
from tests.property.drawn import amounts, random_paths, same
from tests.reference import naive

pytestmark = pytest.mark.property

POLICIES = ("largest_legs", "most_profitable")
EVERY_POLICY = (*POLICIES, "protocol_helper", "first_passage")
LAWS = st.one_of(
    st.just(rc.GBM()),
    st.builds(rc.StudentT, st.floats(2.01, 50)),
    st.builds(rc.Jumps, st.floats(0, 2_000), st.floats(-0.4, 0.2), st.floats(0, 0.3)),
)


def of_history(kind: str, seed: int, block: float, alpha: float, beta: float):
    """A law of as many factors and of the step of the scenario that it will have."""

    def law(plan: rc.Scenario) -> rc.laws.Law:
        n, hours = len(plan.factors), plan.step / timedelta(hours=1)
        rng = np.random.default_rng(seed)
        rows = 0.01 * rng.standard_t(3, (100, n))
        numbers = dict(alpha=[alpha] * n, beta=[beta] * n, long_run=rng.uniform(0, 3, n), hours=hours)
        if kind == "bootstrap":
            return rc.Bootstrap(rows, block, hours)
        if kind == "filtered":
            return rc.FilteredHistory(rows, **numbers, mean_block=block)
        return rc.Garch(**numbers, nu=4.5 if kind == "garch-t" else None)

    return law


HISTORIES = st.builds(
    of_history,
    st.sampled_from(["bootstrap", "filtered", "garch", "garch-t"]),
    st.integers(0, 99),
    st.sampled_from([1.0, 3.5, 100.0]),
    st.floats(0, 0.5),
    st.floats(0, 0.49),
)
EVERY_LAW = st.one_of(LAWS, HISTORIES)


def under(plan: rc.Scenario, law, sampling: str) -> rc.Scenario:
    return replace(plan, law=law if isinstance(law, rc.laws.Law) else law(plan), sampling=sampling)


SAMPLINGS = st.sampled_from(["plain", "antithetic", "quasi"])


@settings(max_examples=300)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    n_steps=st.sampled_from([1, 2, 7, 8, 9, 24, 31, 300]),
    n_paths=st.integers(1, 19),
    n_accounts=st.integers(1, 120),
    fewer_factors=st.booleans(),
    volatility=st.sampled_from([0.1, 0.9, 4.0]),
    policy=st.sampled_from(EVERY_POLICY),
    shocked=st.booleans(),
    law=EVERY_LAW,
    sampling=SAMPLINGS,
)
def test_pruned_equals_brute_force_bit_for_bit(
    seed, kind, n_steps, n_paths, n_accounts, fewer_factors, volatility, policy, shocked, law, sampling
):
    market = random_market(seed, kind, n_accounts)
    plan = scenario(market.n_reserves, n_steps, seed, volatility, n_factors=3 if fewer_factors else None)
    if shocked:
        shock = np.random.default_rng(seed).uniform(-0.5, 0.2, len(plan.factors))
        plan = replace(plan, shock=shock)
    plan = under(plan, law, sampling)
    pruned = rc.simulate(market, plan, n_paths, seed=seed, policy=policy, threads=1)
    for method in (True, "simd"):
        same(pruned, rc.simulate(market, plan, n_paths, seed=seed, policy=policy, threads=1, brute_force=method))


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), policy=st.sampled_from(POLICIES))
def test_the_engine_agrees_with_the_plain_python_twin(seed, kind, policy):
    market = random_market(seed, kind, 25)
    paths = random_paths(market, seed, 3, 6, timedelta(hours=2))
    result = rc.simulate(market, paths, policy=policy)
    relative = paths.price[:, :, 1:] / market.price[:, None]
    expected = naive.simulate(market, relative, np.arange(market.n_reserves), opening_steps(market, paths), policy)
    found = amounts(result)
    np.testing.assert_allclose(found, expected[:, :4], rtol=1e-9, atol=1e-4)
    np.testing.assert_array_equal(result.n_liquidations, expected[:, 4])
    np.testing.assert_array_equal(result.n_accounts_liquidated, expected[:, 5])


def test_the_twin_comparison_sees_liquidations_and_deficits():
    """The two tests above would pass on books where nothing happens; these do not."""
    repaid = deficit = 0.0
    for kind in KINDS:
        result = rc.simulate(random_market(1, kind), scenario(12 if kind == "many_legs" else 5, volatility=3.0), 20)
        repaid += result.repaid_usd.sum()
        deficit += result.deficit_usd.sum()
    assert repaid > 1e6
    assert deficit > 1e4


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**64 - 1),
    cut=st.integers(1, 59),
    threads=st.sampled_from([1, 2, 4]),
    law=EVERY_LAW,
    sampling=SAMPLINGS,
)
def test_any_split_of_the_paths_gives_the_same_bits(seed, cut, threads, law, sampling):
    market = random_market(3)
    plan = under(scenario(5), law, sampling)
    whole = rc.simulate(market, plan, 60, seed=seed, threads=1)
    first = rc.simulate(market, plan, seed=seed, paths=(0, cut), threads=threads)
    second = rc.simulate(market, plan, seed=seed, paths=(cut, 60), threads=threads)
    same(whole, first + second)


def test_a_longer_run_begins_with_the_shorter_one():
    market, plan = random_market(4), scenario(5)
    short, long = (rc.simulate(market, plan, n) for n in (700, 1400))
    np.testing.assert_array_equal(long.path[:700], short.path)


def test_paths_do_not_depend_on_the_number_of_steps_drawn():
    """A draw depends on (seed, path, step, factor): the first six hours of a day are a six-hour run."""
    market = random_market(5)
    day = rc.simulate(market, scenario(5, 24), 50)
    morning = rc.simulate(market, scenario(5, 6, horizon=timedelta(hours=6)), 50)
    np.testing.assert_array_equal(day.by_step[:6], morning.by_step)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_permuting_accounts_permutes_results(seed, kind):
    market = random_market(seed, kind, 40)
    order = np.random.default_rng(seed).permutation(market.n_accounts)
    shuffled = permuted(market, order)
    plan = scenario(market.n_reserves, 12, seed, volatility=2.0)
    one, other = rc.simulate(market, plan, 10), rc.simulate(shuffled, plan, 10)
    np.testing.assert_array_equal(one.path, other.path)
    np.testing.assert_array_equal(one.hits[order], other.hits)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), policy=st.sampled_from(POLICIES))
def test_money_is_conserved(seed, kind, policy):
    """Per path: nothing is negative, steps add up to paths, and nobody repays more than is owed."""
    market = random_market(seed, kind)
    result = rc.simulate(market, scenario(market.n_reserves, 8, seed, volatility=2.0), 16, policy=policy)
    assert (result.path >= 0).all()
    for column in range(4):
        by_path, by_step = result.path[:, column].sum() / 1e6, result.by_step[:, :, column].sum() / 1e3
        assert by_step == pytest.approx(by_path, rel=1e-9, abs=1e-3 * (1 + result.n_liquidations.sum()))
    assert result.fan.sum(axis=1).tolist() == [16] * 8
    assert (result.account_hits <= 16).all()
    assert result.account_hits.sum() == result.n_accounts_liquidated.sum()


def permuted(market: rc.Market, order: np.ndarray) -> rc.Market:
    def side(positions: rc.Positions) -> rc.Positions:
        owner = np.repeat(np.arange(len(positions)), np.diff(positions.indptr))
        return rc.Positions.from_entries(np.argsort(order)[owner], positions.reserve, positions.amount, len(positions))

    return replace(
        market,
        accounts=market.accounts[order],
        emode=market.emode[order],
        collateral=side(market.collateral),
        debt=side(market.debt),
    )


def test_first_passage_counts_each_debt_once_and_no_liquidation():
    """10 ETH at 1,900 against 16,000 USDC, flat prices for five steps: 16,000 once; nothing seized, no deficit."""
    base = one_account()
    paths = PricePaths(name="flat", price=np.tile(base.price[:, None], (1, 1, 6)), step=timedelta(hours=1))
    result = rc.simulate(base, paths, policy="first_passage")
    assert result.repaid_usd.tolist() == [16_000.0]
    assert result.seized_usd.sum() == result.deficit_usd.sum() == 0
    assert result.n_liquidations.tolist() == [1]
    assert result.repaid_by_step[0].sum() == 16_000.0


def test_the_helpers_amount_leaves_a_hair_more_than_the_largest_call():
    """2,080 and 1,000 of debt: half of all, 1,540, would leave 540 of the larger. The call is cut to leave 1,000."""
    book = market(
        reserves(3, liquidation_bonus=[0.05] * 3), [1.0, 1.0, 1.0], [{0: 3_563.0}], [{1: 2_080.0, 2: 1_000.0}]
    )
    largest, helper = (rc.what_if(book, {}, policy).repaid_usd for policy in ("largest_legs", "protocol_helper"))
    assert largest == pytest.approx(1_080, abs=1e-9)
    assert helper == pytest.approx(1_080 - 1e-6, abs=1e-9)
