"""Feeds that answer late: by hand, against brute force bit for bit, against the definition in plain Python; laws."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.draws import Draws
from risk_core.feeds import Feeds
from risk_core.kernels.paths import padded_steps, price_block
from tests.markets import KINDS, market, one_account, random_market, reserves, scenario
from tests.property.drawn import random_impact, random_limits

HOUR = timedelta(hours=1)


def path_of(book: rc.Market, *eth: float) -> rc.PricePaths:
    """Hours of prices of the first reserve after the snapshot; the others stay."""
    price = np.repeat(book.price[None, :, None], len(eth) + 1, axis=2)
    price[0, 0, 1:] = eth
    return rc.PricePaths(name="hours", price=price, step=HOUR)


def told(book: rc.Market, path: rc.PricePaths | rc.Scenario, feeds: Feeds | None, n: int = 1, seed: int = 3):
    """(paths, reserves, steps) relative oracle prices, and those of the market, as the engine's kernels make them."""
    draws = Draws(book, path, feeds)
    steps = path.n_steps
    x = np.ones((n, draws.n_rows + 1, padded_steps(steps)))
    f = draws.n_factors
    price_block(draws.kernel, np.uint64(seed), 0, n, steps, np.empty((f + 1 + (f + 1) % 2, steps)), x)
    row = np.where(draws.oracle.row < 0, f, draws.oracle.row)
    sold = np.where(draws.oracle.market_row < 0, f, draws.oracle.market_row)
    return x[:, row, :steps], x[:, sold, :steps]


def spread(book: rc.Market, **more: float) -> Feeds:
    return Feeds.alike(book.n_reserves, **more)


def test_a_small_move_is_not_told_and_a_large_one_is():
    """0.5 %: 2,000 -> 1,991 is not told; 1,989 is, 0.55 % from the last answer; then 1,985 is not."""
    book = one_account(price=2_000.0)
    oracle, sold = told(book, path_of(book, 1_991.0, 1_989.0, 1_985.0), spread(book, deviation=0.005))
    assert oracle[0, 0] * 2_000 == pytest.approx([2_000, 1_989, 1_989])
    assert sold[0, 0] * 2_000 == pytest.approx([1_991, 1_989, 1_985])


def test_the_heartbeat_tells_what_is_due_and_counts_from_the_last_answer():
    """Every 2 hours whatever the move; one hour of it has passed at the snapshot."""
    book = one_account(price=2_000.0)
    feeds = spread(book, deviation=0.5, heartbeat=7_200.0, age=3_600.0)
    oracle, _ = told(book, path_of(book, 1_999.0, 1_998.0, 1_997.0, 1_996.0), feeds)
    assert oracle[0, 0] * 2_000 == pytest.approx([1_999, 1_999, 1_997, 1_997])


def test_an_answer_is_read_after_its_lag_rounded_to_steps():
    book = one_account(price=2_000.0)
    path = path_of(book, 1_900.0, 1_800.0, 1_700.0)
    for lag, seen in ((1_000.0, [1_900, 1_800, 1_700]), (1_800.0, [2_000, 1_900, 1_800]), (9e5, [2_000] * 3)):
        oracle, _ = told(book, path, spread(book, lag=lag))
        assert oracle[0, 0] * 2_000 == pytest.approx(seen)


def test_a_late_feed_liquidates_late_and_at_a_loss():
    """ETH falls to 1,500 at once and is told two hours later: until then the account looks healthy."""
    book = one_account(price=2_000.0)
    path = path_of(book, 1_500.0, 1_500.0, 1_500.0)
    at_once, late = (rc.simulate(book, path, threads=1, feeds=f) for f in (None, spread(book, lag=7_200.0)))
    assert at_once.repaid_by_step[:, 1] == pytest.approx([15_000 / 1.05, 0, 0], abs=1e-3)
    assert late.repaid_by_step[:, 1] == pytest.approx([0, 0, 15_000 / 1.05], abs=1e-3)
    assert late.deficit_usd == pytest.approx(at_once.deficit_usd)


def test_nobody_buys_at_an_oracle_that_is_above_the_market():
    """The oracle says 1,900, the market 1,780: a bonus of 5 % does not pay for 6.3 %, so the account waits."""
    book = one_account(price=2_000.0)
    path = path_of(book, 1_900.0, 1_780.0, 1_780.0)
    late = spread(book, lag=3_600.0)
    limited = rc.simulate(book, path, threads=1, feeds=late, liquidators=rc.Liquidators(cost=0.0))
    assert limited.repaid_by_step[:, 1] == pytest.approx([0, 0, 16_000 / 2], abs=8_000)
    assert limited.repaid_by_step[1, 1] == 0  # sees 1,900: below 1, and nobody acts
    assert limited.waiting_steps[1] == pytest.approx(16_000)
    assert limited.repaid_by_step[2, 1] > 0  # sees 1,780


def test_a_ratio_is_the_markets_and_its_base_what_the_feed_says():
    book = reserves(3, symbol=["ETH", "stETH", "USD"], ratio_of=[-1, 0, -1], ratio_cap=[np.inf, 1.25, np.inf])
    pair = market(book, [2_000.0, 2_400.0, 1.0], [{1: 10.0}], [{2: 100.0}])
    price = np.repeat(pair.price[None, :, None], 3, axis=2)
    price[0, 0, 1:] = [1_990.0, 1_900.0]  # 0.5 % is 10 USD
    price[0, 1, 1:] = [1_990.0 * 1.21, 1_900.0 * 1.3]
    path = rc.PricePaths(name="ratio", price=price, step=HOUR)
    oracle, sold = told(pair, path, spread(pair, deviation=0.02))
    assert oracle[0, 0] * 2_000 == pytest.approx([2_000, 1_900])
    assert oracle[0, 1] * 2_400 == pytest.approx([2_000 * 1.21, 1_900 * 1.25])
    assert sold[0, 1] * 2_400 == pytest.approx([1_990 * 1.21, 1_900 * 1.3])


