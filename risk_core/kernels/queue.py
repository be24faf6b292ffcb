"""Liquidators who must earn, sell into finite depth and have finite capital: a queue inside each step, and its twin.

As kernels.cascade, with two prices of each column. Health factors see the oracle's, which a sale moves by a share of
its impact. A sale sees the market's, which it moves at once. In each round the accounts below 1 stand in a queue, the
most profitable call first, and are served one after the other: a call is made as large as the pool allows, as still
pays at the margin of the market's price, and as the capital left allows. What is not served waits, and is looked at
again in the next round and in each later step. Depth comes back with time; capital when the window has passed.

The pruned run looks at the accounts that could be below 1, as in kernels.cascade; the brute-force run at all of them.
Both serve the same accounts in the same order: by profit, and of equal profits by account.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, kernel, merged
from risk_core.kernels.book import LANES, SLACK
from risk_core.kernels.cascade import MAX_ROUNDS, NANO, begin_path, rouse_all, wake
from risk_core.kernels.line import pop, push
from risk_core.kernels.paths import price_block
from risk_core.kernels.randomness import exp
from risk_core.kernels.response import respond
from risk_core.kernels.sales import MAX_FALL, fall_of, quote
from risk_core.kernels.settle import (
    ACCOUNTS,
    CALLS,
    FACTOR,
    FEE_RATE,
    HELPER_MARGIN_USD,
    INVERSE,
    MAX_CALLS,
    MICRO,
    MILLI,
    MIN_LEFTOVER_USD,
    MOST_PROFITABLE,
    PROTOCOL_HELPER,
    THRESHOLD,
    largest_admissible,
    largest_legs,
    make_call,
    most_profitable,
)
from risk_core.kernels.shard import add_to_fan
from risk_core.kernels.tranche import exchanged, tranche, weigh_both
from risk_core.kernels.waiting import ALWAYS, call_up, look_again, put_off

MOST_WAITING = 0
"""column of the outputs by path: the most debt that waited at the end of a step, micro-USD"""
WAITING_AT_END = 1
"""the debt that waited at the end of the path"""
BAD_DEBT_AT_END = 2
"""debt above collateral, of the accounts that waited at the end of the path"""
N_WAITING = 3


@merged
def sums(book, work, g):
    """(collateral x threshold, debt) in USD of the account in the work space."""
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    n_collateral = book.n_collateral[g]
    margin = 0.0
    owed = 0.0
    for k in range(n_collateral):
        margin += (work.value[k] * book.terms[np.uint64(leg + k), THRESHOLD]) * work.now[k]
    for k in range(n_collateral, n_legs):
        owed += work.value[k] * work.now[k]
    return margin, owed


@merged
def looked_at(book, state, work, g, slot):
    """Copy a slot's balances and current oracle prices into the work space; returns (margin, debt) in USD."""
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    at = state.at[slot]
    for k in range(n_legs):
        work.value[k] = state.balance[np.uint64(at + k)]
        work.now[k] = state.price[np.uint64(book.factor[np.uint64(leg + k)])]
    return sums(book, work, g)


@inner
def legs_of(book, work, g, t, policy, margin, owed):
    """(collateral leg, debt leg) that the policy chooses; -1 where there is none."""
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    n_collateral = book.n_collateral[g]
    if policy == MOST_PROFITABLE:
        return most_profitable(
            n_collateral, n_legs, work.value, work.now, leg, book.reserve, book.terms, book.open_from, t, margin, owed
        )
    return largest_legs(n_collateral, n_legs, work.value, work.now, leg, book.reserve, book.terms, book.open_from, t)


