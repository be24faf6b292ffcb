"""The liquidation calls that the protocol's rules allow for one account at one time, by one liquidator policy.

The one place in the kernels where the rule lives; the pruned engine, the brute-force twin, `what_if` and
`liquidate` all call it. At float precision the rules of POOL_REVISION 10 (v3.6) and 11 (v3.7) coincide: they
differ by at most 2 wei of rounding (risk_core.liquidation says where).

Values are in *snapshot dollars* (tokens x snapshot price); times the relative price of the leg's factor they are
dollars now. Legs of one account lie together, collateral first, then debt, each in reserve order.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import merged

LARGEST_LEGS = 0
MOST_PROFITABLE = 1
PROTOCOL_HELPER = 2
FIRST_PASSAGE = 3

HALF_ALLOWED_ABOVE = 0.95
"""CLOSE_FACTOR_HF_THRESHOLD: at or below it the whole debt may be repaid in one call."""
CLOSE_FACTOR = 0.5
"""DEFAULT_LIQUIDATION_CLOSE_FACTOR, of the account's *total* debt."""
SMALL_POSITION_USD = 2000.0
"""MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD: a smaller leg on either side lifts the close factor."""
MIN_LEFTOVER_USD = 1000.0
"""MIN_LEFTOVER_BASE: a call must clear one of its two legs or leave this much on both."""
HELPER_MARGIN_USD = 1e-6
"""Subtracted from the amount that the pool's own helper proposes: rounding could leave a little less than 1,000."""
BASE_UNIT_USD = 1e-8
"""One unit of the pool's base currency; collateral worth less counts as none."""
MAX_CALLS = 64
"""Calls per account and step; each closes half the debt or clears a leg, so legal books need far fewer."""

MORE = 1.0 + 1e-9
"""A leg or a gain wins only if it is larger by a part in 10^9: legs that were both left at 1,000 are a tie, and the
first wins, whatever rounding made of them."""

# columns of `terms`, one row per leg
THRESHOLD = 0
"""liquidation threshold of the leg as collateral, 0 for a debt"""
FACTOR = 1
"""1 + liquidation bonus; 0 where the leg cannot be seized"""
INVERSE = 2
"""1 / FACTOR, or 0"""
FEE_RATE = 3
"""protocol fee over collateral taken: (1 - INVERSE) x the fee's share of the bonus"""
N_TERMS = 4

# columns of the money outputs
REPAID = 0
SEIZED = 1
PROTOCOL_FEE = 2
DEFICIT = 3
CALLS = 4
ACCOUNTS = 5
N_TOTALS = 6

MICRO = 1e6
MILLI = 1e3


@merged
def largest_admissible(debt, collateral, margin, total_debt, factor, inverse, leftover):
    """Repayment and seizure of the largest call the pool would accept, USD.

    debt, collateral: value of the two legs; margin: sum of collateral value x threshold; factor: 1 + bonus, and its
    inverse (multiplying by it is several times cheaper than dividing); leftover: what a partial call leaves.
    Returns (repaid, taken, debt leg cleared, collateral leg cleared). LiquidationLogic.sol, executeLiquidationCall.
    """
    # Written without branches: which case applies is nearly random, and a mispredicted branch costs more than all this.
    large = (debt >= SMALL_POSITION_USD) & (collateral >= SMALL_POSITION_USD)
    limited = large & (margin > HALF_ALLOWED_ABOVE * total_debt)
    most = min(debt, CLOSE_FACTOR * total_debt) if limited else debt
    collateral_cleared = most * factor >= collateral
    # Where neither leg is cleared both are at least 2,000, so leaving 1,000 on each is always possible.
    room = min(debt - leftover, (collateral - leftover) * inverse)
    partial = min(most, room) if most < debt else most
    repaid = min(most, collateral * inverse) if collateral_cleared else partial
    taken = collateral if collateral_cleared else repaid * factor
    debt_cleared = (repaid >= debt) & (not collateral_cleared)
    return repaid, taken, debt_cleared, collateral_cleared


@merged
def largest_legs(n_collateral, n_legs, value, now, leg, reserve, terms, open_from, t):
    """(collateral leg, debt leg) of the largest value that may take part; -1 where there is none."""
    best_c = np.int64(-1)
    best_d = np.int64(-1)
    largest = 0.0
    for k in range(n_collateral):
        worth = value[k] * now[k]
        at = np.uint64(leg + k)
        if worth > largest * MORE and terms[at, FACTOR] > 0.0 and t >= open_from[np.uint64(reserve[at])]:
            largest = worth
            best_c = k
    largest = 0.0
    for k in range(n_collateral, n_legs):
        worth = value[k] * now[k]
        if worth > largest * MORE and t >= open_from[np.uint64(reserve[np.uint64(leg + k)])]:
            largest = worth
            best_d = k
    return best_c, best_d


@merged
def most_profitable(n_collateral, n_legs, value, now, leg, reserve, terms, open_from, t, margin, total_debt):
    """(collateral leg, debt leg) whose largest admissible call earns the most after the protocol fee; -1 if none."""
    best_c = np.int64(-1)
    best_d = np.int64(-1)
    best_gain = 0.0
    for c in range(n_collateral):
        at = np.uint64(leg + c)
        factor = terms[at, FACTOR]
        worth = value[c] * now[c]
        if worth <= 0.0 or factor <= 0.0 or t < open_from[np.uint64(reserve[at])]:
            continue
        for d in range(n_collateral, n_legs):
            owed = value[d] * now[d]
            if owed <= 0.0 or t < open_from[np.uint64(reserve[np.uint64(leg + d)])]:
                continue
            repaid, taken, _, _ = largest_admissible(
                owed, worth, margin, total_debt, factor, terms[at, INVERSE], MIN_LEFTOVER_USD
            )
            gain = taken - taken * terms[at, FEE_RATE] - repaid
            if best_c < 0 or gain > best_gain + (MORE - 1.0) * abs(best_gain):
                best_gain = gain
                best_c = c
                best_d = d
    return best_c, best_d


