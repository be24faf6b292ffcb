"""Slippage curves: isotonic, never less for more, a lower bound beyond the last quote; and who would sell."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from risk_core import InputError
from risk_core.analytics import slippage
from risk_core.analytics.slippage import MOST, SlippageCurve, fit, impact_of, liquidator_profit, slippage_limit

SIZES = np.array([1e5, 1e6, 5e6, 2e7, 1e8])


def pool(depth: float, sizes=SIZES):
    """What a constant-product pool of `depth` USD a side pays: size depth / (depth + size) (facts, section 6.5)."""
    return sizes * depth / (depth + sizes)


@st.composite
def quotes(draw):
    n = draw(st.integers(1, 12))
    size = draw(st.lists(st.floats(1e3, 1e9), min_size=n, max_size=n))
    lost = draw(st.lists(st.floats(-0.05, 0.9), min_size=n, max_size=n))
    return np.array(size), np.array(size) * (1 - np.array(lost))


def fitted(case):
    """The fit of these quotes, where they can be fitted."""
    try:
        return fit(*case)
    except InputError:
        reject()


@given(quotes(), st.lists(st.floats(0, 1e10), min_size=2, max_size=30))
def test_a_larger_sale_never_costs_less_and_never_brings_in_less(case, sizes):
    found = fitted(case)
    at = np.sort(np.array([*sizes, *case[0], *(case[0] * 1.001)]))
    lost = found.curve.slippage_at(at)
    assert (np.diff(lost) >= -1e-12).all()
    assert (lost >= 0).all()
    assert (lost <= MOST).all()
    received = found.curve.received(at)
    counted = lost < MOST
    assert (np.diff(received[counted]) >= -1e-9 * received[counted][1:]).all()
    assert (found.curve.marginal_price(at[counted]) >= -1e-12).all()


def isotonic(values):
    """The min-max formula of isotonic regression (Barlow and Brunk 1972): max over j <= i of min over k >= i."""
    n = len(values)
    mean = [[np.mean(values[j : k + 1]) if k >= j else np.nan for k in range(n)] for j in range(n)]
    return [max(min(mean[j][k] for k in range(i, n)) for j in range(i + 1)) for i in range(n)]


@given(quotes())
def test_the_points_are_the_isotonic_regression_of_the_quotes_that_are_used(case):
    found = fitted(case)
    used = [i for i, state in enumerate(found.state) if state == slippage.USED]
    used.sort(key=lambda i: case[0][i])
    lost = np.clip(1 - case[1][used] / case[0][used], 0, MOST)
    np.testing.assert_allclose(found.curve.slippage, isotonic(lost), rtol=0, atol=1e-12)


@given(quotes(), st.floats(0.0, 0.99), st.floats(0, 0.95))
def test_size_within_is_the_inverse_and_a_haircut_takes_its_share(case, limit, haircut):
    found = fitted(case)
    curve, size = found.curve, found.curve.size_within(limit)
    if 0 < size < 1e15:
        assert curve.slippage_at(size * (1 - 1e-9)) <= limit + 1e-9
        assert curve.slippage_at(size * 1.001) >= limit - 1e-9
        assert curve.shrunk(haircut).size_within(limit) == pytest.approx(size * (1 - haircut), rel=1e-9)
    q = curve.size_usd[0] * 0.7
    assert curve.shrunk(haircut).slippage_at(q * (1 - haircut)) == pytest.approx(curve.slippage_at(q), abs=1e-12)


def test_a_constant_product_pool_is_met_at_its_quotes_and_near_them():
    curve = fit(SIZES, pool(3e7)).curve
    np.testing.assert_allclose(curve.slippage_at(SIZES), SIZES / (3e7 + SIZES), rtol=1e-12)
    between = np.sqrt(SIZES[:-1] * SIZES[1:])
    np.testing.assert_allclose(curve.received(between), pool(3e7, between), rtol=0.08)
    # Depth at slippage s: y s / (1 - s) (facts, section 6.5); by hand 3e7 * 0.04 / 0.96 = 1.25 million.
    assert curve.size_within(1e6 / (3e7 + 1e6)) == pytest.approx(1e6, rel=1e-9)
    assert curve.size_within(0.04) == pytest.approx(1.25e6, rel=0.2)


def test_the_marginal_price_is_the_slope_of_what_comes_in():
    curve = fit(SIZES, pool(3e7)).curve
    at = np.array([3e4, 4e5, 3e6, 9e6, 5e7, 4e8])
    slope = (curve.received(at * (1 + 1e-6)) - curve.received(at * (1 - 1e-6))) / (2e-6 * at)
    np.testing.assert_allclose(curve.marginal_price(at), slope, rtol=1e-6)


def test_beyond_the_last_quote_slippage_goes_on_rising_and_says_that_it_is_a_bound():
    flat = fit([1e6, 2e6], [0.98e6, 1.96e6]).curve  # 2 % at both sizes: the last part is flat
    assert list(flat.is_lower_bound([1e6, 2e6, 2.1e6])) == [False, False, True]
    assert flat.slippage_at(2e7) > flat.slippage_at(4e6) > 0.02
    # k = s = 0.02: 0.98 * 10^-0.02 is kept.
    assert flat.slippage_at(2e7) == pytest.approx(1 - 0.98 * 10**-0.02, rel=1e-9)
    steep = fit([1e6, 2e6], [0.98e6, 1.8e6]).curve
    slope = -np.log(0.9 / 0.98) / np.log(2)
    assert steep.slippage_at(8e6) == pytest.approx(1 - 0.9 * 4**-slope, rel=1e-9)


def test_each_quote_is_told_why_it_is_not_used():
    #            best of two        less for more    a unit error
    size = [1e6, 1e6, 2e6, 4e6, 8e6]
    received = [0.99e6, 0.98e6, 0.97e6, 3.7e6, 8.2e6]
    found = fit(size, received)
    assert found.state == ("used", "beaten", "less for more", "used", "too good")
    assert set(found.state) == set(slippage.STATES)
    np.testing.assert_allclose(found.curve.slippage, [0.01, 0.075])


def test_sizes_that_round_to_one_are_one_size():
    near = np.nextafter(1_000.0, 2_000.0)
    found = fit([1_000.0, near, 5_000.0], [990.0, 995.0, 4_900.0])
    assert found.state == ("beaten", "used", "used")
    assert np.isfinite(found.curve.slippage_at([500.0, 1_000.0, near, 3_000.0])).all()
    with pytest.raises(InputError, match="at least a billionth above"):
        SlippageCurve([1_000.0, near], [0.01, 0.01])


def test_a_quote_a_little_above_its_size_costs_nothing():
    found = fit([1e5, 1e6], [1.005e5, 0.99e6])
    assert found.state == ("used", "used")
    assert found.curve.slippage_at(1e5) == 0


@pytest.mark.parametrize(
    ("size", "received", "words"),
    [
        ([], [], "at least one quote"),
        ([1e6], [1e6, 2e6], r"received_usd: expected shape"),
        ([1e6, np.nan], [1e6, 1e6], r"size_usd: entry 1 is nan"),
        ([1e6, 2e6], [1e6, 0.0], r"received_usd: entry 1 is 0.0"),
        ([1e6], [2e9], "every quote brings in over 1% more than its size; is a unit wrong"),
        ([1e6, 2e6], [4e5, 8e5], "the smallest size, 1,000,000 USD, already loses 60.0%"),
    ],
)
def test_quotes_that_cannot_be_used_are_refused_with_the_reason(size, received, words):
    with pytest.raises(InputError, match=words):
        fit(size, received)


def test_a_curve_that_brings_in_less_for_more_is_refused():
    with pytest.raises(InputError, match=r"entry 1 is 0\.6; a smaller sale would bring in more"):
        SlippageCurve([1e6, 2e6], [0.1, 0.6])


def test_the_limit_and_the_profit_by_hand():
    # Bonus 5 %, fee 10 % of it: 1.045 sold for 1.0005 owed.
    limit = slippage_limit(bonus=0.05, protocol_fee=0.1)
    assert limit == pytest.approx(1 - 1.0005 / 1.045)
    assert slippage_limit(bonus=0.0, protocol_fee=0.1) == 0
    # A pool of 30 million: selling 1.045 million at 3.366 % loses 35,178.
    curve = fit([1.045e6, 1e8], pool(3e7, np.array([1.045e6, 1e8]))).curve
    profit = liquidator_profit(curve, 1e6, bonus=0.05, protocol_fee=0.1, gas_usd=100)
    assert profit == pytest.approx(1.045e6 * 3e7 / 3.1045e7 - 1_000_500 - 100)
    bid = liquidator_profit(curve, 1e6, bonus=0.05, protocol_fee=0.1, gas_usd=100, bid_share=0.73)
    assert bid == pytest.approx(0.27 * profit)
    # Behind 20 million that were sold first the same sale is a loss, which pays no bid.
    late = [
        liquidator_profit(curve, 1e6, bonus=0.05, protocol_fee=0.1, sold_before_usd=2e7, bid_share=b) for b in (0, 0.73)
    ]
    assert late[0] == late[1] < 0


@given(st.floats(1e6, 1e9), st.floats(0.01, 0.15), st.floats(0, 0.3))
def test_no_sale_beyond_the_depth_inside_the_bonus_earns(depth, bonus, fee):
    curve = fit(SIZES, pool(depth)).curve
    limit = slippage_limit(bonus=bonus, protocol_fee=fee)
    seized = 1 + bonus * (1 - fee)
    inside = curve.size_within(limit) / seized
    for repaid in (inside * 0.98, inside * 1.02):
        earns = liquidator_profit(curve, repaid, bonus=bonus, protocol_fee=fee) > 0
        assert earns == (repaid < inside)


def test_the_engines_impact_sells_for_nearly_the_same():
    curve = fit(np.geomspace(1e5, 1e8, 16), pool(3e7, np.geomspace(1e5, 1e8, 16))).curve
    impact = impact_of((curve, None))
    for sold in (1e5, 1e6, 1e7, 5e7):
        there, still = impact.proceeds([sold, sold])
        assert there == pytest.approx(float(curve.received(sold)), rel=0.01)
        assert still == sold
    assert (np.diff(impact.price[0]) < 0).all()


def test_impacts_of_curves_of_different_lengths_stand_side_by_side():
    short, long = fit(SIZES[:2], pool(3e7)[:2]).curve, fit(SIZES, pool(3e7)).curve
    flat = SlippageCurve([1e6], [0.0])
    impact = impact_of((short, long, flat))
    alone = impact_of((short,))
    assert impact.proceeds(4e5)[0] == pytest.approx(alone.proceeds(4e5)[0], rel=1e-12)
    assert impact.proceeds(4e5)[2] == 4e5
    with pytest.raises(InputError, match="SlippageCurve"):
        impact_of((short, 3))
