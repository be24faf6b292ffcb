"""Liquidations that move the prices they happen at: a fixed point inside each step, and its brute-force twin.

One path at a time, one step after the other. A step is played in rounds: every account below 1 at the current
effective prices is liquidated, what liquidators received is sold, prices fall, and the next round looks again, until
a round moves no price (`MAX_ROUNDS` at most; what is then still below 1 waits for the next step). Within a round all
calls see the same prices and sales are added up in integers, so the order of accounts cannot matter.

What need not be looked at, and why the pruned run has the bits of the brute one:

*Asleep.* With X the effective relative prices of this very moment, an account that was never touched has
health >= h0 x X_c / X_d for the least of its (collateral, debt) pairs. Each pair keeps its accounts by h0 and a cursor;
an account wakes when its pair falls below 1 / h0. The bound reads current prices alone, so it does not matter how
they came about, and a cursor never moves back.

*Waiting.* An account that is awake but not below 1 waits for the first step at which it could be, found in one
vectorised scan over the path's prices in which each collateral already bears the `floor` of its market: as long as no
multiplier is below its floor, effective collateral is at least that, and effective debt at most the path's. When a
multiplier falls below its floor, the floor is lowered far beyond it and everybody awake is looked at again.

Both are covered by the slack of kernels.shard. What is looked at is judged by `settle`, in both twins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import kernel, merged
from risk_core.kernels.paths import price_block
from risk_core.kernels.randomness import exp
from risk_core.kernels.settle import ACCOUNTS, MILLI, SEIZED, THRESHOLD, settle
from risk_core.kernels.shard import LANES, SLACK, add_to_fan

MAX_ROUNDS = 12
MAX_FALL = 100.0
"""Greatest logarithm of a fall: keeps a multiplier positive, and far from where float64 ends."""
NANO = 1e9
NOBODY = -1


class Sleepers(NamedTuple):
    """Accounts by pair, weakest first; an account is listed under each of its pairs. Columns are effective prices."""

    first: np.ndarray  # (n_pairs + 1,) int64
    account: np.ndarray  # (entries,) int64
    health: np.ndarray  # (entries,) float64 at the snapshot
    pair: np.ndarray  # (C, padded C) int64: row of a (collateral, debt) column pair in `first`, -1 where there is none
    trigger: np.ndarray  # (C, padded C) float64: a ratio below it wakes somebody, at the start of a path
    group: np.ndarray  # (n,) int64, group of each account


class Sales(NamedTuple):
    """How sales move prices. R reserves, M markets and the immune one, C columns of (factor, market)."""

    factor: np.ndarray  # (C,) int64, row of the path's prices
    market: np.ndarray  # (C,) int64; M is immune
    market_of: np.ndarray  # (R,) int64; M is immune
    sold: np.ndarray  # (R, K) float64 USD at path prices, rising from 0
    fall: np.ndarray  # (R, K) float64, minus the logarithm of the price after selling it
    floor: np.ndarray  # (M + 1,) float64, multipliers that a path is first expected to stay above
    kept: float  # share of what was sold that still weighs one step later


class Pool(NamedTuple):
    """State of one path, reused by the next: what is sized by accounts is written only where somebody wakes."""

    price: np.ndarray  # (C,) effective relative prices of the moment
    inverse: np.ndarray  # (padded C,) float64, 0 in the padding
    multiplier: np.ndarray  # (M + 1,) float64 in (0, 1]
    floor: np.ndarray  # (M + 1,) float64
    fall: np.ndarray  # (M + 1,) float64
    sold: np.ndarray  # (R,) float64 USD at path prices that weigh on the price
    counted: np.ndarray  # (R,) int64 milli-USD, seizures that have been sold
    trigger: np.ndarray  # (C, padded C) float64
    cursor: np.ndarray  # (n_pairs,) int64
    woken: np.ndarray  # (n + 1,) int64, number of the path on which an account last woke; the last counts paths
    account: np.ndarray  # (n,) int64, by slot: accounts awake, in the order of waking
    at: np.ndarray  # (n + 1,) int64, by slot, where its balances begin
    balance: np.ndarray  # (nnz,) float64 snapshot dollars
    liquidated: np.ndarray  # (n,) bool, by slot
    next: np.ndarray  # (n,) int64, by slot: next in the same queue
    queue: np.ndarray  # (padded steps + 1,) int64, first slot that waits for a step
    active: np.ndarray  # (n,) int64 slots to look at in the round in hand


@merged
def quote(sales, pool, x, q, t):
    """Effective prices of step t under the multipliers of the moment."""
    for c in range(pool.price.shape[0]):
        price = x[q, np.uint64(sales.factor[c]), t] * pool.multiplier[np.uint64(sales.market[c])]
        pool.price[c] = price
        pool.inverse[c] = 1.0 / price


@merged
def weigh(sales, pool):
    """Multipliers from what has been sold; says whether one of them changed."""
    n_markets = pool.multiplier.shape[0]
    for m in range(n_markets):
        pool.fall[m] = 0.0
    last = sales.sold.shape[1] - 2
    for r in range(pool.sold.shape[0]):
        quantity = pool.sold[r]
        if quantity > 0.0:
            k = 0
            while k < last and quantity >= sales.sold[r, k + 1]:
                k += 1
            slope = (sales.fall[r, k + 1] - sales.fall[r, k]) / (sales.sold[r, k + 1] - sales.sold[r, k])
            pool.fall[sales.market_of[r]] += sales.fall[r, k] + (quantity - sales.sold[r, k]) * slope
    changed = False
    for m in range(n_markets - 1):
        multiplier = exp(-min(pool.fall[m], MAX_FALL))
        changed = changed or multiplier != pool.multiplier[m]
        pool.multiplier[m] = multiplier
    return changed


@merged
def sell(sales, pool, by_step, t):
    """Sell what liquidators received since the last sale; says whether a price moved."""
    any_sold = False
    for r in range(pool.sold.shape[0]):
        received = by_step[t, r, SEIZED] - pool.counted[r]
        if received > 0:
            any_sold = True
            pool.counted[r] += received
            # counted at path prices: the impact depends on the tokens sold, not on what they still fetched
            pool.sold[r] += received / (MILLI * pool.multiplier[sales.market_of[r]])
    return any_sold and weigh(sales, pool)


@merged
def rouse(book, sleepers, pool, account, n_awake):
    """Give an account its slot."""
    g = np.uint64(sleepers.group[account])
    n_legs = book.leg[g + np.uint64(1)] - book.leg[g]
    source = np.uint64(book.value_at[g] + (account - book.first[g]) * n_legs)
    target = np.uint64(pool.at[n_awake])
    for k in range(n_legs):
        pool.balance[target + np.uint64(k)] = book.value[source + np.uint64(k)]
    pool.account[n_awake] = account
    pool.at[n_awake + 1] = pool.at[n_awake] + n_legs
    pool.liquidated[n_awake] = False


@merged
def wake(book, sleepers, pool, n_active, n_awake):
    """Rouse whom current prices could have brought below 1; returns (active, awake)."""
    number = pool.woken[pool.woken.shape[0] - 1]
    width = pool.inverse.shape[0]
    for c in range(pool.price.shape[0]):
        price = pool.price[c]
        below = 0
        for d in range(width):
            below += 1 if price * pool.inverse[d] < pool.trigger[c, d] else 0
        if below == 0:
            continue
        for d in range(width):
            ratio = price * pool.inverse[d]
            if ratio < pool.trigger[c, d]:
                pair = np.uint64(sleepers.pair[c, d])
                i = pool.cursor[pair]
                end = sleepers.first[pair + np.uint64(1)]
                while i < end and sleepers.health[np.uint64(i)] * ratio < SLACK:
                    account = sleepers.account[np.uint64(i)]
                    if pool.woken[np.uint64(account)] != number:
                        pool.woken[np.uint64(account)] = number
                        rouse(book, sleepers, pool, account, n_awake)
                        pool.active[n_active] = n_awake
                        n_awake += 1
                        n_active += 1
                    i += 1
                pool.cursor[pair] = i
                pool.trigger[c, d] = SLACK / sleepers.health[i] if i < end else 0.0
    return n_active, n_awake


@merged
def visit(book, sleepers, pool, work, slot, q, t, n_steps, policy, row, totals):
    """Liquidate the account of a slot at current prices, if it is below 1."""
    account = pool.account[slot]
    g = np.uint64(sleepers.group[account])
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    n_collateral = book.n_collateral[g]
    at = pool.at[slot]
    margin = 0.0
    owed = 0.0
    for k in range(n_collateral):
        weight = pool.balance[np.uint64(at + k)] * book.terms[np.uint64(leg + k), THRESHOLD]
        margin += weight * pool.price[np.uint64(book.factor[np.uint64(leg + k)])]
    for k in range(n_collateral, n_legs):
        owed += pool.balance[np.uint64(at + k)] * pool.price[np.uint64(book.factor[np.uint64(leg + k)])]
    if not margin < owed:
        return
    for k in range(n_legs):
        work.value[k] = pool.balance[np.uint64(at + k)]
        work.now[k] = pool.price[np.uint64(book.factor[np.uint64(leg + k)])]
    repaid = settle(
        n_collateral, n_legs, work.value, work.now, leg, book.reserve, book.terms, book.open_from, t, policy,
        totals.path, row, totals.by_step,
    )  # fmt: skip
    if repaid >= 0:
        for k in range(n_legs):
            pool.balance[np.uint64(at + k)] = work.value[k]
        work.step_repaid[q, t] += repaid
        if not pool.liquidated[slot]:
            pool.liquidated[slot] = True
            totals.path[row, ACCOUNTS] += 1
            totals.hits[account, t * totals.hits.shape[1] // n_steps] += 1


@merged
def next_step(book, sleepers, sales, pool, work, slot, x, q, start):
    """First step from `start` on at which the account of a slot could be below 1 above the floors, else the padded end.

    Collateral bears the floor of its market, debt no multiplier at all.
    """
    g = np.uint64(sleepers.group[pool.account[slot]])
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    at = pool.at[slot]
    n_steps = x.shape[2]
    for s in range(n_steps):
        work.sums[0, s] = 0.0
        work.sums[1, s] = 0.0
    n_collateral = book.n_collateral[g]
    for k in range(n_collateral):
        c = np.uint64(book.factor[np.uint64(leg + k)])
        weight = pool.balance[np.uint64(at + k)] * book.terms[np.uint64(leg + k), THRESHOLD]
        weight *= pool.floor[np.uint64(sales.market[c])]
        f = np.uint64(sales.factor[c])
        for s in range(n_steps):
            work.sums[0, s] += weight * x[q, f, s]
    for k in range(n_collateral, n_legs):
        weight = SLACK * pool.balance[np.uint64(at + k)]
        f = np.uint64(sales.factor[np.uint64(book.factor[np.uint64(leg + k)])])
        for s in range(n_steps):
            work.sums[1, s] += weight * x[q, f, s]
    first = np.int64(n_steps)
    for s in range(n_steps):
        first = min(first, np.int64(s) if (work.sums[0, s] < work.sums[1, s] and s >= start) else np.int64(n_steps))
    return first


@merged
def lower_floors(pool):
    """Says whether a multiplier has fallen below its floor; such a floor goes twice as far (in logarithms)."""
    lowered = False
    for m in range(pool.floor.shape[0] - 1):
        if pool.multiplier[m] < pool.floor[m]:
            pool.floor[m] = pool.multiplier[m] * pool.multiplier[m]
            lowered = True
    return lowered


@merged
def begin_path(book, sleepers, sales, pool):
    """Everybody asleep, nothing sold."""
    for m in range(pool.multiplier.shape[0]):
        pool.multiplier[m] = 1.0
        pool.floor[m] = sales.floor[m]
    for r in range(pool.sold.shape[0]):
        pool.sold[r] = 0.0
    for c in range(pool.trigger.shape[0]):
        for d in range(pool.trigger.shape[1]):
            pool.trigger[c, d] = sleepers.trigger[c, d]
    for k in range(pool.cursor.shape[0]):
        pool.cursor[k] = sleepers.first[k]
    for t in range(pool.queue.shape[0]):
        pool.queue[t] = NOBODY
    pool.woken[pool.woken.shape[0] - 1] += 1
    pool.at[0] = 0


@merged
def begin_step(sales, pool, by_step, t):
    """Time has absorbed part of what was sold."""
    any_left = False
    for r in range(pool.sold.shape[0]):
        pool.counted[r] = by_step[t, r, SEIZED]
        pool.sold[r] *= sales.kept
        any_left = any_left or pool.sold[r] > 0.0
    if any_left:
        weigh(sales, pool)


@kernel
def cascade_path(book, sleepers, sales, x, q, n_steps, policy, pruned, pool, work, row, totals, multiplier, unsettled):
    """One path. Not `pruned`: everybody is awake from the start and looked at in every round, the twin."""
    begin_path(book, sleepers, sales, pool)
    n_awake = 0
    if not pruned:
        for n in range(sleepers.group.shape[0]):
            rouse(book, sleepers, pool, n, n_awake)
            pool.active[n] = n
            n_awake += 1
    n_active = n_awake
    for t in range(n_steps):
        begin_step(sales, pool, totals.by_step, t)
        quote(sales, pool, x, q, t)
        if pruned:
            n_active = 0
            slot = pool.queue[t]
            while slot != NOBODY:
                pool.active[n_active] = slot
                n_active += 1
                slot = pool.next[slot]
        moved = True
        for _ in range(MAX_ROUNDS):
            if pruned:
                n_active, n_awake = wake(book, sleepers, pool, n_active, n_awake)
            for i in range(n_active):
                visit(book, sleepers, pool, work, pool.active[i], q, t, n_steps, policy, row, totals)
            moved = sell(sales, pool, totals.by_step, t)
            if not moved:
                break
            quote(sales, pool, x, q, t)
            if pruned and lower_floors(pool):
                for s in range(n_awake):
                    pool.active[s] = s
                n_active = n_awake
                for s in range(pool.queue.shape[0]):
                    pool.queue[s] = NOBODY
        unsettled[t] += 1 if moved else 0
        if pruned:
            for i in range(n_active):
                slot = pool.active[i]
                due = next_step(book, sleepers, sales, pool, work, slot, x, q, t + 1)
                pool.next[slot] = pool.queue[due]
                pool.queue[due] = slot
        for m in range(pool.multiplier.shape[0]):
            multiplier[t, m] += np.int64(np.rint(pool.multiplier[m] * NANO))


@kernel
def run_cascade(
    book, sleepers, sales, draw, seed, first_path, n_paths, n_steps, policy, pruned, pool,
    work, totals, multiplier, unsettled,
):  # fmt: skip
    """`run_shard` with impact. multiplier (steps, M + 1) int64: sums over paths at the end of a step, in 1e-9;
    unsettled (steps,) int64: paths that reached `MAX_ROUNDS` there.
    """
    for done in range(0, n_paths, LANES):
        lanes = min(LANES, n_paths - done)
        price_block(draw, seed, first_path + done, lanes, n_steps, work.z, work.x)
        for q in range(lanes):
            cascade_path(
                book, sleepers, sales, work.x, q, n_steps, policy, pruned, pool, work, done + q, totals, multiplier,
                unsettled,
            )  # fmt: skip
        add_to_fan(work.step_repaid, lanes, n_steps, totals.fan)
