"""Interest to block time: hand figures, laws, and the growth of a year."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_core import interest
from risk_core.errors import InputError
from risk_core.units import RAY, SECONDS_PER_YEAR

YEAR = SECONDS_PER_YEAR
indices = st.integers(RAY, 4 * RAY)
rates = st.integers(0, RAY)
spans = st.integers(0, 5 * YEAR)
scaled = st.integers(0, 10**30)


def test_a_year_at_ten_percent_grows_the_supply_index_linearly():
    assert interest.normalized_income(2 * RAY, RAY // 10, 1_000, 1_000 + YEAR) == 22 * RAY // 10


def test_a_year_at_ten_percent_grows_the_debt_index_to_the_third_order_of_exp():
    grown = interest.normalized_debt(RAY, RAY // 10, 0, YEAR)

    assert grown / RAY == pytest.approx(1 + 0.1 + 0.1**2 / 2 + 0.1**3 / 6, rel=1e-15)
    assert grown / RAY < math.exp(0.1)  # the contract undercharges a little, and says so


def test_no_time_leaves_the_indices_as_stored():
    assert interest.normalized_income(1_234 * RAY // 1_000, RAY, 77, 77) == 1_234 * RAY // 1_000
    assert interest.normalized_debt(1_234 * RAY // 1_000, RAY, 77, 77) == 1_234 * RAY // 1_000


def test_supply_rounds_down_and_debt_rounds_up():
    index = 15 * RAY // 10

    assert (interest.supply_balance(1, index), interest.debt_balance(1, index)) == (1, 2)
    assert (interest.supply_balance(2, index), interest.debt_balance(2, index)) == (3, 3)


def test_the_odd_half_ray_rounds_up():
    # 1e27 + 1 grown by a factor of 1.5: the product ends in .5, and the contract rounds it up.
    assert interest.normalized_income(RAY + 1, RAY // 2, 0, YEAR) == 15 * RAY // 10 + 2


@pytest.mark.parametrize("grow", [interest.normalized_income, interest.normalized_debt])
def test_a_block_before_the_last_update_is_refused(grow):
    with pytest.raises(InputError, match="last update 100, found 99"):
        grow(RAY, RAY, 100, 99)


@pytest.mark.property
@given(indices, rates, spans)
def test_debt_never_grows_slower_than_supply_at_the_same_rate(index, rate, seconds):
    income = interest.normalized_income(index, rate, 0, seconds)

    assert index <= income <= interest.normalized_debt(index, rate, 0, seconds)


@pytest.mark.property
@given(scaled, indices)
def test_what_is_owed_exceeds_what_is_backed_by_one_unit_at_most(amount, index):
    assert 0 <= interest.debt_balance(amount, index) - interest.supply_balance(amount, index) <= 1


@pytest.mark.property
@given(scaled, indices)
def test_paying_the_whole_balance_clears_the_whole_scaled_debt(amount, index):
    """`floor(ceil(s * i) / i)` is s for an index of at least 1: no dust of debt survives a full repayment."""
    assert interest.debt_balance(amount, index) * RAY // index == amount
