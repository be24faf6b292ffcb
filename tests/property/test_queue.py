"""Limited liquidators against their twins: brute force bit for bit, plain Python within rounding; by hand; laws."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.draws import opening_steps
from risk_core.liquidation import POLICIES
from risk_core.liquidators import Liquidators
from tests.markets import KINDS, market, one_account, random_market, reserves, scenario
from tests.property.drawn import QUEUE, amounts, random_impact, random_limits, random_paths, same
from tests.reference import naive

ACTING = sorted(set(POLICIES) - {"first_passage"})


def at(book: rc.Market, prices, **more) -> rc.Result:
    """One step to these prices."""
    return rc.simulate(book, rc.PricePaths.one_step(book, prices), threads=1, **more)


def depth(usd: float, half_life: timedelta | None = None) -> rc.Impact:
    """ETH with an exponential depth, USDC without impact."""
    return rc.Impact.exponential([usd, np.inf], half_life)


def test_nobody_calls_where_the_bonus_does_not_pay_the_cost():
    book = one_account(price=2_000.0)
    for cost, repaid in ((0.049, 8_000), (0.051, 0)):
        run = at(book, [1_900.0, 1.0], liquidators=Liquidators(cost=cost))
        assert run.repaid_usd == pytest.approx([repaid])
        assert run.waiting_usd == pytest.approx([0 if repaid else 16_000])
        assert run.shortfall_usd == pytest.approx([0])


def test_the_treasurys_fee_comes_out_of_the_bonus():
    """A bonus of 5 % with a fee of 20 % leaves 1 + 0.05 x 0.8 = 1.04."""
    book = one_account(price=2_000.0, fee=0.2)
    assert at(book, [1_900.0, 1.0], liquidators=Liquidators(cost=0.039)).repaid_usd == pytest.approx([8_000])
    assert at(book, [1_900.0, 1.0], liquidators=Liquidators(cost=0.041)).repaid_usd == pytest.approx([0])


def test_a_call_ends_where_the_last_dollar_no_longer_pays():
    """Depth 10,000: 1.05 exp(-s / 10,000) = 1.0005 at s = 482.85; the call repays s / 1.05, the rest waits."""
    book = one_account(price=2_000.0)
    run = at(book, [1_900.0, 1.0], impact=depth(10_000.0), liquidators=Liquidators(feedback=0.0))
    sold = 10_000 * np.log(1.05 / 1.0005)
    assert run.repaid_usd == pytest.approx([sold / 1.05])
    assert run.seized_usd == pytest.approx([sold])
    assert run.waiting_usd == pytest.approx([16_000 - sold / 1.05])
    assert run.multiplier_by_step[0, 0] == pytest.approx(1.0005 / 1.05)
    # Fed back, the oracle follows the market down: every round the bonus pays again, until the debt is uncovered.
    fed = at(book, [1_900.0, 1.0], impact=depth(10_000.0), liquidators=Liquidators(feedback=1.0))
    assert fed.repaid_usd > run.repaid_usd
    assert fed.shortfall_usd > run.shortfall_usd == 0


def test_depth_comes_back_and_the_queue_goes_on():
    """A half-life of one step: half of what was sold weighs on the next one, so about half of the room is back."""
    book = one_account(price=2_000.0)
    price = np.ones((1, 2, 4))
    price[0, 0] = [2_000.0, 1_900.0, 1_900.0, 1_900.0]
    path = rc.PricePaths(name="low", price=price, step=timedelta(hours=1))
    run = rc.simulate(
        book, path, threads=1, impact=depth(10_000.0, timedelta(hours=1)), liquidators=Liquidators(feedback=0.0)
    )
    first = 10_000 * np.log(1.05 / 1.0005) / 1.05
    assert run.repaid_by_step[:, 1] == pytest.approx([first, first / 2, first / 2], abs=1e-3)


def test_what_a_call_earns_must_pay_its_fixed_cost():
    """8,000 repaid earn 400; with endless depth that is 396 after 0.05 % of cost."""
    book = one_account(price=2_000.0)
    assert at(book, [1_900.0, 1.0], liquidators=Liquidators(fixed_usd=395.0)).repaid_usd == pytest.approx([8_000])
    assert at(book, [1_900.0, 1.0], liquidators=Liquidators(fixed_usd=397.0)).repaid_usd == pytest.approx([0])


def test_capital_goes_to_the_most_profitable_and_comes_back_after_its_window():
    """Two accounts, ten times apart; 50,000 of capital: the large one takes all of it, in each window once."""
    book = reserves(2, symbol=["ETH", "USDC"], protocol_fee=[0.0, 0.0], liquidation_threshold=[0.83, 0.78])
    two = market(book, [2_000.0, 1.0], [{0: 10.0}, {0: 100.0}], [{1: 16_000.0}, {1: 160_000.0}])
    price = np.full((1, 2, 5), 1.0)
    price[0, 0] = [2_000.0, 1_900.0, 1_900.0, 1_900.0, 1_900.0]
    path = rc.PricePaths(name="low", price=price, step=timedelta(hours=12))
    run = rc.simulate(two, path, threads=1, liquidators=Liquidators(cost=0.0, capital_usd=50_000.0))
    # 80,000 for the large one; 50,000 at once, and after 24 hours what is still below 1
    assert run.repaid_by_step[0, 1] == pytest.approx(50_000)
    assert run.repaid_by_step[1, 1] == 0
    assert run.repaid_by_step[2, 1] > 0
    assert run.account_hits.tolist() in ([1, 1], [0, 1])
    tight = rc.simulate(two, path, threads=1, liquidators=Liquidators(cost=0.0, capital_usd=0.0))
    assert tight.repaid_usd == 0
    assert tight.waiting_usd == pytest.approx([176_000])


def test_debt_that_waits_above_its_collateral_is_a_shortfall():
    book = one_account(price=2_000.0)
    run = at(book, [1_500.0, 1.0], liquidators=Liquidators(cost=0.2))
    assert run.deficit_usd == 0
    assert run.shortfall_usd == pytest.approx([1_000])
    acted = at(book, [1_500.0, 1.0], liquidators=Liquidators())
    assert acted.shortfall_usd == acted.deficit_usd
    assert acted.deficit_usd == pytest.approx([16_000 - 15_000 / 1.05], abs=0.01)


def test_a_sale_within_one_market_of_the_impact_moves_no_price():
    book = reserves(2, symbol=["WETH", "wstETH"], liquidation_threshold=[0.95, 0.95], liquidation_bonus=[0.01, 0.01])
    loop = market(book, [2_000.0, 2_400.0], [{1: 10.0}], [{0: 11.3}])
    impact = rc.Impact.exponential([1_000.0, 1_000.0], market=[0, 0])
    run = at(loop, [2_000.0, 2_350.0], impact=impact, liquidators=Liquidators())
    assert run.repaid_usd[0] > 10_000
    assert run.multiplier_by_step == pytest.approx(np.ones((1, 2)))


@pytest.mark.property
@settings(max_examples=120)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    n_steps=st.sampled_from([1, 2, 8, 12, 24]),
    n_paths=st.integers(1, 11),
    fewer_factors=st.booleans(),
    volatility=st.sampled_from([0.9, 4.0]),
    depth=st.sampled_from([1e-3, 0.1, 3.0, 1e3]),
    policy=st.sampled_from(ACTING),
)
def test_the_pruned_queue_equals_brute_force_bit_for_bit(
    seed, kind, n_steps, n_paths, fewer_factors, volatility, depth, policy
):
    book = random_market(seed, kind)
    plan = scenario(book.n_reserves, n_steps, seed, volatility, n_factors=3 if fewer_factors else None)
    how = dict(seed=seed, policy=policy, threads=1, impact=random_impact(book, seed, depth),
               liquidators=random_limits(book, seed))  # fmt: skip
    same(rc.simulate(book, plan, n_paths, **how), rc.simulate(book, plan, n_paths, brute_force=True, **how), QUEUE)


@pytest.mark.property
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), policy=st.sampled_from(ACTING), brute=st.booleans())
def test_liquidators_without_limits_are_the_plain_engine_bit_for_bit(seed, kind, policy, brute):
    book = random_market(seed, kind)
    plan = scenario(book.n_reserves, 24, seed, 2.0)
    free = rc.simulate(book, plan, 9, seed=seed, policy=policy, threads=1, liquidators=Liquidators(cost=-0.9),
                       brute_force=brute)  # fmt: skip
    plain = rc.simulate(book, plan, 9, seed=seed, policy=policy, threads=1)
    same(free, plain)


@pytest.mark.property
@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    depth=st.sampled_from([0.01, 0.3, 5.0]),
    policy=st.sampled_from(["largest_legs", "most_profitable"]),
)
def test_the_queue_agrees_with_the_plain_python_twin(seed, kind, depth, policy):
    book = random_market(seed, kind, 10)
    paths = random_paths(book, seed, 2, 4, timedelta(hours=12))
    impact, limits = random_impact(book, seed, depth), random_limits(book, seed)
    run = rc.simulate(book, paths, policy=policy, impact=impact, liquidators=limits, threads=1)
    relative = paths.price[:, :, 1:] / book.price[:, None]
    expected, waiting = naive.queue(book, relative, opening_steps(book, paths), policy, impact, paths.step, limits)
    found = amounts(run)
    np.testing.assert_allclose(found, expected[:, :4], rtol=1e-6, atol=0.5)
    np.testing.assert_allclose(run.waiting_usd, waiting.max(axis=1), rtol=1e-6, atol=0.5)
    np.testing.assert_allclose(run.waiting_steps, waiting.mean(axis=0), rtol=1e-6, atol=0.5)


@pytest.mark.property
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), policy=st.sampled_from(ACTING))
def test_no_window_repays_more_than_the_capital(seed, kind, policy):
    book = random_market(seed, kind)
    owed = float((book.debt.amount * book.price[book.debt.reserve]).sum()) + 1.0
    limits = Liquidators(capital_usd=0.02 * owed, window=timedelta(hours=3))
    run = rc.simulate(book, scenario(book.n_reserves, 24, seed, 2.0), 1, seed=seed, policy=policy, liquidators=limits)
    repaid = run.repaid_by_step.sum(axis=1)
    for t in range(24):
        assert repaid[max(t - 2, 0) : t + 1].sum() <= limits.capital_usd + 0.01 * run.n_liquidations[0] + 1e-6


@pytest.mark.property
@settings(max_examples=25)
@given(seed=st.integers(0, 2**64 - 1), cut=st.integers(1, 29), threads=st.sampled_from([1, 2, 4]))
def test_any_split_of_the_paths_gives_the_same_bits(seed, cut, threads):
    book = random_market(3)
    plan = scenario(5)
    how = dict(seed=seed, impact=random_impact(book, 3, 0.1), liquidators=random_limits(book, 3))
    whole = rc.simulate(book, plan, 30, threads=1, **how)
    first = rc.simulate(book, plan, paths=(0, cut), threads=threads, **how)
    second = rc.simulate(book, plan, paths=(cut, 30), threads=threads, **how)
    same(whole, first + second, QUEUE)
    with pytest.raises(rc.InputError, match="different liquidators"):
        first + rc.simulate(book, plan, paths=(cut, 30), threads=threads, **(how | {"liquidators": Liquidators()}))


def test_shares_of_a_tail_are_refused_where_who_waits_depends_on_all():
    book, plan = random_market(3), scenario(5)
    run = rc.simulate(book, plan, 64, liquidators=Liquidators())
    with pytest.raises(rc.InputError, match="Simulate without `liquidators`"):
        rc.contributions(book, run)


def test_the_twin_comparisons_see_queues():
    """The tests above would pass on books where nobody waits; here many wait, some are served later."""
    waited = served = 0.0
    for kind in KINDS:
        book = random_market(1, kind)
        run = rc.simulate(
            book, scenario(book.n_reserves, 24, 1, 2.0), 20, impact=random_impact(book, 1, 0.1),
            liquidators=random_limits(book, 1),
        )  # fmt: skip
        waited += run.waiting_usd.sum()
        served += run.repaid_usd.sum()
    assert waited > 0
    assert served > 0


def test_an_impact_that_is_absorbed_within_a_step_leaves_no_price_behind():
    """A half-life of a second is nothing after an hour: the price of the next step is the path's."""
    book = one_account(price=2_000.0)
    price = np.ones((1, 2, 3))
    price[0, 0] = [2_000.0, 1_900.0, 1_900.0]
    path = rc.PricePaths(name="low", price=price, step=timedelta(hours=1))
    for limits in (None, Liquidators()):
        run = rc.simulate(
            book, path, threads=1, impact=depth(1e6, timedelta(seconds=1)), liquidators=limits
        )  # fmt: skip
        assert run.multiplier_by_step[0, 0] < 1
        assert run.multiplier_by_step[1, 0] == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Liquidators(cost=-1.0), "cost"),
        (lambda: Liquidators(cost=float("nan")), "cost"),
        (lambda: Liquidators(fixed_usd=-1.0), "fixed_usd"),
        (lambda: Liquidators(capital_usd=-1.0), "capital_usd"),
        (lambda: Liquidators(capital_usd=float("nan")), "capital_usd"),
        (lambda: Liquidators(window=3_600), "window"),
        (lambda: Liquidators(feedback=1.1), "feedback"),
        (lambda: Liquidators(capital_usd=1.0).steps(timedelta(hours=7)), "whole steps"),
        (lambda: at(one_account(), [1_800.0, 1.0], liquidators=0.5), "Liquidators"),
        (lambda: at(one_account(), [1_800.0, 1.0], liquidators=Liquidators(), policy="first_passage"), "nobody"),
        (lambda: at(one_account(), [1_800.0, 1.0], liquidators=Liquidators(), brute_force="simd"), "baseline"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, words):
    with pytest.raises(rc.InputError, match=words):
        wrong()