@merged
def stand_in_line(book, sleepers, state, queue, work, slot, t, policy, fallen, n):
    """Queue the account of a slot if it is below 1, by the profit of its first call; returns the length of the queue.

    fallen: as in `kernels.cascade.visit`, which says when an account need not be looked at again.
    """
    g = np.uint64(sleepers.group[state.account[slot]])
    margin, owed = looked_at(book, state, work, g, slot)
    if not margin < owed:
        state.limit[slot] = SLACK * fallen * owed / margin if margin > 0.0 else ALWAYS
        return n
    state.limit[slot] = ALWAYS
    best_c, best_d = legs_of(book, work, g, t, policy, margin, owed)
    gain = 0.0
    if best_c >= 0 and best_d >= 0:
        at_c = np.uint64(book.leg[g] + best_c)
        repaid, taken, _, _ = largest_admissible(
            work.value[best_d] * work.now[best_d], work.value[best_c] * work.now[best_c], margin, owed,
            book.terms[at_c, FACTOR], book.terms[at_c, INVERSE], MIN_LEFTOVER_USD,
        )  # fmt: skip
        gain = taken - taken * book.terms[at_c, FEE_RATE] - repaid
    push(queue, state, n, gain, slot)
    return n + 1


@inner
def serve(
    book, sleepers, sales, limits, state, queue, work, slot, x, q, t, n_steps, policy, row, totals, used,
):  # fmt: skip
    """Make the calls on the account of a slot that pay and can be paid.

    used: micro-USD repaid in the window so far. Returns (micro-USD repaid, debt that still waits, what of it is above
    the collateral), USD at the oracle's prices.
    """
    account = state.account[slot]
    g = np.uint64(sleepers.group[account])
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    n_collateral = book.n_collateral[g]
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
    micro = np.int64(0)
    calls = 0
    margin, owed = looked_at(book, state, work, g, slot)
    for _ in range(MAX_CALLS):
        if not margin < owed:
            break
        best_c, best_d = legs_of(book, work, g, t, policy, margin, owed)
        if best_c < 0 or best_d < 0:
            break
        left = limits.capital - (used + micro) / MICRO
        repaid, taken, debt_cleared, collateral_cleared = tranche(
            sales, limits, state, queue, work, x, q, t, leg, book, best_c, best_d, margin, owed, leftover, left
        )
        if repaid <= 0.0:
            break
        held = work.value[best_c]
        micro += make_call(
            n_collateral, n_legs, work.value, work.now, leg, book.reserve, book.terms, t, totals.path, row,
            totals.by_step, MILLI, best_c, best_d, repaid, taken, debt_cleared, collateral_cleared,
        )  # fmt: skip
        calls += 1
        at_c = np.uint64(leg + best_c)
        if exchanged(sales, book, at_c, np.uint64(leg + best_d)):
            margin, owed = sums(book, work, g)
            continue
        gone = held if collateral_cleared else taken / work.now[best_c]
        path_c = x[q, np.uint64(limits.row[np.uint64(book.factor[at_c])]), t]
        reserve = book.reserve[at_c]
        # The market's price falls at once, the oracle's when the round has ended.
        already = fall_of(sales, reserve, state.sold[reserve])
        state.sold[reserve] += gone * path_c * (1.0 - book.terms[at_c, FEE_RATE])
        m = np.uint64(sales.market_of[reserve])
        state.fall[m] += fall_of(sales, reserve, state.sold[reserve]) - already
        if sales.market_of[reserve] < state.multiplier.shape[0] - 1:
            queue.market[m] = exp(-min(state.fall[m], MAX_FALL))
        margin, owed = sums(book, work, g)
    if calls > 0:
        at = state.at[slot]
        for k in range(n_legs):
            state.balance[np.uint64(at + k)] = work.value[k]
        totals.path[row, CALLS] += calls
        work.step_repaid[q, t] += micro
        if not state.liquidated[slot]:
            state.liquidated[slot] = True
            totals.path[row, ACCOUNTS] += 1
            totals.hits[account, t * totals.hits.shape[1] // n_steps] += 1
    if not margin < owed:
        return micro, 0.0, 0.0
    worth = 0.0
    for k in range(n_collateral):
        worth += work.value[k] * work.now[k]
    return micro, owed, max(owed - worth, 0.0)


@inner
def queue_path(
    book, sleepers, sales, borrowing, limits, x, q, n_steps, policy, pruned, state, queue, work, row, totals,
    multiplier, unsettled, responded, waiting, waiting_by_step,
):  # fmt: skip
    """One path. Without `pruned` every account is awake from the start and looked at in every round (brute force)."""
    begin_path(book, sleepers, sales, state)
    for m in range(queue.market.shape[0]):
        queue.market[m] = 1.0
        state.fall[m] = 0.0
    n_awake = np.int64(0) if pruned else rouse_all(book, sleepers, state)
    n_active = n_awake
    used = np.int64(0)
    for t in range(n_steps):
        any_left = False
        for r in range(state.sold.shape[0]):
            any_left = any_left or state.sold[r] > 0.0
            state.sold[r] *= sales.kept
        if any_left:
            weigh_both(sales, limits, state, queue)
        if t >= limits.window:
            used -= work.step_repaid[q, t - limits.window]
        quote(sales, state, x, q, t)
        if pruned:
            n_active = call_up(state, t, np.int64(0))
        fallen = 1.0
        moved = True
        waits = np.int64(0)
        bad_debt = np.int64(0)
        for _ in range(MAX_ROUNDS):
            if pruned:
                n_active, n_awake = wake(book, sleepers, state, n_active, n_awake)
            n = np.int64(0)
            for i in range(n_active):
                slot = state.active[i]
                if not pruned or fallen < state.limit[slot]:
                    n = stand_in_line(book, sleepers, state, queue, work, slot, t, policy, fallen, n)
            waits = np.int64(0)
            bad_debt = np.int64(0)
            while n > 0:
                slot = pop(queue, state, n)
                n -= 1
                micro, owed, above = serve(
                    book, sleepers, sales, limits, state, queue, work, slot, x, q, t, n_steps, policy, row, totals, used
                )
                used += micro
                waits += np.int64(np.rint(owed * MICRO))
                bad_debt += np.int64(np.rint(above * MICRO))
            moved, least = weigh_both(sales, limits, state, queue)
            if not moved:
                break
            fallen *= least
            quote(sales, state, x, q, t)
            if pruned:
                n_active = look_again(state, t, n_active)
        unsettled[t] += 1 if moved else 0
        waiting_by_step[t] += np.int64(np.rint(waits / MILLI))
        waiting[row, MOST_WAITING] = max(waiting[row, MOST_WAITING], waits)
        if t == n_steps - 1:
            waiting[row, WAITING_AT_END] = waits
            waiting[row, BAD_DEBT_AT_END] = bad_debt
        if borrowing.delay > 0:
            if pruned:  # the last sale of `MAX_ROUNDS` may have brought more accounts into the zone
                n_active, n_awake = wake(book, sleepers, state, n_active, n_awake)
            responded[row] += respond(book, sleepers, borrowing, state, n_active)
        if pruned:
            put_off(book, sleepers, sales, borrowing, state, x, q, t, n_active)
        for m in range(queue.market.shape[0]):
            multiplier[t, m] += np.int64(np.rint(queue.market[m] * NANO))


@kernel
def run_queue(
    book, sleepers, sales, borrowing, limits, draw, seed, first_path, n_paths, n_steps, policy, pruned, state, queue,
    work, totals, multiplier, unsettled, responded, waiting, waiting_by_step,
):  # fmt: skip
    """`run_cascade` with liquidators who must earn, sell into finite depth and have finite capital.

    multiplier (steps, M + 1) int64: of the market's prices. waiting (n_paths, N_WAITING) int64, micro-USD;
    waiting_by_step (steps,) int64, sums over paths in milli-USD: debt below 1 that waits at the end of a step.
    """
    for done in range(0, n_paths, LANES):
        lanes = min(LANES, n_paths - done)
        price_block(draw, seed, first_path + done, lanes, n_steps, work.z, work.x)
        for q in range(lanes):
            queue_path(
                book, sleepers, sales, borrowing, limits, work.x, q, n_steps, policy, pruned, state, queue, work,
                done + q, totals, multiplier, unsettled, responded, waiting, waiting_by_step,
            )  # fmt: skip
        add_to_fan(work.step_repaid, lanes, n_steps, totals.fan)
