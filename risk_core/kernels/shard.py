"""The Monte Carlo over one range of paths: the pruned engine and its brute-force twin.

Both take the same `Book` layout, the same `settle` and the same `first_below`; they differ only in which accounts
they look at. Exactness of the pruning (docs in risk_core.engine): an account's health factor over a path is at least
h0 x min over its (collateral, debt) factor pairs of min_t x_c(t) / x_d(t).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import kernel, lowest, merged
from risk_core.kernels._vector import WIDTH, lowest_bit, steps_below
from risk_core.kernels.paths import price_block
from risk_core.kernels.scan import first_below
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
    MOST_PROFITABLE,
    N_TERMS,
    N_TOTALS,
    PROTOCOL_FEE,
    PROTOCOL_HELPER,
    SEIZED,
    THRESHOLD,
    largest_admissible,
    settle,
)

PRUNED = 0
"""the engine"""
UNPRUNED = 1
"""the engine's inner loop over every account: what vectors alone achieve"""
BRUTE = 2
"""the twin: every account, `settle` on arrays"""
LANES = 8
"""Paths of one block: one vector of float64, and the unit in which an account's record is reused."""
SLACK = 1.0 + 1e-11
"""Bounds and health factors here carry a relative rounding error below 1e-13; the slack is far above it."""
HIT_BUCKETS = 8
"""Equal parts of the horizon in which an account's first liquidation is counted."""
BINS_PER_OCTAVE = 32
N_BINS = 1 + 63 * BINS_PER_OCTAVE


class Book(NamedTuple):
    """Accounts grouped by (collateral set, debt set, e-mode), sorted by health factor inside a group. G groups."""

    first: np.ndarray  # (G + 1,) int64, first account of each group
    leg: np.ndarray  # (G + 1,) int64, first leg of each group
    n_collateral: np.ndarray  # (G,) int64
    value_at: np.ndarray  # (G,) int64, where the values of the group's first account begin; stride = number of legs
    value: np.ndarray  # (nnz,) float64, snapshot dollars, collateral then debt
    health: np.ndarray  # (n,) float64 at the snapshot
    factor: np.ndarray  # (legs,) int64
    reserve: np.ndarray  # (legs,) int64
    terms: np.ndarray  # (legs, N_TERMS) float64, columns in kernels.settle
    pair_at: np.ndarray  # (G + 1,) int64
    pair: np.ndarray  # (sum of pairs,) int64, rows of the two below
    pair_collateral: np.ndarray  # (n_pairs,) int64 factor
    pair_debt: np.ndarray  # (n_pairs,) int64 factor
    open_from: np.ndarray  # (R,) int64, first step at which a reserve may be liquidated


class Walk(NamedTuple):
    """The same book as the pruned engine walks it: what it reads together lies together.

    An event costs about as much as the cache misses on its way; this layout makes it two instead of seven.
    """

    weakest: np.ndarray  # (G,) float64, health factor of the group's first account
    shape: np.ndarray  # (G, 6) int64: first account, end, collateral legs, legs, first record, first leg
    record: np.ndarray  # (n + nnz,) float64, an account's health factor and then its values
    kind: np.ndarray  # (legs,) int64, rows of the three below: the few distinct legs of the whole book
    factor: np.ndarray  # (kinds,) int64
    reserve: np.ndarray  # (kinds,) int64
    terms: np.ndarray  # (kinds, N_TERMS) float64


class Totals(NamedTuple):
    """Everything a shard adds to. Integers only, so that the order of accounts, paths and shards cannot matter."""

    path: np.ndarray  # (n_paths, N_TOTALS) int64, micro-USD and counts
    by_step: np.ndarray  # (n_steps, R, 4) int64, milli-USD
    fan: np.ndarray  # (n_steps, N_BINS) int64, paths by cumulative repaid
    hits: np.ndarray  # (n, HIT_BUCKETS) int32, paths by the account's first liquidation
    flat_path: np.ndarray  # the same memory as `path`, `by_step` and `hits`, one axis
    flat_by_step: np.ndarray
    flat_hits: np.ndarray


