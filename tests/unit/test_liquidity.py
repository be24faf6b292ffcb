"""Impact functions, and cascades small enough to work out by hand."""

from __future__ import annotations

from datetime import timedelta
from math import exp, inf, log

import numpy as np
import pytest

import risk_core as rc
from tests.markets import market, reserves

HOUR = timedelta(hours=1)


def two_borrowers(debt: tuple[float, float] = (16_000.0, 15_700.0), n: int = 2) -> rc.Market:
    """Two accounts with 10 ETH each at 2,000 USD against USDC; threshold 0.83, bonus 5 %, no protocol fee."""
    book = reserves(
        2,
        symbol=["ETH", "USDC"],
        liquidation_threshold=[0.83, 0.78],
        liquidation_bonus=[0.05, 0.045],
        protocol_fee=[0.0, 0.0],
    )
    return market(book, [2_000.0, 1.0], [{0: 10.0}] * n, [{1: owed} for owed in debt[:n]])


def paths_of(*ether: float) -> rc.PricePaths:
    """One path: ETH at the snapshot and at the end of each hour; USDC at 1."""
    price = np.array([[ether, np.ones(len(ether))]])
    return rc.PricePaths(name="by hand", price=price, step=HOUR)


def test_a_sale_brings_down_the_next_account():
    """At 1,900 only the first is below 1 (0.9856 and 1.0045); it sells 8,400 USD of ETH, which costs ETH 1 %.

    At 1,881.09 the second has 0.99446: half of 15,700 is repaid and 8,242.5 seized, at the price of that round. In
    dollars at 1,900 those are 8,242.5 / 0.99005, so the price comes to rest at exp(-(8,400 + 8,325.3) / depth).
    """
    depth = 8_400 / 0.01
    impact = rc.Impact.exponential([depth, inf], half_life=None)
    alone = rc.simulate(two_borrowers(), paths_of(2_000, 1_900))
    both = rc.simulate(two_borrowers(), paths_of(2_000, 1_900), impact=impact)
    assert alone.repaid_usd[0] == pytest.approx(8_000)
    assert both.repaid_usd[0] == pytest.approx(8_000 + 7_850)
    assert both.seized_usd[0] == pytest.approx(8_400 + 8_242.5)
    assert both.n_liquidations[0] == 2
    rest = exp(-(8_400 + 8_242.5 / exp(-0.01)) / depth)
    np.testing.assert_allclose(both.multiplier_by_step, [[rest, 1.0]], atol=1e-9)
    assert both.unsettled.sum() == 0


def test_a_round_sees_one_price():
    """Two equal accounts are both liquidated at 1,900: the first to be looked at does not spoil it for the second."""
    twins = two_borrowers((16_000.0, 16_000.0))
    result = rc.simulate(twins, paths_of(2_000, 1_900), impact=rc.Impact.exponential([1e7, inf]))
    assert result.repaid_usd[0] == pytest.approx(16_000)
    assert result.seized_usd[0] == pytest.approx(16_800)


@pytest.mark.parametrize(
    ("half_life", "left"), [(HOUR, 0.5), (2 * HOUR, 0.5**0.5), (None, 1.0), (timedelta(minutes=30), 0.25)]
)
def test_what_was_sold_is_absorbed_by_its_half_life(half_life, left):
    """One call in the first hour and none after: 8,400 USD sold, and what is left of it weighs on the second."""
    impact = rc.Impact.exponential([1e6, inf], half_life=half_life)
    result = rc.simulate(two_borrowers(n=1), paths_of(2_000, 1_900, 1_950), impact=impact)
    assert result.n_liquidations[0] == 1
    expected = [exp(-0.0084), exp(-0.0084 * left)]
    np.testing.assert_allclose(result.multiplier_by_step[:, 0], expected, atol=1e-9)


def test_reserves_of_one_market_fall_together():
    """ETH is sold; a borrower of USDC against staked ETH is brought down only where both share a market."""
    book = reserves(
        3,
        symbol=["ETH", "USDC", "stETH"],
        liquidation_threshold=[0.83, 0.78, 0.83],
        liquidation_bonus=[0.05] * 3,
        protocol_fee=[0.0] * 3,
    )
    both = market(book, [2_000.0, 1.0, 2_000.0], [{0: 10.0}, {2: 10.0}], [{1: 16_000.0}, {1: 15_700.0}])
    price = np.array([[[2_000, 1_900], [1, 1], [2_000, 1_900]]])
    path = rc.PricePaths(name="by hand", price=price, step=HOUR)
    depth = [8_400 / 0.01, inf, 8_400 / 0.01]
    apart = rc.simulate(both, path, impact=rc.Impact.exponential(depth))
    together = rc.simulate(both, path, impact=rc.Impact.exponential(depth, market=[4, -1, 4]))
    assert apart.n_liquidations[0] == 1
    assert together.n_liquidations[0] == 2
    assert apart.multiplier_by_step[0, 2] == 1.0
    assert together.multiplier_by_step[0, 2] == together.multiplier_by_step[0, 0] < 0.99


