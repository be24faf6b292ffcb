"""Impermanent loss: the value of a liquidity position compared with holding the tokens it was opened with.

There are two tokens; values are counted in the second. A constant-product position of liquidity L at price P is worth 2
L sqrt(P). A concentrated one over [low, high] holds x = L (1/sqrt(c) - 1/sqrt(high)) and y = L (sqrt(c) - sqrt(low)),
where c is the price inside the range (Uniswap v3 Core, 2021, section 6.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import SMALLEST, FloatArray, checked_array, checked_number, require
from risk_core.errors import InputError


def constant_product(price_ratio: ArrayLike) -> FloatArray:
    """Loss compared with holding, as a fraction that is zero or negative, (n,): 2 sqrt(r) / (1 + r) - 1.

    price_ratio: (n,), price now over price at opening, positive. Ratios r and 1/r lose the same.
    """
    ratio = _positive("price_ratio", price_ratio)
    return 2 * np.sqrt(ratio) / (1 + ratio) - 1


def concentrated(prices: ArrayLike, opened_at: float, low: float, high: float) -> FloatArray:
    """Loss of a position over [low, high] compared with holding, as a fraction that is zero or negative, (n,).

    prices: (n,), positive. `opened_at`: the price at opening, inside the range. Outside the range the position holds
    one token only.
    """
    price = _positive("prices", prices)
    start, low, high = _range(opened_at, low, high)
    x, y = _holds(np.array([start]), low, high)
    held = x * price + y
    x_now, y_now = _holds(price, low, high)
    return (x_now * price + y_now) / held - 1


def value_path(
    prices: ArrayLike, low: float, high: float, position_usd: float, fee_income: ArrayLike | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A concentrated position along a path: (value, value with fees, value of the tokens held instead), each (n,).

    The position is opened at the first price, worth `position_usd`. `fee_income`: (n,), fees earned in the step that
    ends at each price, as a fraction of the position's value; outside the range nothing is earned. Fees are not put
    back into the position.
    """
    price = _positive("prices", prices)
    if not len(price):
        raise InputError("prices: expected at least one price, found none")
    start, low, high = _range(price[0], low, high)
    amount = checked_number("position_usd", position_usd, SMALLEST, rule="a positive number")
    x, y = _holds(price[:1], low, high)
    liquidity = amount / float(x[0] * start + y[0])
    x_now, y_now = _holds(price, low, high)
    value = liquidity * (x_now * price + y_now)
    held = liquidity * (x[0] * price + y[0])
    if fee_income is None:
        return value, value.copy(), held
    fees = checked_array("fee_income", fee_income, np.float64, (len(price),))
    require("fee_income", fees, np.isfinite(fees) & (fees >= 0), "must be a fraction that is not negative")
    inside = (price >= low) & (price <= high)
    earned = np.cumsum(np.where(inside, fees, 0.0) * np.concatenate([value[:1], value[:-1]]))
    return value, value + earned, held


def _holds(price: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Amounts of both tokens per unit of liquidity."""
    inside = np.sqrt(np.clip(price, low, high))
    return 1 / inside - 1 / np.sqrt(high), inside - np.sqrt(low)


def _range(opened_at: float, low: float, high: float) -> tuple[float, float, float]:
    low = checked_number("low", low, SMALLEST, rule="a positive price")
    high = checked_number("high", high, SMALLEST, rule="a positive price")
    start = checked_number("opened_at", opened_at, SMALLEST, rule="a positive price")
    if not low < high or not low <= start <= high:
        raise InputError(f"the range [{low}, {high}] has to hold the price at opening, which is {start}")
    return start, low, high


def _positive(label: str, values: ArrayLike) -> FloatArray:
    found = checked_array(label, values, np.float64, (None,))
    require(label, found, np.isfinite(found) & (found > 0), "must be positive and finite")
    return found
