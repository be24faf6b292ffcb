"""The Monte Carlo over one range of paths: the pruned engine and its brute-force twin.

Both take the same `Book` layout, the same `settle` and the same `first_below`; they differ only in which accounts
they look at. Exactness of the pruning (docs in risk_core.engine): an account's health factor over a path is at least
h0 x min over its (collateral, debt) factor pairs of min_t x_c(t) / x_d(t).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import kernel, lowest, merged
from risk_core.kernels.paths import price_block
from risk_core.kernels.scan import first_below
from risk_core.kernels.settle import ACCOUNTS, THRESHOLD, settle

LANES = 8
"""Paths of one block: one vector of float64, and the unit in which an account's record is reused."""
SLACK = 1.0 + 1e-11
"""Bounds and health factors here carry a relative rounding error below 1e-13; the slack is far above it."""
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


class Totals(NamedTuple):
    """Everything a shard adds to. Integers only, so that the order of accounts, paths and shards cannot matter."""

    path: np.ndarray  # (n_paths, N_TOTALS) int64, micro-USD and counts
    by_step: np.ndarray  # (n_steps, R, 4) int64, milli-USD
    fan: np.ndarray  # (n_steps, N_BINS) int64, paths by cumulative repaid
    hits: np.ndarray  # (n, buckets) int32, paths by the account's first liquidation


class Scratch(NamedTuple):
    """Work space of one shard; its size does not depend on the number of accounts or paths."""

    x: np.ndarray  # (LANES, F + 1, padded steps) relative prices of a block
    z: np.ndarray  # (F + 1 rounded up to even, n_steps) normals, and a row for common jumps
    inverse: np.ndarray  # (F + 1, padded steps)
    low: np.ndarray  # (pairs, LANES)
    bound: np.ndarray  # (LANES,)
    ratio: np.ndarray  # (n_steps,)
    suffix: np.ndarray  # (n_steps + 1,)
    value: np.ndarray  # (most legs,) balances of the account in hand, snapshot dollars
    now: np.ndarray  # (most legs,) their relative prices at the step in hand
    sums: np.ndarray  # (2, padded steps)
    step_repaid: np.ndarray  # (LANES, n_steps) int64, micro-USD


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


@merged
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
    for q in range(n_paths):
        for g in range(book.first.shape[0] - 1):
            leg = book.leg[g]
            n_legs = book.leg[g + 1] - leg
            n_collateral = book.n_collateral[g]
            at = book.value_at[g]
            for n in range(book.first[g], book.first[g + 1]):
                for k in range(n_legs):
                    work.value[k] = book.value[at + k]
                at += n_legs
                follow(
                    n_collateral, n_legs, work.value, work.now, leg, book.factor, book.reserve, book.terms,
                    book.open_from, x, q, n_steps, policy, 0.0, work.sums, totals.path, first_row + q, totals.by_step,
                    work.step_repaid, totals.hits, n,
                )  # fmt: skip


@lowest
def pair_minima(pair_collateral, pair_debt, x, n_paths, inverse, low):
    """low[k, q] = min over steps of x_collateral / x_debt for each factor pair; lanes without a path get +huge."""
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
    for q in range(n_paths, LANES):
        for k in range(pair_collateral.shape[0]):
            low[k, q] = 1e300


@lowest
def group_bound(pair, begin, end, low, bound):
    """bound[q] = the least of the group's pairs on each lane; returns the least over lanes."""
    for q in range(LANES):
        bound[q] = 1e300
    for k in range(begin, end):
        p = np.uint64(pair[np.uint64(k)])
        for q in range(LANES):
            bound[q] = low[p, q] if low[p, q] < bound[q] else bound[q]
    least = 1e300
    for q in range(LANES):
        least = bound[q] if bound[q] < least else least
    return least