class Scratch(NamedTuple):
    """Work space of one shard; its size does not depend on the number of accounts or paths."""

    x: np.ndarray  # (LANES, F + 1, padded steps) relative prices of a block
    z: np.ndarray  # (F + 1 rounded up to even, n_steps) normals, and a row for common jumps
    inverse: np.ndarray  # (F + 1, padded steps)
    low: np.ndarray  # (pairs, LANES)
    lowest: np.ndarray  # (pairs,)
    bound: np.ndarray  # (LANES,)
    value: np.ndarray  # (most legs,) balances of the account in hand, snapshot dollars
    now: np.ndarray  # (most legs,) their relative prices at the step in hand
    factor: np.ndarray  # (most legs,) int64, legs of the group in hand
    reserve: np.ndarray  # (most legs,) int64
    terms: np.ndarray  # (most legs, N_TERMS) float64
    sums: np.ndarray  # (2, padded steps)
    step_repaid: np.ndarray  # (LANES, n_steps) int64, micro-USD
    flat_x: np.ndarray  # the same memory as `x` and `step_repaid`, one axis
    flat_step_repaid: np.ndarray


@kernel
def log_bin(amount):
    """Bin of a non-negative integer: 0 for 0, else 32 bins an octave (a bin is 1.5 % either side of its middle)."""
    if amount <= 0:
        return 0
    bits = np.float64(amount).view(np.int64)
    return np.int64(1) + (bits >> np.int64(47)) - np.int64(1023 * BINS_PER_OCTAVE)


@kernel
def add_to_fan(step_repaid, n_paths, n_steps, fan):
    """Add each path's cumulative repaid micro-USD at each step to `fan` (n_steps, N_BINS); clears `step_repaid`."""
    for q in range(n_paths):
        total = np.int64(0)
        for t in range(n_steps):
            total += step_repaid[q, t]
            step_repaid[q, t] = 0
            fan[t, log_bin(total)] += 1


