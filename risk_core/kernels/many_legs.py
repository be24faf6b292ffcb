"""Accounts of any number of collaterals and debts: the touched prefix of a group, path by path.

One account in fifteen of a real book is too large for `few_legs`. Same rule as `settle`, same bits. The loops over
accounts and paths are in here because a call with twenty array arguments for each account would cost more than the
rule; legs are short loops over work space that stays in the nearest cache.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, merged
from risk_core.kernels._vector import SPAN, lowest_bit, span_below
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
def first_step_of(x, s, padded, offset, weight, n_collateral, n_legs):
    """First step >= s at which margin < debt, else at least `padded`, for any number of legs."""
    start = s
    s &= ~np.int64(SPAN - 1)
    ahead = ~np.int64(0) << (start - s)
    while s < padded:
        below = span_below(x, s, padded, offset, weight, n_collateral, n_legs) & ahead
        if below != 0:
            return s + lowest_bit(below)
        ahead = ~np.int64(0)
        s += SPAN
    return s


@inner
def follow_many(walk, g, n_paths, n_steps, policy, work, first_row, totals):
    """The touched accounts of group g on a block's paths; arguments as in `follow_few`."""
    first, end, first_record, weakest = walk.shape[g, 0], walk.shape[g, 1], walk.shape[g, 4], walk.weakest[g]
    n_collateral, n_legs = walk.shape[g, 2], walk.shape[g, 3]
    factor, reserve, terms = work.factor, work.reserve, work.terms
    record, bounds, x = walk.record, work.bound, work.flat_x
    value, now, weight, offset = work.value, work.now, work.weight, work.offset
    padded, n_reserves = np.int64(work.x.shape[2]), np.int64(totals.by_step.shape[1])
    path_size = np.int64(work.x.shape[1]) * padded
    path, by_step, hits = totals.flat_path, totals.flat_by_step, totals.flat_hits
    step_repaid = work.flat_step_repaid
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
    for q in range(n_paths):
        if weakest * bounds[q] >= SLACK:
            continue
        # Sorted by health: what can be touched on this path is a prefix of the group.
        bound = bounds[q]
        stop = SLACK * SLACK / bound
        n, at = first, first_record
        origin, row, step_row = q * path_size, first_row + q, q * n_steps
        for k in range(n_legs):
            offset[k] = origin + factor[k] * padded
        to = np.uint64(row * N_TOTALS)
        while n < end and record[np.uint64(at)] < stop:
            for k in range(n_legs):
                value[k] = record[np.uint64(at + 1 + k)]
                weight[k] = value[k] * terms[k, THRESHOLD] if k < n_collateral else value[k]
            at += n_legs + 1
            t = first_step_of(x, np.int64(0), padded, offset, weight, n_collateral, n_legs)
            untouched = True
            while t < n_steps:
                for k in range(n_legs):
                    now[k] = x[np.uint64(offset[k] + t)]
                calls = np.int64(0)
                repaid_now = np.int64(0)
                here = np.uint64(t * n_reserves)
                while calls < MAX_CALLS:
                    margin, total_debt = 0.0, 0.0
                    held, owed = 0.0, 0.0
                    c, d = np.uint64(0), np.uint64(0)
                    for k in range(n_collateral):
                        margin += weight[k] * now[k]
                        worth = value[k] * now[k]
                        larger = worth > held * MORE
                        held = worth if larger else held
                        c = np.uint64(k) if larger else c
                    for k in range(n_collateral, n_legs):
                        worth = value[k] * now[k]
                        total_debt += worth
                        larger = worth > owed * MORE
                        owed = worth if larger else owed
                        d = np.uint64(k) if larger else d
                    if not (margin < total_debt):
                        break
                    if policy == FIRST_PASSAGE:
                        for k in range(n_collateral, n_legs):
                            owed = value[k] * now[k]
                            repaid_now += np.int64(np.rint(owed * MICRO))
                            by_step[(here + np.uint64(reserve[k])) * np.uint64(4)] += np.int64(np.rint(owed * MILLI))
                            value[k] = 0.0
                            weight[k] = 0.0
                        path[to] += repaid_now
                        calls = np.int64(1)
                        break
                    if held <= 0.0 or owed <= 0.0:
                        break
                    repaid, taken, debt_cleared, collateral_cleared = largest_admissible(
                        owed, held, margin, total_debt, terms[c, FACTOR], terms[c, INVERSE], leftover
                    )
                    fee = taken * terms[c, FEE_RATE]
                    value[d] = 0.0 if debt_cleared else max(value[d] - repaid / now[d], 0.0)
                    value[c] = 0.0 if collateral_cleared else max(value[c] - taken / now[c], 0.0)
                    weight[d] = value[d]
                    weight[c] = value[c] * terms[c, THRESHOLD]
                    calls += 1
                    micro = np.int64(np.rint(repaid * MICRO))
                    repaid_now += micro
                    path[to] += micro
                    path[to + np.uint64(SEIZED)] += np.int64(np.rint((taken - fee) * MICRO))
                    path[to + np.uint64(PROTOCOL_FEE)] += np.int64(np.rint(fee * MICRO))
                    at_c = (here + np.uint64(reserve[c])) * np.uint64(4)
                    by_step[(here + np.uint64(reserve[d])) * np.uint64(4)] += np.int64(np.rint(repaid * MILLI))
                    by_step[at_c + np.uint64(SEIZED)] += np.int64(np.rint((taken - fee) * MILLI))
                    by_step[at_c + np.uint64(PROTOCOL_FEE)] += np.int64(np.rint(fee * MILLI))
                    if collateral_cleared:
                        left = 0.0
                        for k in range(n_collateral):
                            left = max(left, value[k] * now[k])
                        if left < BASE_UNIT_USD:
                            for k in range(n_collateral, n_legs):
                                owed = value[k] * now[k]
                                burnt = (here + np.uint64(reserve[k])) * np.uint64(4) + np.uint64(DEFICIT)
                                path[to + np.uint64(DEFICIT)] += np.int64(np.rint(owed * MICRO))
                                by_step[burnt] += np.int64(np.rint(owed * MILLI))
                            for k in range(n_legs):
                                value[k] = 0.0
                                weight[k] = 0.0
                if calls > 0:
                    path[to + np.uint64(CALLS)] += calls
                    step_repaid[np.uint64(step_row + t)] += repaid_now
                    if untouched:
                        untouched = False
                        path[to + np.uint64(ACCOUNTS)] += 1
                        hits[np.uint64(n * HIT_BUCKETS + t * HIT_BUCKETS // n_steps)] += 1
                    margin, total_debt = 0.0, 0.0
                    for k in range(n_collateral):
                        margin += weight[k]
                    for k in range(n_collateral, n_legs):
                        total_debt += weight[k]
                    if margin * bound >= SLACK * total_debt:
                        break
                t = first_step_of(x, t + 1, padded, offset, weight, n_collateral, n_legs)
            n += 1
