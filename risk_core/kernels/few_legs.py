"""Accounts of up to three collaterals and two debts, followed along a path in registers.

Nine tenths of a real book are such accounts, and they are where the engine spends its time. Same rule as `settle`, same
bits (the property tests compare every one of them with the brute-force twin); no arrays of legs, and no branches on
conditions that the processor cannot predict.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, merged
from risk_core.kernels._vector import WIDTH, lowest_bit, steps_below
from risk_core.kernels.book import HIT_BUCKETS, SLACK
from risk_core.kernels.settle import (
    ACCOUNTS,
    BASE_UNIT_USD,
    CALLS,
    DEFICIT,
    FACTOR,
    FEE_RATE,
    FIRST_PASSAGE,
    HELPER_MARGIN_USD,
    INVERSE,
    MAX_CALLS,
    MICRO,
    MILLI,
    MIN_LEFTOVER_USD,
    MORE,
    N_TOTALS,
    PROTOCOL_FEE,
    PROTOCOL_HELPER,
    SEIZED,
    THRESHOLD,
    largest_admissible,
)


@merged
def first_step(x, s, padded, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1):
    """First step >= s at which margin < debt, else at least `padded` (`first_below` on scalars).

    32 steps a round, without a branch on the data inside: where an account falls is random, and a mispredicted exit
    costs more than the two vectors it would save.
    """
    start = s
    s &= ~np.int64(4 * WIDTH - 1)
    ahead = ~np.int64(0) << (start - s)
    while s < padded:
        below = steps_below(x, s, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1)
        if s + 8 < padded:
            below |= steps_below(x, s + 8, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1) << 8
        if s + 16 < padded:
            below |= steps_below(x, s + 16, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1) << 16
        if s + 24 < padded:
            below |= steps_below(x, s + 24, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1) << 24
        below &= ahead
        if below != 0:
            return s + lowest_bit(below)
        ahead = ~np.int64(0)
        s += 4 * WIDTH
    return s


@inner
def follow_one(walk, g, n_paths, n_steps, policy, work, first_row, totals):
    """`follow_few` for one collateral and one debt, which half of all touched accounts have."""
    first, end, first_record, weakest = walk.shape[g, 0], walk.shape[g, 1], walk.shape[g, 4], walk.weakest[g]
    factor, reserve, terms = work.factor, work.reserve, work.terms
    record, bounds, x = walk.record, work.bound, work.flat_x
    padded, n_reserves = np.int64(work.x.shape[2]), np.int64(totals.by_step.shape[1])
    path_size = np.int64(work.x.shape[1]) * padded
    path, by_step, hits = totals.flat_path, totals.flat_by_step, totals.flat_hits
    step_repaid = work.flat_step_repaid
    threshold, bonus, inverse, fee_rate = terms[0, THRESHOLD], terms[0, FACTOR], terms[0, INVERSE], terms[0, FEE_RATE]
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
    for q in range(n_paths):
        if weakest * bounds[q] >= SLACK:
            continue
        # Sorted by health: what can be touched on this path is a prefix of the group.
        bound = bounds[q]
        stop = SLACK * SLACK / bound
        n, at = first, first_record
        origin, row, step_row = q * path_size, first_row + q, q * n_steps
        f0, g0 = origin + factor[0] * padded, origin + factor[1] * padded
        to = np.uint64(row * N_TOTALS)
        while n < end and record[np.uint64(at)] < stop:
            c0, d0 = record[np.uint64(at + 1)], record[np.uint64(at + 2)]
            at += 3
            w0 = c0 * threshold
            t = first_step(x, np.int64(0), padded, f0, f0, f0, g0, g0, w0, 0.0, 0.0, d0, 0.0)
            untouched = True
            while t < n_steps:
                a0, e0 = x[np.uint64(f0 + t)], x[np.uint64(g0 + t)]
                at_c = np.uint64((t * n_reserves + reserve[0]) * 4)
                at_d = np.uint64((t * n_reserves + reserve[1]) * 4)
                calls = np.int64(0)
                repaid_now = np.int64(0)
                while calls < MAX_CALLS:
                    margin, owed, held = w0 * a0, d0 * e0, c0 * a0
                    if not (margin < owed):
                        break
                    if policy == FIRST_PASSAGE:
                        repaid_now = np.int64(np.rint(owed * MICRO))
                        path[to] += repaid_now
                        by_step[at_d] += np.int64(np.rint(owed * MILLI))
                        d0, calls = 0.0, np.int64(1)
                        break
                    if held <= 0.0:
                        break
                    repaid, taken, debt_cleared, collateral_cleared = largest_admissible(
                        owed, held, margin, owed, bonus, inverse, leftover
                    )
                    fee = taken * fee_rate
                    d0 = 0.0 if debt_cleared else max(d0 - repaid / e0, 0.0)
                    c0 = 0.0 if collateral_cleared else max(c0 - taken / a0, 0.0)
                    w0 = c0 * threshold
                    calls += 1
                    micro = np.int64(np.rint(repaid * MICRO))
                    repaid_now += micro
                    path[to] += micro
                    path[to + np.uint64(SEIZED)] += np.int64(np.rint((taken - fee) * MICRO))
                    path[to + np.uint64(PROTOCOL_FEE)] += np.int64(np.rint(fee * MICRO))
                    by_step[at_d] += np.int64(np.rint(repaid * MILLI))
                    by_step[at_c + np.uint64(SEIZED)] += np.int64(np.rint((taken - fee) * MILLI))
                    by_step[at_c + np.uint64(PROTOCOL_FEE)] += np.int64(np.rint(fee * MILLI))
                    if collateral_cleared:
                        owed = d0 * e0
                        path[to + np.uint64(DEFICIT)] += np.int64(np.rint(owed * MICRO))
                        by_step[at_d + np.uint64(DEFICIT)] += np.int64(np.rint(owed * MILLI))
                        d0 = 0.0
                if calls > 0:
                    path[to + np.uint64(CALLS)] += calls
                    step_repaid[np.uint64(step_row + t)] += repaid_now
                    if untouched:
                        untouched = False
                        path[to + np.uint64(ACCOUNTS)] += 1
                        hits[np.uint64(n * HIT_BUCKETS + t * HIT_BUCKETS // n_steps)] += 1
                    if w0 * bound >= SLACK * d0:
                        break
                t = first_step(x, t + 1, padded, f0, f0, f0, g0, g0, w0, 0.0, 0.0, d0, 0.0)
            n += 1


@inner
def follow_few(walk, g, n_paths, n_steps, policy, work, first_row, totals):
    """The touched accounts of group g on a block's paths: up to three collaterals and two debts, in registers.

    The rule is that of `settle` for a pair of largest legs and every reserve open, leg by leg; absent legs have value
    0. `work` holds the block's prices, each path's bound and the legs of the group; totals' row `first_row` is the
    block's first path. The property tests compare this with `settle`, bit for bit. The loop over paths is in here
    because a call with this many arrays costs as much as an account.
    """
    first, end, first_record, weakest = walk.shape[g, 0], walk.shape[g, 1], walk.shape[g, 4], walk.weakest[g]
    n_collateral, n_debt = walk.shape[g, 2], walk.shape[g, 3] - walk.shape[g, 2]
    factor, reserve, terms = work.factor, work.reserve, work.terms
    record, bounds, x = walk.record, work.bound, work.flat_x
    padded, n_reserves = np.int64(work.x.shape[2]), np.int64(totals.by_step.shape[1])
    path_size = np.int64(work.x.shape[1]) * padded
    path, by_step, hits = totals.flat_path, totals.flat_by_step, totals.flat_hits
    step_repaid = work.flat_step_repaid
    two, three, both = n_collateral > 1, n_collateral > 2, n_debt > 1
    k = np.uint64(n_collateral)
    l0 = terms[0, THRESHOLD]
    l1 = terms[1, THRESHOLD] if two else 0.0
    l2 = terms[2, THRESHOLD] if three else 0.0
    stride = n_collateral + n_debt + 1
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
    for q in range(n_paths):
        if weakest * bounds[q] >= SLACK:
            continue
        # Sorted by health: what can be touched on this path is a prefix of the group.
        bound = bounds[q]
        stop = SLACK * SLACK / bound
        n, at = first, first_record
        origin, row, step_row = q * path_size, first_row + q, q * n_steps
        f0 = origin + factor[0] * padded
        f1 = origin + factor[1] * padded if two else f0
        f2 = origin + factor[2] * padded if three else f0
        g0 = origin + factor[k] * padded
        g1 = origin + factor[k + np.uint64(1)] * padded if both else g0
        while n < end and record[np.uint64(at)] < stop:
            u = np.uint64(at + 1)
            c0 = record[u]
            c1 = record[u + np.uint64(1)] if two else 0.0
            c2 = record[u + np.uint64(2)] if three else 0.0
            d0 = record[u + k]
            d1 = record[u + k + np.uint64(1)] if both else 0.0
            at += stride
            w0, w1, w2 = c0 * l0, c1 * l1, c2 * l2
            t = first_step(x, np.int64(0), padded, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1)
            untouched = True
            while t < n_steps:
                a0, a1, a2 = x[np.uint64(f0 + t)], x[np.uint64(f1 + t)], x[np.uint64(f2 + t)]
                e0, e1 = x[np.uint64(g0 + t)], x[np.uint64(g1 + t)]
                calls = np.int64(0)
                repaid_now = np.int64(0)
                to = np.uint64(row * N_TOTALS)
                while calls < MAX_CALLS:
                    margin = w0 * a0 + w1 * a1 + w2 * a2
                    total_debt = d0 * e0 + d1 * e1
                    if not (margin < total_debt):
                        break
                    if policy == FIRST_PASSAGE:
                        micro = np.int64(np.rint(d0 * e0 * MICRO))
                        by_step[np.uint64((t * n_reserves + reserve[k]) * 4)] += np.int64(np.rint(d0 * e0 * MILLI))
                        if both:
                            micro += np.int64(np.rint(d1 * e1 * MICRO))
                            owes = np.uint64((t * n_reserves + reserve[k + np.uint64(1)]) * 4)
                            by_step[owes] += np.int64(np.rint(d1 * e1 * MILLI))
                        repaid_now += micro
                        path[to] += micro
                        d0, d1, calls = 0.0, 0.0, np.int64(1)
                        break
                    h0, h1, h2 = c0 * a0, c1 * a1, c2 * a2
                    v0, v1 = d0 * e0, d1 * e1
                    second = h1 > h0 * MORE
                    held = h1 if second else h0
                    third = h2 > held * MORE
                    held = h2 if third else held
                    other = v1 > v0 * MORE
                    owed = v1 if other else v0
                    if held <= 0.0 or owed <= 0.0:
                        break
                    c = 2 if third else 1 if second else 0
                    i = np.uint64(c)
                    j = k + np.uint64(1) if other else k
                    repaid, taken, debt_cleared, collateral_cleared = largest_admissible(
                        owed, held, margin, total_debt, terms[i, FACTOR], terms[i, INVERSE], leftover
                    )
                    fee = taken * terms[i, FEE_RATE]
                    left_d = (d1 if other else d0) - repaid / (e1 if other else e0)
                    left_d = 0.0 if debt_cleared else max(left_d, 0.0)
                    d0 = d0 if other else left_d
                    d1 = left_d if other else d1
                    left_c = (c2 if third else c1 if second else c0) - taken / (a2 if third else a1 if second else a0)
                    left_c = 0.0 if collateral_cleared else max(left_c, 0.0)
                    c0 = left_c if c == 0 else c0
                    c1 = left_c if c == 1 else c1
                    c2 = left_c if c == 2 else c2
                    w0, w1, w2 = c0 * l0, c1 * l1, c2 * l2
                    calls += 1
                    micro = np.int64(np.rint(repaid * MICRO))
                    repaid_now += micro
                    path[to] += micro
                    path[to + np.uint64(SEIZED)] += np.int64(np.rint((taken - fee) * MICRO))
                    path[to + np.uint64(PROTOCOL_FEE)] += np.int64(np.rint(fee * MICRO))
                    at_c = np.uint64((t * n_reserves + reserve[i]) * 4)
                    at_d = np.uint64((t * n_reserves + reserve[j]) * 4)
                    by_step[at_d] += np.int64(np.rint(repaid * MILLI))
                    by_step[at_c + np.uint64(SEIZED)] += np.int64(np.rint((taken - fee) * MILLI))
                    by_step[at_c + np.uint64(PROTOCOL_FEE)] += np.int64(np.rint(fee * MILLI))
                    if collateral_cleared and max(c0 * a0, max(c1 * a1, c2 * a2)) < BASE_UNIT_USD:
                        owed = d0 * e0
                        path[to + np.uint64(DEFICIT)] += np.int64(np.rint(owed * MICRO))
                        burnt = np.uint64((t * n_reserves + reserve[k]) * 4 + DEFICIT)
                        by_step[burnt] += np.int64(np.rint(owed * MILLI))
                        if both:
                            owed = d1 * e1
                            path[to + np.uint64(DEFICIT)] += np.int64(np.rint(owed * MICRO))
                            burnt = np.uint64((t * n_reserves + reserve[k + np.uint64(1)]) * 4 + DEFICIT)
                            by_step[burnt] += np.int64(np.rint(owed * MILLI))
                        c0, c1, c2, d0, d1, w0, w1, w2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
                if calls > 0:
                    path[to + np.uint64(CALLS)] += calls
                    step_repaid[np.uint64(step_row + t)] += repaid_now
                    if untouched:
                        untouched = False
                        path[to + np.uint64(ACCOUNTS)] += 1
                        hits[np.uint64(n * HIT_BUCKETS + t * HIT_BUCKETS // n_steps)] += 1
                    if (w0 + w1 + w2) * bound >= SLACK * (d0 + d1):
                        break
                t = first_step(x, t + 1, padded, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1)
            n += 1