@merged
def follow_pairs(
    n, end, stop, at, leg, book_value, health, factor, reserve, terms, open_from, x, q, n_steps, policy, value, now,
    ratio, suffix, path, row, by_step, step_repaid, hits,
):  # fmt: skip
    """The accounts of a one-collateral, one-debt group, weakest first, until health reaches `stop`.

    One price ratio decides for all of them, and the healthier an account the later its first passage: one pointer
    into the steps serves the whole group.
    """
    a = np.uint64(factor[leg])
    b = np.uint64(factor[leg + 1])
    threshold = terms[leg, THRESHOLD]
    least = 1e300
    suffix[n_steps] = least
    for t in range(n_steps):
        ratio[t] = x[q, a, t] / x[q, b, t]
    for t in range(n_steps - 1, -1, -1):
        least = ratio[t] if ratio[t] < least else least
        suffix[t] = least
    pointer = 0
    while n < end and health[n] < stop:
        h = health[n]
        while pointer < n_steps and h * ratio[pointer] >= SLACK:
            pointer += 1
        if pointer >= n_steps:
            return
        value[0] = book_value[at]
        value[1] = book_value[at + 1]
        t = pointer
        untouched = True
        while t < n_steps:
            if (value[0] * threshold) * x[q, a, t] < value[1] * x[q, b, t]:
                now[0] = x[q, a, t]
                now[1] = x[q, b, t]
                repaid = settle(1, 2, value, now, leg, reserve, terms, open_from, t, policy, path, row, by_step)
                if repaid >= 0:
                    step_repaid[q, t] += repaid
                    if untouched:
                        untouched = False
                        path[row, ACCOUNTS] += 1
                        hits[n, t * hits.shape[1] // n_steps] += 1
                    if value[1] <= 0.0:
                        break
                    h = (value[0] * threshold) / value[1]
            t += 1
            if h * suffix[t] >= SLACK:
                break
            while t < n_steps and h * ratio[t] >= SLACK:
                t += 1
        n += 1
        at += 2


@kernel
def pruned_block(book, x, n_paths, n_steps, policy, work, first_row, totals):
    """Only the accounts that the bound cannot clear. Same results as `brute_block`."""
    first, leg_at, group_collateral, value_at = book.first, book.leg, book.n_collateral, book.value_at
    book_value, health, factor, reserve, terms = book.value, book.health, book.factor, book.reserve, book.terms
    pair_at, pair, open_from = book.pair_at, book.pair, book.open_from
    low, bound, value, now, sums, step_repaid = work.low, work.bound, work.value, work.now, work.sums, work.step_repaid
    path, by_step, hits = totals.path, totals.by_step, totals.hits
    pair_minima(book.pair_collateral, book.pair_debt, x, n_paths, work.inverse, low)
    for g in range(first.shape[0] - 1):
        weakest = health[first[g]]
        if weakest * group_bound(pair, pair_at[g], pair_at[g + 1], low, bound) >= SLACK:
            continue
        for q in range(n_paths):
            if weakest * bound[q] >= SLACK:
                continue
            # Sorted by health: what can be touched on this path is a prefix of the group.
            stop = SLACK * SLACK / bound[q]
            leg = leg_at[g]
            n_legs = leg_at[g + 1] - leg
            n = first[g]
            end = first[g + 1]
            at = value_at[g]
            row = first_row + q
            if n_legs == 2:
                follow_pairs(
                    n, end, stop, at, leg, book_value, health, factor, reserve, terms, open_from, x, q, n_steps,
                    policy, value, now, work.ratio, work.suffix, path, row, by_step, step_repaid, hits,
                )  # fmt: skip
                continue
            n_collateral = group_collateral[g]
            while n < end and health[n] < stop:
                for k in range(n_legs):
                    value[k] = book_value[at + k]
                at += n_legs
                follow(
                    n_collateral, n_legs, value, now, leg, factor, reserve, terms, open_from, x, q, n_steps,
                    policy, bound[q], sums, path, row, by_step, step_repaid, hits, n,
                )  # fmt: skip
                n += 1


@kernel
def run_shard(book, draw, seed, first_path, n_paths, n_steps, policy, pruned, work, totals):
    """Paths [first_path, first_path + n_paths) into `totals`, whose path row 0 is `first_path`; prices from `draw`."""
    for done in range(0, n_paths, LANES):
        lanes = min(LANES, n_paths - done)
        price_block(draw, seed, first_path + done, lanes, n_steps, work.z, work.x)
        if pruned:
            pruned_block(book, work.x, lanes, n_steps, policy, work, done, totals)
        else:
            brute_block(book, work.x, lanes, n_steps, policy, work, done, totals)
        add_to_fan(work.step_repaid, lanes, n_steps, totals.fan)
