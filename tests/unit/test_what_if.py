"""Deterministic shocks: by hand, against the full health factors, and against the engine on the same prices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.errors import InputError
from risk_core.liquidation import POLICIES
from risk_core.price_models import PricePaths
from tests.markets import KINDS, one_account, random_market


def test_a_fall_to_1900_repays_half_and_seizes_the_bonus():
    """The hand case: 10 ETH at 2,000, falling 5 %, against 16,000 USDC. Half is repaid, 8,400 of ETH is taken."""
    answer = rc.what_if(one_account(price=2_000.0, fee=0.1), {"ETH": -0.05})
    assert answer.liquidatable.tolist() == [0]
    assert answer.liquidatable_health == pytest.approx([0.985625])
    assert answer.debt_usd == pytest.approx(16_000)
    assert answer.repaid_usd == pytest.approx(8_000)
    assert answer.seized_usd == pytest.approx(8_400 - 40)
    assert answer.fee_usd == pytest.approx(40)
    assert answer.deficit_usd == 0.0
    assert answer.repaid_by_reserve == pytest.approx([0, 8_000])
    assert answer.seized_by_reserve == pytest.approx([8_360, 0])


def test_bad_debt_is_what_collateral_cannot_pay_after_the_bonus():
    """10 ETH at 1,640 against 16,000: 15,619.05 is repaid, 380.95 becomes deficit - not debt minus collateral x LT."""
    answer = rc.what_if(one_account(price=2_000.0), {"ETH": -0.18})
    assert answer.repaid_usd == pytest.approx(16_400 / 1.05)
    assert answer.deficit_usd == pytest.approx(380.95, abs=0.005)
    assert answer.deficit_by_reserve == pytest.approx([0, 380.952381], abs=1e-3)


@pytest.mark.property
@given(
    seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), policy=st.sampled_from(["largest_legs", "most_profitable"])
)
def test_what_if_equals_one_step_of_the_engine(seed, kind, policy):
    market = random_market(seed, kind)
    if kind == "barred":  # `what_if` bars by the block's time, a step of the engine by its end
        from dataclasses import replace

        market = replace(market, reserves=replace(market.reserves, grace_until=np.zeros(market.n_reserves)))
    shock = np.random.default_rng(seed).uniform(-0.6, 0.4, market.n_reserves)
    answer = rc.what_if(market, shock, policy)
    result = rc.simulate(market, PricePaths.one_step(market, market.shocked(shock)), policy=policy)
    np.testing.assert_allclose(
        [answer.repaid_usd, answer.seized_usd, answer.fee_usd, answer.deficit_usd],
        [result.repaid_usd[0], result.seized_usd[0], result.fee_usd[0], result.deficit_usd[0]],
        rtol=1e-12,
    )
    health = answer.health_factor
    backed = np.diff(market.collateral.indptr) > 0
    np.testing.assert_array_equal(np.sort(answer.liquidatable), np.flatnonzero((health < 1) & backed))


@pytest.mark.property
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    steps=st.integers(1, 91),
    policy=st.sampled_from(sorted(POLICIES)),
    rising_too=st.booleans(),
)
def test_a_sweep_is_a_what_if_at_each_step(seed, kind, steps, policy, rising_too):
    """Counts exactly; amounts to 1e-9 and the rounding of a `what_if`: half a micro-dollar a call, milli by reserve."""
    market = random_market(seed, kind, 40)
    direction = np.random.default_rng(seed).uniform(-1, 1 if rising_too else 0, market.n_reserves)
    curve = rc.sweep(market, direction, steps, policy)
    assert len(curve.shock) == steps
    for i in {0, steps // 5, steps // 2, steps * 4 // 5, steps - 1}:
        answer = rc.what_if(market, curve.shock[i] * direction, policy)
        calls = 8 * max(answer.n_accounts, 1)
        assert curve.n_accounts[i] == answer.n_accounts
        for name in ("debt_usd", "repaid_usd", "seized_usd", "deficit_usd"):
            found, expected = getattr(curve, name)[i], getattr(answer, name)
            assert found == pytest.approx(expected, rel=1e-9, abs=calls * 5e-7), name
        np.testing.assert_allclose(curve.seized_by_reserve[i], answer.seized_by_reserve, rtol=1e-9, atol=calls * 5e-4)


def test_a_sweep_by_hand():
    """10 ETH at 2,000 against 16,000: below 1 from 4 %, half may be repaid until HF 0.95, then all that ETH can pay."""
    curve = rc.sweep(one_account(price=2_000.0), {"ETH": -1.0})
    assert curve.n_accounts.tolist() == [0] * 4 + [1] * 87
    assert curve.repaid_usd[[3, 4, 8, 9, 15, 16, 90]] == pytest.approx(
        [0, 8_000, 8_000, 16_000, 16_000, 16_000, 2_000 / 1.05]
    )
    assert curve.seized_usd[[8, 9, 16, 90]] == pytest.approx([8_400, 16_800, 16_800, 2_000])
    assert curve.deficit_usd[[16, 17, 90]] == pytest.approx([0, 16_000 - 16_600 / 1.05, 16_000 - 2_000 / 1.05])
    assert curve.seized_by_reserve[90] == pytest.approx([2_000, 0])


def test_a_sweep_refuses_a_direction_that_takes_a_price_to_nothing():
    with pytest.raises(InputError, match=r"shock: .* above -1"):
        rc.sweep(one_account(), {"ETH": -2.0})
    with pytest.raises(InputError, match="direction: expected 2 weights"):
        rc.sweep(one_account(), [-1.0])