def test_linked_and_constant_prices_have_no_feed_of_their_own():
    book = reserves(3, symbol=["USDT", "USDe", "GHO"], linked_to=[-1, 0, -1], fixed_price=[False, False, True])
    three = market(book, [1.0, 1.0, 1.0], [{0: 10.0}], [{1: 1.0}])
    feeds = Feeds(deviation=[0.1, 0.0, 0.0], heartbeat=[np.inf] * 3, lag=[0.0, 9e9, 9e9], age=[0.0] * 3)
    price = np.ones((1, 3, 3))
    price[0, 0, 1:] = [0.95, 0.85]
    price[0, 2, 1:] = 0.5
    oracle, _ = told(three, rc.PricePaths(name="link", price=price, step=HOUR), feeds)
    assert oracle[0].tolist() == [[1.0, 0.85], [1.0, 0.85], [1.0, 1.0]]


@pytest.mark.property
@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    deviation=st.sampled_from([0.0, 0.005, 0.05]),
    heartbeat=st.sampled_from([np.inf, 3_600.0, 10_000.0]),
    lag=st.sampled_from([0.0, 3_600.0, 7_300.0]),
    age=st.sampled_from([0.0, 2_000.0]),
)
def test_what_feeds_say_is_their_definition(seed, deviation, heartbeat, lag, age):
    book = random_market(seed)
    plan = scenario(book.n_reserves, 24, seed, 0.9)
    feeds = spread(book, deviation=deviation, heartbeat=heartbeat, lag=lag, age=age)
    oracle, sold = told(book, plan, feeds, n=3, seed=seed)
    step = plan.step.total_seconds()
    late = int(lag / step + 0.5)
    for path in range(3):
        for r in range(book.n_reserves):
            answers, last, since = [], 1.0, age
            for price in sold[path, r]:
                since += step
                if abs(price / last - 1) >= deviation or since >= heartbeat:
                    last, since = price, 0.0
                answers.append(last)
            np.testing.assert_array_equal(oracle[path, r], ([1.0] * late + answers)[:24])


@pytest.mark.property
@settings(max_examples=80)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    n_steps=st.sampled_from([1, 8, 24, 31]),
    fewer_factors=st.booleans(),
    deviation=st.sampled_from([0.0, 0.01, 0.1]),
    lag=st.sampled_from([0.0, 3_600.0, 20_000.0]),
    sells=st.booleans(),
)
def test_pruned_equals_brute_force_bit_for_bit(seed, kind, n_steps, fewer_factors, deviation, lag, sells):
    book = random_market(seed, kind)
    plan = scenario(book.n_reserves, n_steps, seed, 0.9, n_factors=3 if fewer_factors else None)
    rng = np.random.default_rng(seed)
    r = book.n_reserves
    feeds = Feeds(
        deviation=deviation * rng.random(r), heartbeat=rng.choice([np.inf, 7_200.0], r), lag=lag * rng.random(r),
        age=rng.uniform(0, 3_600, r),
    )  # fmt: skip
    how = dict(seed=seed, threads=1, feeds=feeds)
    if sells and n_steps != 31:
        how |= {"impact": random_impact(book, seed, 0.1), "liquidators": random_limits(book, seed)}
    pruned, brute = (rc.simulate(book, plan, 9, brute_force=b, **how) for b in (False, True))
    for name in ("path", "by_step", "fan", "hits"):
        np.testing.assert_array_equal(getattr(pruned, name), getattr(brute, name), err_msg=name)


@pytest.mark.property
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_feeds_that_answer_at_once_change_no_bit(seed, kind):
    book, plan = random_market(seed, kind), scenario(max(len(random_market(seed, kind).reserves), 1), 24, seed, 0.9)
    plain, at_once = (rc.simulate(book, plan, 9, seed=seed, threads=1, feeds=f) for f in (None, spread(book)))
    for name in ("path", "by_step", "fan", "hits"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(at_once, name), err_msg=name)


def test_shares_of_a_tail_follow_the_same_feeds_and_runs_of_others_do_not_add_up():
    book, plan = random_market(3), scenario(5, 24, 3, 0.9)
    late = spread(book, deviation=0.02, lag=7_200.0)
    run = rc.simulate(book, plan, 4_000, feeds=late)
    assert (run.path != rc.simulate(book, plan, 4_000).path).any()
    assert rc.contributions(book, run, level=0.95).by_reserve is not None  # adds up to the run, or raises
    with pytest.raises(rc.InputError, match="different feeds"):
        rc.simulate(book, plan, paths=(0, 5), feeds=late) + rc.simulate(book, plan, paths=(5, 9))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Feeds.alike(2, deviation=-0.1), "deviation"),
        (lambda: Feeds.alike(2, deviation=50.0), "deviation"),
        (lambda: Feeds.alike(2, heartbeat=0.0), "heartbeat"),
        (lambda: Feeds.alike(2, lag=float("inf")), "lag"),
        (lambda: Feeds.alike(2, age=float("nan")), "age"),
        (lambda: rc.simulate(one_account(), path_of(one_account(), 1.0), feeds=Feeds.alike(3)), "expected 2 entries"),
        (lambda: rc.simulate(one_account(), path_of(one_account(), 1.0), feeds=0.005), "Feeds"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, words):
    with pytest.raises(rc.InputError, match=words):
        wrong()