@merged
def make_call(
    n_collateral, n_legs, value, now, leg, reserve, terms, t, out, row, by_step, unit, best_c, best_d, repaid, taken,
    debt_cleared, collateral_cleared,
):  # fmt: skip
    """Make one call that the pool accepts, and what follows from it; returns the repaid micro-USD.

    Arguments as in `settle`. best_c, best_d: the legs; repaid, taken (USD) and what is cleared: as from
    `largest_admissible`, or a smaller call that clears neither leg and leaves enough on both.
    """
    c = np.uint64(best_c)
    d = np.uint64(best_d)
    at_c = np.uint64(leg + best_c)
    at_row = np.uint64(row)
    at_t = np.uint64(t)
    fee = taken * terms[at_c, FEE_RATE]
    value[d] = 0.0 if debt_cleared else max(value[d] - repaid / now[d], 0.0)
    value[c] = 0.0 if collateral_cleared else max(value[c] - taken / now[c], 0.0)

    micro = np.int64(np.rint(repaid * MICRO))
    out[at_row, REPAID] += micro
    out[at_row, SEIZED] += np.int64(np.rint((taken - fee) * MICRO))
    out[at_row, PROTOCOL_FEE] += np.int64(np.rint(fee * MICRO))
    r_c = np.uint64(reserve[at_c])
    r_d = np.uint64(reserve[np.uint64(leg + best_d)])
    by_step[at_t, r_d, REPAID] += np.int64(np.rint(repaid * unit))
    by_step[at_t, r_c, SEIZED] += np.int64(np.rint((taken - fee) * unit))
    by_step[at_t, r_c, PROTOCOL_FEE] += np.int64(np.rint(fee * unit))

    if collateral_cleared:
        left = False
        for k in range(n_collateral):
            left = left or value[k] * now[k] >= BASE_UNIT_USD
        if not left:
            # The last collateral is gone: the pool burns every remaining debt and books it as deficit.
            for k in range(n_collateral, n_legs):
                owed = value[k] * now[k]
                out[at_row, DEFICIT] += np.int64(np.rint(owed * MICRO))
                burnt = np.uint64(reserve[np.uint64(leg + k)])
                by_step[at_t, burnt, DEFICIT] += np.int64(np.rint(owed * unit))
                value[k] = 0.0
            for k in range(n_collateral):
                value[k] = 0.0
    return micro


@merged
def settle(n_collateral, n_legs, value, now, leg, reserve, terms, open_from, t, policy, out, row, by_step, unit):
    """Liquidate one account at step t until its health factor is at least 1 or no call is admissible.

    value: (>= n_legs,) snapshot dollars of its legs, changed in place; now: (>= n_legs,) their relative prices.
    leg: where its legs begin in `reserve` (int64) and `terms` ((legs, N_TERMS) float64).
    open_from: (R,) first step at which a reserve may take part.
    out: (rows, N_TOTALS) int64, micro-USD and counts, row `row` is added to.
    by_step: (steps, R, 4) int64, parts of a dollar of which `unit` make one (float64, `MILLI` or `MICRO`): repaid and
    deficit by debt reserve, seized and fee by collateral reserve.
    Returns the repaid micro-USD, -1 when no call was made. Money is counted in integers, so that totals do not depend
    on the order of accounts or paths.
    """
    step_repaid = np.int64(0)
    calls = 0
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
    at_row = np.uint64(row)
    at_t = np.uint64(t)
    for _ in range(MAX_CALLS):
        margin = 0.0
        total_debt = 0.0
        for k in range(n_collateral):
            margin += (value[k] * terms[np.uint64(leg + k), THRESHOLD]) * now[k]
        for k in range(n_collateral, n_legs):
            total_debt += value[k] * now[k]
        if not (margin < total_debt):
            break
        if policy == FIRST_PASSAGE:
            # No liquidation at all: the whole debt counts once, and the account is finished on this path.
            for k in range(n_collateral, n_legs):
                owed = value[k] * now[k]
                micro = np.int64(np.rint(owed * MICRO))
                step_repaid += micro
                out[at_row, REPAID] += micro
                by_step[at_t, np.uint64(reserve[np.uint64(leg + k)]), REPAID] += np.int64(np.rint(owed * unit))
                value[k] = 0.0
            calls = 1
            break
        if policy != MOST_PROFITABLE:
            best_c, best_d = largest_legs(n_collateral, n_legs, value, now, leg, reserve, terms, open_from, t)
        else:
            best_c, best_d = most_profitable(
                n_collateral, n_legs, value, now, leg, reserve, terms, open_from, t, margin, total_debt
            )
        if best_c < 0 or best_d < 0:
            break

        c = np.uint64(best_c)
        d = np.uint64(best_d)
        at_c = np.uint64(leg + best_c)
        repaid, taken, debt_cleared, collateral_cleared = largest_admissible(
            value[d] * now[d],
            value[c] * now[c],
            margin,
            total_debt,
            terms[at_c, FACTOR],
            terms[at_c, INVERSE],
            leftover,
        )
        step_repaid += make_call(
            n_collateral, n_legs, value, now, leg, reserve, terms, t, out, row, by_step, unit, best_c, best_d, repaid,
            taken, debt_cleared, collateral_cleared,
        )  # fmt: skip
        calls += 1
    if calls == 0:
        return np.int64(-1)
    out[at_row, CALLS] += calls
    return step_repaid
