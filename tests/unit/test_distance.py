"""How far along a direction an account is from liquidation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.errors import InputError
from tests.markets import KINDS, market, one_account, random_market, reserves


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
    )  # fmt: skip
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
