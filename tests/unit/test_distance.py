"""How far along a direction an account is from liquidation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.errors import InputError
from tests.markets import KINDS, market, one_account, random_market, reserves, with_oracles


def test_distance_by_hand():
    """10 ETH at 2,000 with threshold 0.83 back 16,600 against 16,000: a fall by 600 / 16,600 is what it takes."""
    book = one_account(price=2_000.0)
    assert rc.distance_to_liquidation(book, {"ETH": -1}) == pytest.approx([600 / 16_600])
    assert rc.distance_to_liquidation(book, {"USDC": 1}) == pytest.approx([600 / 16_000])
    assert rc.distance_to_liquidation(book, {"ETH": 1}).tolist() == [np.inf]
    assert rc.distance_to_liquidation(one_account(price=1_900.0), {"ETH": -1}).tolist() == [0.0]


def test_who_cannot_get_there_and_who_owes_nothing():
    loop = {0: 10.0}, {0: 5.0}
    book = market(
        reserves(2), [100.0, 1.0], [loop[0], {0: 1.0}, {}, {0: 10.0, 1: 1e4}], [loop[1], {}, {1: 5.0}, {1: 1.0}]
    )
    distance = rc.distance_to_liquidation(book, [-1.0, 0.0])
    assert distance[0] == np.inf, "the same asset on both sides falls together"
    assert np.isnan(distance[1]), "no debt"
    assert distance[2] == 0.0, "debt without collateral"
    assert distance[3] == np.inf, "the other collateral suffices at any price of the first"


@pytest.mark.property
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_at_its_distance_an_account_is_at_one(seed, kind):
    book = random_market(seed, kind, 40)
    direction = np.random.default_rng(seed).uniform(-1, 0.5, book.n_reserves)
    distance = rc.distance_to_liquidation(book, direction)
    health = rc.health_factor(book)
    np.testing.assert_array_equal(np.isnan(distance), np.isinf(health))
    np.testing.assert_array_equal(distance == 0, health < 1)
    reached = np.flatnonzero(np.isfinite(distance) & (distance > 0))
    for account in reached[:8]:
        after = rc.health_factor(book, book.price * (1 + distance[account] * direction))
        assert after[account] == pytest.approx(1.0, rel=1e-9)


@pytest.mark.property
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_whoever_is_nearer_than_the_shock_is_what_a_what_if_lists(seed, kind):
    """Of those above 1 at the snapshot; one who begins below may be healed on the way."""
    book = random_market(seed, kind, 40)
    direction = np.random.default_rng(seed).uniform(-1, 0, book.n_reserves)
    distance = rc.distance_to_liquidation(book, direction)
    for shock in (0.1, 0.45, 0.9):
        listed = rc.what_if(book, shock * direction).liquidatable
        clear = (distance > 0) & ~(np.abs(distance - shock) < 1e-9)
        expected = np.flatnonzero(clear & (distance < shock))
        np.testing.assert_array_equal(np.sort(listed[clear[listed]]), expected)


def test_a_direction_has_a_finite_weight_for_each_reserve():
    with pytest.raises(InputError, match="direction: expected 2 weights"):
        rc.distance_to_liquidation(one_account(), [-1.0])
    with pytest.raises(InputError, match="weights must be finite"):
        rc.distance_to_liquidation(one_account(), [-1.0, np.nan])


def test_a_cap_stops_a_rise_and_a_link_follows():
    """16,000 USDC reach 16,600 at +3.75 %: with a cap of 1.04 they do, with one of 1.03 they never do."""
    book = one_account(price=2_000.0)

    def capped(cap):
        return replace(book, reserves=replace(book.reserves, price_cap=[np.inf, cap]))

    for cap, expected in ((1.04, 0.0375), (1.03, np.inf)):
        assert rc.distance_to_liquidation(capped(cap), {"USDC": 1}) == pytest.approx([expected])
    # ETH falls a tenth as fast: 16,600 (1 - s / 10) = 16,000 (1 + s) under the cap, = 16,000 x 1.03 or 1.01 at it
    for cap, expected in ((1.04, 600 / 17_660), (1.03, (16_600 - 16_480) / 1_660), (1.01, (16_600 - 16_160) / 1_660)):
        found = rc.distance_to_liquidation(capped(cap), {"USDC": 1, "ETH": -0.1})
        assert found == pytest.approx([expected], rel=1e-12)
    fixed = replace(book, reserves=replace(book.reserves, fixed_price=[False, True]))
    assert rc.distance_to_liquidation(fixed, {"USDC": 1}).tolist() == [np.inf]
    linked = market(
        reserves(3, linked_to=[-1, -1, 0]), [1.0, 1.0, 2.0], [{1: 20_000.0}], [{2: 5_000.0}]
    )  # reserve 2 is priced by reserve 0
    assert rc.distance_to_liquidation(linked, [1.0, 0.0, 0.0]) == pytest.approx([20_000 * 0.83 / 10_000 - 1])
    assert rc.distance_to_liquidation(linked, [0.0, 0.0, 1.0]).tolist() == [np.inf]


@pytest.mark.property
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_at_its_distance_an_account_is_at_one_whatever_oracles_say(seed, kind):
    book = with_oracles(random_market(seed, kind, 40), seed)
    direction = np.random.default_rng(seed).uniform(-1, 1, book.n_reserves)
    if seed % 3 == 0:
        direction = np.abs(direction)
    distance = rc.distance_to_liquidation(book, direction)
    farthest = min(0.999 / -direction.min() if direction.min() < 0 else 3.0, 3.0)
    grid = np.linspace(0, farthest, 40)
    health = np.array([rc.health_factor(book, book.shocked(s * direction)) for s in grid])
    for account in np.flatnonzero(~np.isnan(distance) & (distance > 0)):
        before = health[grid < distance[account] - 1e-9, account]
        assert (before > 1 - 1e-9).all(), "no earlier crossing"
        if np.isfinite(distance[account]) and distance[account] < farthest:
            after = rc.health_factor(book, book.shocked(distance[account] * direction))
            assert after[account] == pytest.approx(1.0, rel=1e-7)