@kernel
def follow(
    n_collateral, n_legs, value, now, leg, factor, reserve, terms, open_from, x, q, n_steps, policy, bound, sums,
    path, row, by_step, step_repaid, hits, account,
):  # fmt: skip
    """Follow one account along path q; the balances in `value` evolve.

    `bound` is a lower bound of (health at any step) / (health at snapshot prices) on this path: once the account is
    healed beyond it, no later step can touch it. 0 switches that off.
    """
    t = np.int64(0)
    untouched = True
    while t < n_steps:
        t = first_below(n_collateral, n_legs - n_collateral, value, leg, factor, terms, x, q, t, sums)
        if t >= n_steps:
            return
        for k in range(n_legs):
            now[k] = x[np.uint64(q), np.uint64(factor[np.uint64(leg + k)]), np.uint64(t)]
        repaid = settle(n_collateral, n_legs, value, now, leg, reserve, terms, open_from, t, policy, path, row, by_step)
        if repaid >= 0:
            step_repaid[q, t] += repaid
            if untouched:
                untouched = False
                path[row, ACCOUNTS] += 1
                hits[account, t * hits.shape[1] // n_steps] += 1
            margin = 0.0
            owed = 0.0
            for k in range(n_collateral):
                margin += value[k] * terms[leg + k, THRESHOLD]
            for k in range(n_collateral, n_legs):
                owed += value[k]
            if margin * bound >= SLACK * owed:
                return
        t += 1


@kernel
def brute_block(book, x, n_paths, n_steps, policy, work, first_row, totals):
    """Every account on every path, no bound: the twin that the pruned engine must equal bit for bit."""
    first, leg_at, group_collateral, value_at = book.first, book.leg, book.n_collateral, book.value_at
    book_value, factor, reserve, terms, open_from = book.value, book.factor, book.reserve, book.terms, book.open_from
    value, now, sums, step_repaid = work.value, work.now, work.sums, work.step_repaid
    path, by_step, hits = totals.path, totals.by_step, totals.hits
    for q in range(n_paths):
        for g in range(first.shape[0] - 1):
            leg = leg_at[g]
            n_legs = leg_at[g + 1] - leg
            n_collateral = group_collateral[g]
            at = value_at[g]
            for n in range(first[g], first[g + 1]):
                for k in range(n_legs):
                    value[k] = book_value[at + k]
                at += n_legs
                follow(
                    n_collateral, n_legs, value, now, leg, factor, reserve, terms, open_from, x, q, n_steps,
                    policy, 0.0, sums, path, first_row + q, by_step, step_repaid, hits, n,
                )  # fmt: skip


@lowest
def pair_minima(pair_collateral, pair_debt, x, n_paths, inverse, low, lowest):
    """low[k, q] = min over steps of x_collateral / x_debt for each factor pair; lanes without a path get +huge.

    lowest[k]: the least of a pair over the lanes.
    """
    for q in range(n_paths):
        for f in range(x.shape[1]):
            for t in range(x.shape[2]):
                inverse[f, t] = 1.0 / x[q, f, t]
        for k in range(pair_collateral.shape[0]):
            a = np.uint64(pair_collateral[k])
            b = np.uint64(pair_debt[k])
            least = 1e300
            for t in range(x.shape[2]):
                ratio = x[q, a, t] * inverse[b, t]
                least = ratio if ratio < least else least
            low[k, q] = least
    for k in range(pair_collateral.shape[0]):
        for q in range(n_paths, LANES):
            low[k, q] = 1e300
        least = 1e300
        for q in range(n_paths):
            least = low[k, q] if low[k, q] < least else least
        lowest[k] = least


@lowest
def group_bound(pair, begin, end, low, bound):
    """bound[q] = the least of the group's pairs on each lane."""
    for q in range(LANES):
        bound[q] = 1e300
    for k in range(begin, end):
        p = np.uint64(pair[np.uint64(k)])
        for q in range(LANES):
            bound[q] = low[p, q] if low[p, q] < bound[q] else bound[q]


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


@kernel
def follow_one(
    n, end, at, stop, bound, record, factor, reserve, terms, x, origin, padded, n_steps, policy, row, n_reserves, path,
    by_step, step_repaid, step_row, hits,
):  # fmt: skip
    """`follow_few` for one collateral and one debt, which half of all touched accounts have."""
    f0, g0 = origin + factor[0] * padded, origin + factor[1] * padded
    threshold, bonus, inverse, fee_rate = terms[0, THRESHOLD], terms[0, FACTOR], terms[0, INVERSE], terms[0, FEE_RATE]
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
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


@kernel
def follow_few(
    n, end, at, n_collateral, n_debt, stop, bound, record, factor, reserve, terms, x, origin, padded, n_steps, policy,
    row, n_reserves, path, by_step, step_repaid, step_row, hits,
):  # fmt: skip
    """The touched accounts of one group on one path: `follow` for up to three collaterals and two debts, in registers.

    The rule is that of `settle` for a pair of largest legs and every reserve open, leg by leg; absent legs have
    value 0. Arrays are flat. x: the block's prices, `origin` the first element of this path. step_row: the first
    element of the path in `step_repaid`. The property tests hold this function against `settle`, bit for bit.
    """
    two, three, both = n_collateral > 1, n_collateral > 2, n_debt > 1
    k = np.uint64(n_collateral)
    f0 = origin + factor[0] * padded
    f1 = origin + factor[1] * padded if two else f0
    f2 = origin + factor[2] * padded if three else f0
    g0 = origin + factor[k] * padded
    g1 = origin + factor[k + np.uint64(1)] * padded if both else g0
    l0 = terms[0, THRESHOLD]
    l1 = terms[1, THRESHOLD] if two else 0.0
    l2 = terms[2, THRESHOLD] if three else 0.0
    stride = n_collateral + n_debt + 1
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
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


@kernel
def pruned_block(book, walk, x, n_paths, n_steps, policy, prune, work, first_row, totals):
    """Only the accounts that the bound cannot clear; all of them without `prune`. Same results as `brute_block`."""
    weakest, shape, record, kind = walk.weakest, walk.shape, walk.record, walk.kind
    kind_factor, kind_reserve, kind_terms = walk.factor, walk.reserve, walk.terms
    pair_at, pair, open_from = book.pair_at, book.pair, book.open_from
    low, lowest_pair, bound, value, now = work.low, work.lowest, work.bound, work.value, work.now
    factor, reserve, terms, sums, step_repaid = work.factor, work.reserve, work.terms, work.sums, work.step_repaid
    path, by_step, hits = totals.path, totals.by_step, totals.hits
    rows, padded, n_reserves = np.int64(x.shape[1]), np.int64(x.shape[2]), np.int64(by_step.shape[1])
    pair_minima(book.pair_collateral, book.pair_debt, x, n_paths, work.inverse, low, lowest_pair)
    for g in range(weakest.shape[0]):
        least = 1e300
        for k in range(pair_at[g], pair_at[g + 1]):
            least = min(least, lowest_pair[np.uint64(pair[np.uint64(k)])])
        if prune and weakest[g] * least >= SLACK:
            continue
        group_bound(pair, pair_at[g], pair_at[g + 1], low, bound)
        if not prune:
            for q in range(LANES):
                bound[q] = 0.0
        n_collateral, n_legs, leg = shape[g, 2], shape[g, 3], shape[g, 5]
        plain = policy != MOST_PROFITABLE and n_collateral <= 3 and n_legs - n_collateral <= 2
        for k in range(n_legs):
            what = np.uint64(kind[np.uint64(leg + k)])
            factor[k] = kind_factor[what]
            reserve[k] = kind_reserve[what]
            for c in range(N_TERMS):
                terms[k, c] = kind_terms[what, c]
            plain = plain and open_from[reserve[k]] == 0 and (k >= n_collateral or terms[k, FACTOR] > 0.0)
        for q in range(n_paths):
            if weakest[g] * bound[q] >= SLACK:
                continue
            # Sorted by health: what can be touched on this path is a prefix of the group.
            stop = SLACK * SLACK / bound[q]
            n, end, at = shape[g, 0], shape[g, 1], shape[g, 4]
            if plain and n_legs == 2:
                follow_one(
                    n, end, at, stop, bound[q], record, factor, reserve, terms, work.flat_x, q * rows * padded, padded,
                    n_steps, policy, first_row + q, n_reserves, totals.flat_path, totals.flat_by_step,
                    work.flat_step_repaid, q * n_steps, totals.flat_hits,
                )  # fmt: skip
                continue
            if plain:
                follow_few(
                    n, end, at, n_collateral, n_legs - n_collateral, stop, bound[q], record, factor, reserve, terms,
                    work.flat_x, q * rows * padded, padded, n_steps, policy, first_row + q, n_reserves,
                    totals.flat_path, totals.flat_by_step, work.flat_step_repaid, q * n_steps, totals.flat_hits,
                )  # fmt: skip
                continue
            while n < end and record[np.uint64(at)] < stop:
                for k in range(n_legs):
                    value[k] = record[np.uint64(at + 1 + k)]
                follow(
                    n_collateral, n_legs, value, now, 0, factor, reserve, terms, open_from, x, q, n_steps,
                    policy, bound[q], sums, path, first_row + q, by_step, step_repaid, hits, n,
                )  # fmt: skip
                at += n_legs + 1
                n += 1


@kernel
def run_shard(book, walk, draw, seed, first_path, n_paths, n_steps, policy, method, work, totals):
    """Paths [first_path, first_path + n_paths) into `totals`, whose path row 0 is `first_path`; prices from `draw`."""
    for done in range(0, n_paths, LANES):
        lanes = min(LANES, n_paths - done)
        price_block(draw, seed, first_path + done, lanes, n_steps, work.z, work.x)
        if method != BRUTE:
            pruned_block(book, walk, work.x, lanes, n_steps, policy, method == PRUNED, work, done, totals)
        else:
            brute_block(book, work.x, lanes, n_steps, policy, work, done, totals)
        add_to_fan(work.step_repaid, lanes, n_steps, totals.fan)
