"""The Monte Carlo over one range of paths: the pruned engine and its brute-force twin.

Both take the same `Book` layout, the same `settle` and the same `first_below`; they differ only in which accounts
they look at. Exactness of the pruning (docs in risk_core.engine): an account's health factor over a path is at least
h0 x min over its (collateral, debt) factor pairs of min_t x_c(t) / x_d(t).
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, kernel, lowest
from risk_core.kernels.book import BINS_PER_OCTAVE, SLACK
from risk_core.kernels.few_legs import follow_few, follow_one
from risk_core.kernels.many_legs import follow_many
from risk_core.kernels.paths import price_block
from risk_core.kernels.scan import first_below
from risk_core.kernels.settle import ACCOUNTS, FACTOR, MILLI, MOST_PROFITABLE, N_TERMS, THRESHOLD, settle

PRUNED = 0
"""the engine"""
UNPRUNED = 1
"""the engine's inner loop over every account: what vectors alone achieve"""
BRUTE = 2
"""the twin: every account, `settle` on arrays"""


@inner
def log_bin(amount):
    """Bin of a non-negative integer: 0 for 0, else 32 bins an octave (a bin is 1.5 % either side of its middle)."""
    if amount <= 0:
        return 0
    bits = np.float64(amount).view(np.int64)
    return np.int64(1) + (bits >> np.int64(47)) - np.int64(1023 * BINS_PER_OCTAVE)


@inner
def add_to_fan(step_repaid, n_paths, n_steps, fan):
    """Add each path's cumulative repaid micro-USD at each step to `fan` (n_steps, N_BINS); clears `step_repaid`."""
    for q in range(n_paths):
        total = np.int64(0)
        for t in range(n_steps):
            total += step_repaid[q, t]
            step_repaid[q, t] = 0
            fan[t, log_bin(total)] += 1


@inner
def follow(
    n_collateral, n_legs, value, now, leg, factor, reserve, terms, open_from, x, q, n_steps, policy, bound, sums,
    path, row, by_step, unit, step_repaid, hits, account,
):  # fmt: skip
    """Follow one account along path q; the balances in `value` evolve.

    `bound` is a lower bound of (health at any step) / (health at snapshot prices) on this path: once the account's
    health is above it, no later step can touch the account. 0 switches that off. unit: of `by_step`, as in `settle`.

    22 arguments and not the bundles `work` and `totals`: a call copies every array of a bundle, and this one is made
    for each account and path. Measured on 100,000 accounts, 8 paths: 245 ms with bundles, 40 ms without.
    """
    t = np.int64(0)
    untouched = True
    while t < n_steps:
        t = first_below(n_collateral, n_legs - n_collateral, value, leg, factor, terms, x, q, t, sums)
        if t >= n_steps:
            return
        for k in range(n_legs):
            now[k] = x[np.uint64(q), np.uint64(factor[np.uint64(leg + k)]), np.uint64(t)]
        repaid = settle(
            n_collateral, n_legs, value, now, leg, reserve, terms, open_from, t, policy, path, row, by_step, unit
        )
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


@inner
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
                    policy, 0.0, sums, path, first_row + q, by_step, MILLI, step_repaid, hits, n,
                )  # fmt: skip


@lowest
def pair_minima(pair_collateral, pair_debt, x, n_paths, inverse, low, lowest):
    """low[k, q] = min over steps of x_collateral / x_debt for each factor pair; lanes without a path get +huge.

    lowest[k]: the least of a pair over the lanes.
    """
    rows = 0
    for k in range(pair_debt.shape[0]):
        rows = max(rows, pair_debt[k] + 1)
    for q in range(n_paths):
        for f in range(rows):
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
        for q in range(n_paths, low.shape[1]):
            low[k, q] = 1e300
        least = 1e300
        for q in range(n_paths):
            least = low[k, q] if low[k, q] < least else least
        lowest[k] = least


@lowest
def group_bound(pair, begin, end, low, bound):
    """bound[q] = the least of the group's pairs on each lane."""
    for q in range(bound.shape[0]):
        bound[q] = 1e300
    for k in range(begin, end):
        p = np.uint64(pair[np.uint64(k)])
        for q in range(bound.shape[0]):
            bound[q] = low[p, q] if low[p, q] < bound[q] else bound[q]


