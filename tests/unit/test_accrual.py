"""Interest alone: by hand, against the pool's own integers, and laws."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.interest import normalized_debt, normalized_income
from risk_core.units import RAY
from tests.markets import KINDS, one_account, random_market


def test_one_account_by_hand():
    """Health factor 1.0375, debt at 10 %, collateral at 0: 1 + x + x^2/2 + x^3/6 = 1.0375 at x = 0.0368139..."""
    [days] = rc.accrual_time(one_account(price=2_000.0), [0, 0], [0, 0.10])
    [x] = [root.real for root in np.roots([1 / 6, 1 / 2, 1, -0.0375]) if abs(root.imag) < 1e-12]
    assert days == pytest.approx(x / 0.10 * 365, rel=1e-9)
    assert days == pytest.approx(134.37, abs=0.01)


def test_a_supply_that_earns_as_much_is_overtaken_all_the_same():
    """Collateral earns 10 % linearly, debt 10 % compounded: from 1.0375 it takes years, and it comes."""
    [days] = rc.accrual_time(one_account(price=2_000.0), [0.10, 0], [0, 0.10])
    assert 365 * 2 < days < 365 * 4
    t = 0.10 * days / 365
    assert 1.0375 * (1 + t) == pytest.approx(1 + t + t**2 / 2 + t**3 / 6, rel=1e-9)


def test_the_pool_s_own_integers_agree_to_the_second():
    """At the last whole second before the time the pool's health factor is 1 or more, at the first after it below."""
    passed, supply, borrow = 5_000, 2 * RAY // 100, 9 * RAY // 100
    market = one_account(price=2_000.0)
    [days] = rc.accrual_time(market, [0.02, 0.0], [0.0, 0.09], [passed, passed])

    def above(seconds: int) -> int:
        income = [normalized_income(RAY, supply, 0, t) for t in (passed, passed + seconds)]
        owed = [normalized_debt(RAY, borrow, 0, t) for t in (passed, passed + seconds)]
        # 10 * 2,000 * 0.83 = 16,600 against 16,000
        return 16_600 * income[1] * owed[0] - 16_000 * owed[1] * income[0]

    assert above(floor(days * 86_400) - 1) > 0
    assert above(ceil(days * 86_400) + 1) < 0


def test_without_debt_or_without_interest_it_never_comes_and_below_one_it_is_now():
    assert rc.accrual_time(one_account(price=2_000.0, debt=0.0), [0, 0], [0, 0.1]).tolist() == [np.inf]
    assert rc.accrual_time(one_account(price=2_000.0), [0, 0], [0, 0]).tolist() == [np.inf]
    assert rc.accrual_time(one_account(price=1_900.0), [0, 0], [0, 0]).tolist() == [0.0]
    assert rc.accrual_time(one_account(price=2_000.0), [0, 0], [0, 0.1], most_days=134).tolist() == [np.inf]


@pytest.mark.property
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_at_that_time_the_health_factor_is_one(seed, kind):
    """With both sides grown by hand; before it, none is below 1; a higher borrow rate never comes later."""
    market = random_market(seed, kind)
    rng = np.random.default_rng(seed)
    supply, borrow = rng.uniform(0, 0.1, market.n_reserves), rng.uniform(0, 0.5, market.n_reserves)
    days = rc.accrual_time(market, supply, borrow)
    health = rc.health_factor(market)
    np.testing.assert_array_equal(days == 0, health < 1)
    for row in np.flatnonzero(np.isfinite(days) & (days > 0))[:4]:
        for factor, check in ((1.0, lambda h: h == pytest.approx(1, rel=1e-9)), (0.9, lambda h: h > 1)):
            t = factor * days[row] / 365
            x = borrow * t
            grown = replace(
                market,
                collateral=replace(
                    market.collateral, amount=market.collateral.amount * (1 + supply * t)[market.collateral.reserve]
                ),
                debt=replace(
                    market.debt, amount=market.debt.amount * (1 + x + x**2 / 2 + x**3 / 6)[market.debt.reserve]
                ),
            )
            assert check(rc.health_factor(grown)[row])
    assert (rc.accrual_time(market, supply, 1.5 * borrow) <= days).all()


@pytest.mark.parametrize(
    ("supply", "borrow", "words"),
    [
        ([0.1], [0, 0], "supply_rate"),
        ([0, 0], [0, -0.1], "borrow_rate: entry 1"),
        ([0, 0], [0, 1e27], "fraction a year"),
        ([0, np.nan], [0, 0], "supply_rate: entry 1"),
    ],
)
def test_bad_rates_are_refused(supply, borrow, words):
    with pytest.raises(rc.InputError, match=words):
        rc.accrual_time(one_account(), supply, borrow)