def test_a_fixed_oracle_price_stays_fixed():
    fixed = rc.Scenario(
        name="fixed", horizon=HOUR, n_steps=1, factors=["USDC"], volatility=[0.0], correlation=[[1.0]], factor=[-1, 0]
    )
    below = two_borrowers((17_000.0, 17_000.0))
    result = rc.simulate(below, fixed, 1, impact=rc.Impact.exponential([1_000.0, inf]))
    assert result.n_liquidations[0] > 0
    np.testing.assert_array_equal(result.multiplier_by_step, 1.0)


def test_an_exponential_impact_by_its_depth():
    impact = rc.Impact.exponential([100.0, inf])
    np.testing.assert_allclose(impact.multiplier([1.0, 1e12]), [exp(-0.01), 1.0])
    np.testing.assert_allclose(impact.multiplier([350.0, 0.0]), [exp(-3.5), 1.0], err_msg="beyond the last point")
    np.testing.assert_allclose(impact.proceeds([350.0, 70.0]), [100 * (1 - exp(-3.5)), 70.0])


def test_a_table_is_linear_in_the_logarithm_and_goes_on_beyond_its_end():
    impact = rc.Impact(sold_usd=[[0, 100, 300]], price=[[1, 0.9, 0.5]])
    slope = log(0.9 / 0.5) / 200
    for sold, expected in ((0, 1.0), (50, 0.9**0.5), (100, 0.9), (300, 0.5), (400, 0.5 * exp(-100 * slope))):
        assert impact.multiplier(sold)[0] == pytest.approx(expected), sold
    total = np.trapezoid([impact.multiplier(q)[0] for q in np.linspace(0, 400, 4001)], dx=0.1)
    assert impact.proceeds(400)[0] == pytest.approx(total, rel=1e-6)


def test_half_of_it_after_a_half_life():
    assert rc.Impact.exponential([1.0], half_life=2 * HOUR).kept(4 * HOUR) == 0.25
    assert rc.Impact.exponential([1.0], half_life=None).kept(4 * HOUR) == 1.0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sold_usd": [[0.0]], "price": [[1.0]]}, "at least two points"),
        ({"sold_usd": [[1.0, 2.0]], "price": [[1.0, 0.5]]}, "entry 0, 0 is 1.0; must rise from 0"),
        ({"sold_usd": [[0.0, 2.0, 2.0]], "price": [[1.0, 0.5, 0.4]]}, "entry 0, 2 is 2.0; must rise from 0"),
        ({"sold_usd": [[0.0, np.nan]], "price": [[1.0, 0.5]]}, "entry 0, 1 is nan; must rise from 0"),
        ({"sold_usd": [[0.0, 1.0]], "price": [[1.0, 0.0]]}, "entry 0, 1 is 0.0; must fall from 1, and never to 0"),
        ({"sold_usd": [[0.0, 1.0]], "price": [[0.9, 0.8]]}, "entry 0, 0 is 0.9; must fall from 1"),
        ({"sold_usd": [[0.0, 1.0, 2.0]], "price": [[1.0, 0.8, 0.9]]}, "entry 0, 2 is 0.9; must fall"),
        ({"sold_usd": [[0.0, 1.0, 2.0]], "price": [[1.0, 0.8, 0.8]]}, "curve of reserve 0 ends flat"),
        ({"sold_usd": [[0.0, 1.0]], "price": [[1.0, 0.8]], "half_life": timedelta(0)}, "expected a positive time"),
        ({"sold_usd": [[0.0, 1.0]], "price": [[1.0, 0.8]], "market": [-2]}, "entry 0 is -2; must be -1 or the number"),
        ({"sold_usd": [[0.0, 1.0]], "price": [[1.0, 0.8, 0.7]]}, "Impact.price: expected shape"),
    ],
)
def test_an_illegal_impact_is_refused_by_field_and_index(columns, message):
    with pytest.raises(rc.InputError, match=message):
        rc.Impact(**columns)


@pytest.mark.parametrize("depth", [0.0, -1.0, np.nan])
def test_a_depth_must_be_positive(depth):
    with pytest.raises(rc.InputError, match=r"depth_usd: entry 1 is .*; must be positive"):
        rc.Impact.exponential([1.0, depth])


def test_an_impact_of_another_number_of_reserves_is_refused():
    with pytest.raises(rc.InputError, match="expected 2 rows, one for each reserve, found 3"):
        rc.simulate(two_borrowers(), paths_of(2_000, 1_900), impact=rc.Impact.exponential([1.0] * 3))
