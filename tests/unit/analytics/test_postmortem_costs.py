"""What a liquidator pays: gas above the base fee to the wei, and sales through one market or two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics import postmortem as pm
from risk_core.analytics.slippage import SlippageCurve, fit

POOL = 1e6


def pool(depth: float = POOL) -> SlippageCurve:
    """A constant-product pool: selling q brings in q D / (D + q)."""
    sizes = [1e3, 1e4, 1e5, 3e5]
    return fit(sizes, [q * depth / (depth + q) for q in sizes]).curve


def test_only_gas_above_the_base_fee_goes_to_the_producer():
    # 400,000 gas at 32 gwei, of which 30 are burnt: 0.0008 ETH.
    assert pm.priority_fee(400_000, 32 * 10**9, 30 * 10**9) == 8 * 10**14
    assert pm.priority_fee(400_000, 30 * 10**9, 30 * 10**9) == 0
    with pytest.raises(rc.InputError, match="price"):
        pm.priority_fee(1, 1, 2)


def test_a_sale_loses_what_the_quote_says():
    # 100,000 into a pool of 1,000,000: 1 - 1 / 1.1.
    assert pm.sold_through([pool()], 1e5).slippage == pytest.approx(1 - 1 / 1.1)
    assert pm.sold_through([pool()], 1e5).lower_bound is False
    assert pm.sold_through([pool()], 3.1e5).lower_bound is True
    assert pm.sold_through([], 1e5) == pm.Sold(0.0, False)


def test_a_second_market_sells_what_the_first_one_brings():
    # 300,000 brings 300,000 / 1.3; that is sold in a pool of 2,000,000.
    kept = 1 / 1.3
    second = SlippageCurve([300_000 * kept, 240_000], [0.1, 0.1])
    found = pm.sold_through([pool(), second], 3e5)
    assert found.slippage == pytest.approx(1 - kept * 0.9)
    # Before the first sale the size would lie beyond the second's quote.
    assert found.lower_bound is False
    assert pm.sold_through([pool(), SlippageCurve([2e5], [0.1])], 3e5).lower_bound is True


@given(st.floats(1.0, 1e6), st.floats(1.0, 3.0))
def test_more_markets_and_larger_sales_never_lose_less(size: float, more: float):
    one = pm.sold_through([pool()], size).slippage
    assert pm.sold_through([pool(), pool(3e6)], size).slippage >= one
    assert pm.sold_through([pool()], size * more).slippage >= one - 1e-12


def test_what_is_no_curve_is_refused():
    with pytest.raises(rc.InputError, match="curves"):
        pm.sold_through(pool(), 1.0)
    with pytest.raises(rc.InputError, match="curves"):
        pm.sold_through([None], 1.0)
    with pytest.raises(rc.InputError, match="size_usd"):
        pm.sold_through([pool()], -1.0)
