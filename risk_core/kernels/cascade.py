"""Liquidations that move the prices they happen at: a fixed point inside each step, and its brute-force twin.

One path at a time, one step after the other. A step is played in rounds: every account below 1 at the current
effective prices is liquidated, what liquidators received is sold, prices fall, and the next round looks again, until
a round moves no price (`MAX_ROUNDS` at most; what is then still below 1 waits for the next step). Within a round all
calls see the same prices and sales are added up in integers, so the order of accounts cannot matter.

Which accounts the pruned run skips, and why it gives the same bits as the brute-force run:

*Asleep.* With X the current effective relative prices, an account that was never touched has health >= h0 x X_c / X_d
for the least of its (collateral, debt) pairs. Each pair lists its accounts by h0 and has a cursor; an account wakes
when the ratio of one of its pairs falls below 1 / h0. The bound depends on current prices only, whatever they were
before, and a cursor never moves back.

*Waiting.* An account that is awake but not below 1 waits for the first step at which it could be, found in one
vectorised scan over the path's prices in which each collateral price is already multiplied by the `floor` of its
market: as long as no multiplier is below its floor, effective collateral is at least that, and effective debt at most
that at the path's prices. When a multiplier falls below its floor, the floor is set far below it and every account that
is awake is looked at again.

*Resting.* Between two rounds of a step only multipliers move. An account at health h when it was looked at is not below
1 until the product of the rounds' greatest falls since then is below 1 / h.

Where borrowers respond, an account has to be looked at below their zone of warning, so the first two bounds have the
zone in place of 1, and the first one for every account: sleepers are listed by health over the zone.

The slack of kernels.shard covers the rounding of all three bounds. Both runs judge the accounts that they look at by
`settle`.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, kernel, merged
from risk_core.kernels.book import LANES, SLACK
from risk_core.kernels.paths import price_block
from risk_core.kernels.response import respond
from risk_core.kernels.sales import begin_step, margin_and_debt, quote, sell
from risk_core.kernels.settle import ACCOUNTS, MILLI, settle
from risk_core.kernels.shard import add_to_fan
from risk_core.kernels.waiting import ALWAYS, NOBODY, call_up, look_again, put_off

MAX_ROUNDS = 12
NANO = 1e9


@merged
def rouse(book, sleepers, state, account, n_awake):
    """Wake an account: give it the next slot, with its balances at the snapshot."""
    g = np.uint64(sleepers.group[account])
    n_legs = book.leg[g + np.uint64(1)] - book.leg[g]
    source = np.uint64(book.value_at[g] + (account - book.first[g]) * n_legs)
    target = np.uint64(state.at[n_awake])
    for k in range(n_legs):
        state.balance[target + np.uint64(k)] = book.value[source + np.uint64(k)]
    state.account[n_awake] = account
    state.at[n_awake + 1] = state.at[n_awake] + n_legs
    state.liquidated[n_awake] = False
    state.warned[n_awake] = 0
    state.limit[n_awake] = ALWAYS


@merged
def wake(book, sleepers, state, n_active, n_awake):
    """Wake the accounts that current prices could have brought below 1; returns how many are (active, awake)."""
    number = state.woken[state.woken.shape[0] - 1]
    width = state.inverse.shape[0]
    for c in range(state.price.shape[0]):
        price = state.price[c]
        below = 0
        for d in range(width):
            below += 1 if price * state.inverse[d] < state.trigger[c, d] else 0
        if below == 0:
            continue
        for d in range(width):
            ratio = price * state.inverse[d]
            if ratio < state.trigger[c, d]:
                pair = np.uint64(sleepers.pair[c, d])
                i = state.cursor[pair]
                end = sleepers.first[pair + np.uint64(1)]
                while i < end and sleepers.health[np.uint64(i)] * ratio < SLACK:
                    account = sleepers.account[np.uint64(i)]
                    if state.woken[np.uint64(account)] != number:
                        state.woken[np.uint64(account)] = number
                        rouse(book, sleepers, state, account, n_awake)
                        state.active[n_active] = n_awake
                        n_awake += 1
                        n_active += 1
                    i += 1
                state.cursor[pair] = i
                state.trigger[c, d] = SLACK / sleepers.health[i] if i < end else 0.0
    return n_active, n_awake


@merged
def visit(book, sleepers, state, work, slot, q, t, n_steps, policy, row, totals, fallen):
    """Liquidate the account of a slot at current prices, if it is below 1.

    fallen: product over the rounds of the step of the least ratio of a multiplier to that of the round before.
    """
    account = state.account[slot]
    g = np.uint64(sleepers.group[account])
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    n_collateral = book.n_collateral[g]
    at = state.at[slot]
    margin, owed = margin_and_debt(book, state, g, at)
    if not margin < owed:
        state.limit[slot] = SLACK * fallen * owed / margin if margin > 0.0 else ALWAYS
        return
    state.limit[slot] = ALWAYS
    for k in range(n_legs):
        work.value[k] = state.balance[np.uint64(at + k)]
        work.now[k] = state.price[np.uint64(book.factor[np.uint64(leg + k)])]
    repaid = settle(
        n_collateral, n_legs, work.value, work.now, leg, book.reserve, book.terms, book.open_from, t, policy,
        totals.path, row, totals.by_step, MILLI,
    )  # fmt: skip
    if repaid >= 0:
        for k in range(n_legs):
            state.balance[np.uint64(at + k)] = work.value[k]
        work.step_repaid[q, t] += repaid
        if not state.liquidated[slot]:
            state.liquidated[slot] = True
            totals.path[row, ACCOUNTS] += 1
            totals.hits[account, t * totals.hits.shape[1] // n_steps] += 1


@merged
def begin_path(book, sleepers, sales, state):
    """Reset the state for a new path: all accounts asleep, nothing sold."""
    for m in range(state.multiplier.shape[0]):
        state.multiplier[m] = 1.0
        state.floor[m] = sales.floor[m]
    for r in range(state.sold.shape[0]):
        state.sold[r] = 0.0
    for c in range(state.trigger.shape[0]):
        for d in range(state.trigger.shape[1]):
            state.trigger[c, d] = sleepers.trigger[c, d]
    for k in range(state.cursor.shape[0]):
        state.cursor[k] = sleepers.first[k]
    for t in range(state.queue.shape[0]):
        state.queue[t] = NOBODY
    state.woken[state.woken.shape[0] - 1] += 1
    state.at[0] = 0


@merged
def rouse_all(book, sleepers, state):
    """Wake every account, for the brute-force run; returns how many."""
    for n in range(sleepers.group.shape[0]):
        rouse(book, sleepers, state, n, n)
        state.active[n] = n
    return np.int64(sleepers.group.shape[0])


@inner
def cascade_path(
    book, sleepers, sales, borrowing, x, q, n_steps, policy, pruned, state, work, row, totals, multiplier, unsettled,
    responded,
):  # fmt: skip
    """One path. Without `pruned` every account is awake from the start and looked at in every round (brute force)."""
    begin_path(book, sleepers, sales, state)
    n_awake = np.int64(0) if pruned else rouse_all(book, sleepers, state)
    n_active = n_awake
    for t in range(n_steps):
        begin_step(sales, state, totals.by_step, t)
        quote(sales, state, x, q, t)
        if pruned:
            n_active = call_up(state, t, np.int64(0))
        fallen = 1.0
        moved = True
        for _ in range(MAX_ROUNDS):
            if pruned:
                n_active, n_awake = wake(book, sleepers, state, n_active, n_awake)
            for i in range(n_active):
                slot = state.active[i]
                if not pruned or fallen < state.limit[slot]:
                    visit(book, sleepers, state, work, slot, q, t, n_steps, policy, row, totals, fallen)
            moved, least = sell(sales, state, totals.by_step, t)
            if not moved:
                break
            fallen *= least
            quote(sales, state, x, q, t)
            if pruned:
                n_active = look_again(state, t, n_active)
        unsettled[t] += 1 if moved else 0
        if borrowing.delay > 0:
            if pruned:  # the last sale of `MAX_ROUNDS` may have brought more accounts into the zone
                n_active, n_awake = wake(book, sleepers, state, n_active, n_awake)
            responded[row] += respond(book, sleepers, borrowing, state, n_active)
        if pruned:
            put_off(book, sleepers, sales, borrowing, state, x, q, t, n_active)
        for m in range(state.multiplier.shape[0]):
            multiplier[t, m] += np.int64(np.rint(state.multiplier[m] * NANO))


@kernel
def run_cascade(
    book, sleepers, sales, borrowing, draw, seed, first_path, n_paths, n_steps, policy, pruned, state,
    work, totals, multiplier, unsettled, responded,
):  # fmt: skip
    """`run_shard` where sales move prices.

    multiplier (steps, M + 1) int64: sums over paths at the end of a step, in 1e-9. unsettled (steps,) int64: paths that
    reached `MAX_ROUNDS` in that step. responded (n_paths,) int64: micro-USD that warned borrowers repaid.
    """
    for done in range(0, n_paths, LANES):
        lanes = min(LANES, n_paths - done)
        price_block(draw, seed, first_path + done, lanes, n_steps, work.z, work.x)
        for q in range(lanes):
            cascade_path(
                book, sleepers, sales, borrowing, work.x, q, n_steps, policy, pruned, state, work, done + q, totals,
                multiplier, unsettled, responded,
            )  # fmt: skip
        add_to_fan(work.step_repaid, lanes, n_steps, totals.fan)
