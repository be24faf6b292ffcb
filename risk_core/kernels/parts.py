"""What the totals of chosen paths consist of: amounts by account, by reserve and by step.

The paths are drawn again by their numbers and followed by the rule of the engine (`shard.follow`), one account at a
time; every account that the bounds cannot clear is looked at, as in `shard.pruned_block`. Amounts are counted in
micro-USD call by call, so those of a path's accounts add up to the path's totals, to the last integer, and so do those
of its reserves.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, kernel
from risk_core.kernels.book import SLACK
from risk_core.kernels.paths import price_block
from risk_core.kernels.settle import CALLS, DEFICIT, MICRO, N_TERMS, REPAID
from risk_core.kernels.shard import follow, group_bound, pair_minima


@kernel
def feed_prices(draw, seed, number, n_steps, z, x, out):
    """Relative prices of the feeds on the paths `number` (K,) int64, before caps. out: (K, F, n_steps)."""
    for k in range(number.shape[0]):
        price_block(draw, seed, number[k], 1, n_steps, z, x)
        for f in range(out.shape[1]):
            for t in range(n_steps):
                out[k, f, t] = x[0, f, t]


@inner
def collect(steps, weight, reserve_usd, step_usd, begun):
    """Add one path's `steps` (T, R, 4) to its sums by reserve and to the weighted sums by step; clears `steps`."""
    for t in range(steps.shape[0]):
        for r in range(steps.shape[1]):
            for c in range(4):
                amount = steps[t, r, c]
                if amount != 0:
                    reserve_usd[r, c] += amount
                    step_usd[t, r, c] += weight * amount
                    if c == REPAID:
                        begun[0] = min(begun[0], t)
                    if c == DEFICIT:
                        begun[1] = min(begun[1], t)
                    steps[t, r, c] = 0


@kernel
def path_parts(
    book, walk, draw, seed, number, weight, n_steps, policy, work, row, steps, hits, begin, account, amount, by_reserve,
    by_step, begun,
):  # fmt: skip
    """The parts of the paths `number` (K,) int64. Returns how many (path, account) pairs there are, -1 if too many.

    weight: (K,) float64, of each path in `by_step`. Work space, all zero: row (1, N_TOTALS), steps (T, R, 4) int64,
    hits (1, 1) int32. Filled: begin (K + 1,) int64, where each path's pairs begin; account (M,) int64, in the order of
    the book; amount (M, 4) and by_reserve (K, R, 4) int64 micro-USD: repaid, seized, fee, deficit; by_step (T, R, 4)
    float64, weighted sums in micro-USD; begun (K, 2) int64, first step with an amount repaid, and with a deficit.
    """
    pair_at, pair, open_from = book.pair_at, book.pair, book.open_from
    shape, record, kind = walk.shape, walk.record, walk.kind
    found = np.int64(0)
    for k in range(number.shape[0]):
        begin[k] = found
        price_block(draw, seed, number[k], 1, n_steps, work.z, work.x)
        pair_minima(book.pair_collateral, book.pair_debt, work.x, 1, work.inverse, work.low, work.lowest)
        for g in range(walk.weakest.shape[0]):
            group_bound(pair, pair_at[g], pair_at[g + 1], work.low, work.bound)
            bound = work.bound[0]
            if walk.weakest[g] * bound >= SLACK:
                continue
            n_collateral, n_legs, leg = shape[g, 2], shape[g, 3], shape[g, 5]
            for i in range(n_legs):
                what = kind[leg + i]
                work.factor[i] = walk.factor[what]
                work.reserve[i] = walk.reserve[what]
                for c in range(N_TERMS):
                    work.terms[i, c] = walk.terms[what, c]
            stop = SLACK * SLACK / bound
            n, end, at = shape[g, 0], shape[g, 1], shape[g, 4]
            while n < end and record[at] < stop:
                for i in range(n_legs):
                    work.value[i] = record[at + 1 + i]
                follow(
                    n_collateral, n_legs, work.value, work.now, np.int64(0), work.factor, work.reserve, work.terms,
                    open_from, work.x, np.int64(0), n_steps, policy, bound, work.sums, row, np.int64(0), steps, MICRO,
                    work.step_repaid, hits, np.int64(0),
                )  # fmt: skip
                if row[0, CALLS] > 0:
                    if found == account.shape[0]:
                        return np.int64(-1)
                    account[found] = n
                    for c in range(4):
                        amount[found, c] = row[0, c]
                    found += 1
                    for c in range(row.shape[1]):
                        row[0, c] = 0
                at += n_legs + 1
                n += 1
        begun[k, 0] = begun[k, 1] = n_steps
        collect(steps, weight[k], by_reserve[k], by_step, begun[k])
    begin[number.shape[0]] = found
    return found
