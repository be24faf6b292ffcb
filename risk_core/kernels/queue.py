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

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import inner, kernel, merged
from risk_core.kernels.book import LANES
from risk_core.kernels.cascade import (
    ALWAYS,
    MAX_ROUNDS,
    NANO,
    SLACK,
    begin_path,
    call_up,
    lower_floors,
    next_step,
    rouse,
    wake,
)
from risk_core.kernels.paths import price_block
from risk_core.kernels.randomness import exp, log
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

MOST_WAITING = 0
"""column of the outputs by path: the most debt that waited at the end of a step, micro-USD"""
WAITING_AT_END = 1
"""the debt that waited at the end of the path"""
BAD_DEBT_AT_END = 2
"""debt above collateral, of the accounts that waited at the end of the path"""
N_WAITING = 3
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


class Queue(NamedTuple):
    """State of one path beside `PathState`."""

    market: np.ndarray  # (M + 1,) multipliers of the market's prices
    gain: np.ndarray  # (n + 1,) float64 heap of profits
    slot: np.ndarray  # (n + 1,) int64 its slots


@merged
def before(queue, state, a, b):
    """Whether entry a of the heap is served before entry b."""
    if queue.gain[a] != queue.gain[b]:
        return queue.gain[a] > queue.gain[b]
    return state.account[queue.slot[a]] < state.account[queue.slot[b]]


@merged
def swap(queue, a, b):
    """Exchange two entries of the heap."""
    gain, slot = queue.gain[a], queue.slot[a]
    queue.gain[a], queue.slot[a] = queue.gain[b], queue.slot[b]
    queue.gain[b], queue.slot[b] = gain, slot


@merged
def push(queue, state, n, gain, slot):
    """Add an entry to a heap of n entries."""
    queue.gain[n] = gain
    queue.slot[n] = slot
    at = n
    while at > 0:
        parent = (at - 1) // 2
        if not before(queue, state, at, parent):
            break
        swap(queue, at, parent)
        at = parent


@merged
def pop(queue, state, n):
    """Take the first of a heap of n entries: its slot."""
    first = queue.slot[0]
    queue.gain[0] = queue.gain[n - 1]
    queue.slot[0] = queue.slot[n - 1]
    at = np.int64(0)
    while True:
        child = 2 * at + 1
        if child >= n - 1:
            break
        if child + 1 < n - 1 and before(queue, state, child + 1, child):
            child += 1
        if not before(queue, state, child, at):
            break
        swap(queue, at, child)
        at = child
    return first


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


@inner
def largest_sale(sales, state, reserve, price, most):
    """The most of `most` path dollars of a reserve that sells before the market's multiplier is below `price` > 0."""
    m = np.uint64(sales.market_of[reserve])
    now = state.fall[m]
    already = fall_of(sales, reserve, state.sold[reserve]) if state.sold[reserve] > 0.0 else 0.0
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
    already = fall_of(sales, reserve, begin) if begin > 0.0 else 0.0
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


@merged
def exchanged(sales, book, at_c, at_d):
    """Whether two legs are of one market, so that the sale of one for the other moves no price."""
    market = sales.market_of[book.reserve[at_c]]
    return market == sales.market_of[book.reserve[at_d]] and market < sales.floor.shape[0] - 1


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
        already = fall_of(sales, reserve, state.sold[reserve]) if state.sold[reserve] > 0.0 else 0.0
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
    book, sleepers, sales, limits, x, q, n_steps, policy, pruned, state, queue, work, row, totals, multiplier,
    unsettled, waiting, waiting_by_step,
):  # fmt: skip
    """One path. Without `pruned` every account is awake from the start and looked at in every round (brute force)."""
    begin_path(book, sleepers, sales, state)
    for m in range(queue.market.shape[0]):
        queue.market[m] = 1.0
        state.fall[m] = 0.0
    n_awake = np.int64(0)
    if not pruned:
        for n in range(sleepers.group.shape[0]):
            rouse(book, sleepers, state, n, n_awake)
            state.active[n] = n
            n_awake += 1
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
            if pruned and lower_floors(state):
                for s in range(t + 1, state.queue.shape[0]):
                    n_active = call_up(state, s, n_active)
        unsettled[t] += 1 if moved else 0
        waiting_by_step[t] += np.int64(np.rint(waits / MILLI))
        waiting[row, MOST_WAITING] = max(waiting[row, MOST_WAITING], waits)
        if t == n_steps - 1:
            waiting[row, WAITING_AT_END] = waits
            waiting[row, BAD_DEBT_AT_END] = bad_debt
        if pruned:
            for i in range(n_active):
                slot = state.active[i]
                due = next_step(book, sleepers, sales, state, slot, x, q, np.int64(t + 1))
                state.next[slot] = state.queue[due]
                state.queue[due] = slot
        for m in range(queue.market.shape[0]):
            multiplier[t, m] += np.int64(np.rint(queue.market[m] * NANO))


@kernel
def run_queue(
    book, sleepers, sales, limits, draw, seed, first_path, n_paths, n_steps, policy, pruned, state, queue,
    work, totals, multiplier, unsettled, waiting, waiting_by_step,
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
                book, sleepers, sales, limits, work.x, q, n_steps, policy, pruned, state, queue, work, done + q, totals,
                multiplier, unsettled, waiting, waiting_by_step,
            )  # fmt: skip
        add_to_fan(work.step_repaid, lanes, n_steps, totals.fan)
