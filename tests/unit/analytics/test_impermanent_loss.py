"""Impermanent loss by hand and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics import impermanent_loss as il


def test_constant_product_by_hand():
    """At 4 times the price sqrt(4) = 2: 2 x 2 / 5 - 1 = -20 %; doubling and halving lose 5.719 %."""
    np.testing.assert_allclose(il.constant_product([0.25, 1, 4]), [-0.2, 0.0, -0.2], atol=1e-15)
    np.testing.assert_allclose(il.constant_product([0.5, 2]), -0.05719095841793653)


@pytest.mark.parametrize(("price", "loss"), [(1800, -0.01312839987131209), (2600, -0.07911565706526325)])
def test_concentrated_gives_the_recomputed_values(price: float, loss: float):
    assert il.concentrated([price], 2000, 1600, 2500)[0] == pytest.approx(loss, rel=1e-11)


@given(st.floats(0.2, 5.0), st.floats(0.05, 20.0))
def test_a_wide_range_is_a_constant_product_and_a_loss_is_never_a_gain(start: float, ratio: float):
    wide = il.concentrated([start * ratio], start, 1e-9, 1e9)[0]
    assert wide == pytest.approx(il.constant_product([ratio])[0], abs=1e-3)
    assert il.concentrated([start * ratio], start, start / 2, start * 2)[0] <= 1e-12


def test_a_path_begins_at_the_position_and_earns_only_inside_its_range():
    value, with_fees, held = il.value_path([2000, 2400, 3000], 1600, 2500, 1e6, fee_income=[0.0, 0.01, 0.01])
    assert value[0] == held[0] == pytest.approx(1e6)
    np.testing.assert_allclose(value / held - 1, il.concentrated([2000, 2400, 3000], 2000, 1600, 2500))
    np.testing.assert_allclose(with_fees - value, [0.0, 1e4, 1e4])


@pytest.mark.parametrize(
    "bad", [dict(low=2100.0, high=2500.0), dict(low=2500.0, high=1600.0), dict(low=-1.0, high=3.0)]
)
def test_a_range_that_does_not_hold_the_price_is_refused(bad):
    with pytest.raises(rc.InputError):
        il.concentrated([2000.0], 2000.0, **bad)


@pytest.mark.parametrize("prices", [[0.0], [-1.0], [float("nan")], ["1"]])
def test_prices_that_none_can_be_are_refused(prices):
    with pytest.raises(rc.InputError, match="prices"):
        il.concentrated(prices, 2000.0, 1600.0, 2500.0)