@inner
def pruned_block(book, walk, x, n_paths, n_steps, policy, prune, work, first_row, totals):
    """Only the accounts that the bound cannot clear; all of them without `prune`. Same results as `brute_block`."""
    weakest, shape, record, kind = walk.weakest, walk.shape, walk.record, walk.kind
    kind_factor, kind_reserve, kind_terms = walk.factor, walk.reserve, walk.terms
    pair_at, pair, open_from = book.pair_at, book.pair, book.open_from
    low, lowest_pair, bound, value, now = work.low, work.lowest, work.bound, work.value, work.now
    factor, reserve, terms, sums, step_repaid = work.factor, work.reserve, work.terms, work.sums, work.step_repaid
    path, by_step, hits = totals.path, totals.by_step, totals.hits
    pair_minima(book.pair_collateral, book.pair_debt, x, n_paths, work.inverse, low, lowest_pair)
    for g in range(weakest.shape[0]):
        least = 1e300
        for k in range(pair_at[g], pair_at[g + 1]):
            least = min(least, lowest_pair[np.uint64(pair[np.uint64(k)])])
        if prune and weakest[g] * least >= SLACK:
            continue
        group_bound(pair, pair_at[g], pair_at[g + 1], low, bound)
        if not prune:
            for q in range(n_paths):
                bound[q] = 0.0
        n_collateral, n_legs, leg = shape[g, 2], shape[g, 3], shape[g, 5]
        plain = policy != MOST_PROFITABLE
        few = n_collateral <= 3 and n_legs - n_collateral <= 2
        for k in range(n_legs):
            what = np.uint64(kind[np.uint64(leg + k)])
            factor[k] = kind_factor[what]
            reserve[k] = kind_reserve[what]
            for c in range(N_TERMS):
                terms[k, c] = kind_terms[what, c]
            plain = plain and open_from[reserve[k]] == 0 and (k >= n_collateral or terms[k, FACTOR] > 0.0)
        if plain and n_legs == 2:
            follow_one(walk, g, n_paths, n_steps, policy, work, first_row, totals)
            continue
        if plain and few:
            follow_few(walk, g, n_paths, n_steps, policy, work, first_row, totals)
            continue
        if plain:
            follow_many(walk, g, n_paths, n_steps, policy, work, first_row, totals)
            continue
        for q in range(n_paths):
            if weakest[g] * bound[q] >= SLACK:
                continue
            # Sorted by health: what can be touched on this path is a prefix of the group.
            stop = SLACK * SLACK / bound[q]
            n, end, at = shape[g, 0], shape[g, 1], shape[g, 4]
            while n < end and record[np.uint64(at)] < stop:
                for k in range(n_legs):
                    value[k] = record[np.uint64(at + 1 + k)]
                follow(
                    n_collateral, n_legs, value, now, np.int64(0), factor, reserve, terms, open_from, x, q, n_steps,
                    policy, bound[q], sums, path, first_row + q, by_step, MILLI, step_repaid, hits, n,
                )  # fmt: skip
                at += n_legs + 1
                n += 1


@kernel
def run_shard(book, walk, capped, capped_walk, draw, seed, first_path, n_paths, n_steps, policy, method, work, totals):
    """Paths [first_path, first_path + n_paths) into `totals`, whose path row 0 is `first_path`; prices from `draw`.

    Two layouts of one market: without the rows of prices under an oracle's cap, and with them. Both give the same bits
    on paths on which no cap acts, and there are most of those; fewer rows and pairs are faster.
    """
    block = work.x.shape[0]
    for done in range(0, n_paths, block):
        lanes = min(block, n_paths - done)
        acts = price_block(draw, seed, first_path + done, lanes, n_steps, work.z, work.x)
        if method == BRUTE:
            brute_block(capped, work.x, lanes, n_steps, policy, work, done, totals)
        elif acts:
            pruned_block(capped, capped_walk, work.x, lanes, n_steps, policy, method == PRUNED, work, done, totals)
        else:
            pruned_block(book, walk, work.x, lanes, n_steps, policy, method == PRUNED, work, done, totals)
        add_to_fan(work.step_repaid, lanes, n_steps, totals.fan)
