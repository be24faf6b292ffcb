"""How large a call may be where it must pay: what its sale brings at the market, and what capital is left.

A path dollar of a reserve is a dollar at the path's price, whatever was sold: sales are counted in it. An oracle dollar
is one at the price that health factors see.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import inner, merged
from risk_core.kernels.randomness import exp, log
from risk_core.kernels.sales import MAX_FALL, fall_of
from risk_core.kernels.settle import FACTOR, FEE_RATE, INVERSE, largest_admissible

HALVINGS = 60
"""Steps of the search for the largest sale that pays: a bisection to the last bits."""
LEAST_USD = 1e-2
"""A call that depth or capital cuts to less than one cent is not made."""


class Limits(NamedTuple):
    """What limits liquidators. C columns, M markets and the immune one."""

    row: np.ndarray  # (C,) int64, row of the path's prices that a sale sees: before any cap of the oracle
    cost: float  # of the debt repaid
    fixed: float  # USD a call
    capital: float  # USD of debt repaid in a window, at most
    window: int  # steps
    feedback: float  # share of an impact's logarithm that the oracle sees


@merged
def weigh_both(sales, limits, state, queue):
    """Multipliers of market and oracle from what weighs on the prices; returns what `kernels.sales.weigh` does."""
    for m in range(state.multiplier.shape[0]):
        state.fall[m] = 0.0
    for r in range(state.sold.shape[0]):
        if state.sold[r] > 0.0:
            state.fall[sales.market_of[r]] += fall_of(sales, r, state.sold[r])
    changed = False
    least = 1.0
    for m in range(state.multiplier.shape[0] - 1):
        fall = min(state.fall[m], MAX_FALL)
        queue.market[m] = exp(-fall)
        multiplier = exp(-limits.feedback * fall)
        changed = changed or multiplier != state.multiplier[m]
        least = min(least, multiplier / state.multiplier[m])
        state.multiplier[m] = multiplier
    return changed, least


@merged
def exchanged(sales, book, at_c, at_d):
    """Whether two legs are of one market, so that the sale of one for the other moves no price."""
    market = sales.market_of[book.reserve[at_c]]
    return market == sales.market_of[book.reserve[at_d]] and market < sales.floor.shape[0] - 1


@inner
def largest_sale(sales, state, reserve, price, most):
    """The most of `most` path dollars of a reserve that sells before the market's multiplier is below `price` > 0."""
    m = np.uint64(sales.market_of[reserve])
    now = state.fall[m]
    already = fall_of(sales, reserve, state.sold[reserve])
    room = -log(price) - now
    if room < 0.0:
        return 0.0
    if fall_of(sales, reserve, state.sold[reserve] + most) - already <= room:
        return most
    low = 0.0
    high = most
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if fall_of(sales, reserve, state.sold[reserve] + middle) - already <= room:
            low = middle
        else:
            high = middle
    return low


@inner
def proceeds(sales, state, reserve, sale):
    """USD at the market that selling `sale` path dollars of a reserve brings: the integral of the multiplier."""
    begin = state.sold[reserve]
    end = begin + sale
    already = fall_of(sales, reserve, begin)
    last = sales.sold.shape[1] - 2
    total = 0.0
    for k in range(last + 1):
        low = max(sales.sold[reserve, k], begin)
        high = end if k == last else min(sales.sold[reserve, k + 1], end)
        if high <= low:
            continue
        slope = (sales.fall[reserve, k + 1] - sales.fall[reserve, k]) / (
            sales.sold[reserve, k + 1] - sales.sold[reserve, k]
        )
        first = exp(-min(sales.fall[reserve, k] + (low - sales.sold[reserve, k]) * slope, MAX_FALL))
        drop = slope * (high - low)
        total += first * (high - low if drop < 1e-9 else (1.0 - exp(-min(drop, MAX_FALL))) / slope)
    others = state.fall[np.uint64(sales.market_of[reserve])] - already
    return total * exp(-min(others, MAX_FALL))


@inner
def tranche(sales, limits, state, queue, work, x, q, t, leg, book, best_c, best_d, margin, total_debt, leftover, left):
    """The call on two legs that the pool accepts, that pays at the market, and that the capital left allows.

    left: USD of debt that may still be repaid in the window. Returns (repaid, taken, debt cleared, collateral
    cleared) in oracle dollars; repaid 0 where no call is made.
    """
    at_c = np.uint64(leg + best_c)
    at_d = np.uint64(leg + best_d)
    together = exchanged(sales, book, at_c, at_d)
    column_c = np.uint64(book.factor[at_c])
    column_d = np.uint64(book.factor[at_d])
    reserve = book.reserve[at_c]
    factor = book.terms[at_c, FACTOR]
    debt = work.value[best_d] * work.now[best_d]
    collateral = work.value[best_c] * work.now[best_c]
    repaid, taken, debt_cleared, collateral_cleared = largest_admissible(
        debt, collateral, margin, total_debt, factor, book.terms[at_c, INVERSE], leftover
    )
    # Path dollars that a liquidator sells for one oracle dollar taken, and market dollars of one oracle dollar repaid.
    kept = 1.0 - book.terms[at_c, FEE_RATE]
    path_c = x[q, np.uint64(limits.row[column_c]), t]
    sold_each = kept * path_c / work.now[best_c]
    path_d = x[q, np.uint64(limits.row[column_d]), t]
    if not together:
        path_d *= queue.market[np.uint64(sales.market_of[book.reserve[at_d]])]
    paid_each = (1.0 + limits.cost) * path_d / work.now[best_d]
    # At the margin: factor x sold_each x multiplier >= paid_each.
    least = paid_each / (factor * sold_each) if factor > 0.0 else np.inf
    most = taken * sold_each
    endless = together or sales.market_of[reserve] == sales.floor.shape[0] - 1
    whole = most if least <= 1.0 else 0.0
    sale = whole if endless else largest_sale(sales, state, reserve, least, most)
    afford = repaid
    if sale < most:
        afford = sale / (sold_each * factor)
    afford = min(afford, left)
    if afford < repaid:
        # A smaller call clears neither leg, so both must keep enough.
        afford = min(afford, debt - leftover, (collateral - leftover) / factor)
        if afford < LEAST_USD:
            return 0.0, 0.0, False, False
        repaid = afford
        taken = repaid * factor
        debt_cleared = False
        collateral_cleared = False
    sale = taken * sold_each
    received = sale if endless else proceeds(sales, state, reserve, sale)
    if repaid <= 0.0 or received - repaid * paid_each < limits.fixed:
        return 0.0, 0.0, False, False
    return repaid, taken, debt_cleared, collateral_cleared
