"""Accounts that are awake and wait: until which step each need not be looked at, and who is called up when.

See "Waiting" in `kernels.cascade` for why nobody is missed.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import merged
from risk_core.kernels._vector import WIDTH, lowest_bit, steps_below
from risk_core.kernels.book import SLACK
from risk_core.kernels.response import zone_of
from risk_core.kernels.settle import THRESHOLD

NOBODY = -1
ALWAYS = 2.0
"""Limit of an account that the next round must look at: no fall is above 1."""


@merged
def floored(book, sales, state, leg, at):
    """(factor, snapshot dollars x threshold x floor) of a collateral leg."""
    c = np.uint64(book.factor[np.uint64(leg)])
    weight = state.balance[np.uint64(at)] * book.terms[np.uint64(leg), THRESHOLD]
    return sales.factor[c], weight * state.floor[np.uint64(sales.market[c])]


@merged
def next_step(book, sleepers, sales, borrowing, state, slot, x, q, start):
    """First step >= `start` at which the account could be below 1 with multipliers above their floors, else the end.

    Of a borrower who responds: below the zone of warning.

    Collateral prices are multiplied by the floor of their market, debt prices by nothing. The end is that of the
    padding.
    """
    g = np.uint64(sleepers.group[state.account[slot]])
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    at = state.at[slot]
    n_collateral = book.n_collateral[g]
    n_steps = np.int64(x.shape[2])
    slack = SLACK * zone_of(borrowing, state.account[slot])
    if n_collateral <= 3 and n_legs - n_collateral <= 2:
        path = np.int64(q) * np.int64(x.shape[1])
        d = leg + n_collateral
        f0, w0 = floored(book, sales, state, leg, at)
        f1, w1 = floored(book, sales, state, leg + 1, at + 1) if n_collateral > 1 else (f0, 0.0)
        f2, w2 = floored(book, sales, state, leg + 2, at + 2) if n_collateral > 2 else (f0, 0.0)
        g0 = sales.factor[np.uint64(book.factor[np.uint64(d)])]
        g1 = sales.factor[np.uint64(book.factor[np.uint64(d + 1)])] if d + 1 < leg + n_legs else g0
        d0 = slack * state.balance[np.uint64(at + n_collateral)]
        d1 = slack * state.balance[np.uint64(at + n_collateral + 1)] if d + 1 < leg + n_legs else 0.0
        f0, f1, f2 = (path + f0) * n_steps, (path + f1) * n_steps, (path + f2) * n_steps
        g0, g1 = (path + g0) * n_steps, (path + g1) * n_steps
        s = start & ~np.int64(WIDTH - 1)
        ahead = ~np.int64(0) << (start - s)
        while s < n_steps:
            below = steps_below(x, s, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1) & ahead
            if below != 0:
                return s + lowest_bit(below)
            ahead = ~np.int64(0)
            s += WIDTH
        return n_steps
    for s in range(start, n_steps):
        margin = 0.0
        owed = 0.0
        for k in range(n_collateral):
            f, weight = floored(book, sales, state, leg + k, at + k)
            margin += weight * x[q, np.uint64(f), s]
        for k in range(n_collateral, n_legs):
            f = sales.factor[np.uint64(book.factor[np.uint64(leg + k)])]
            owed += state.balance[np.uint64(at + k)] * x[q, np.uint64(f), s]
        if margin < slack * owed:
            return np.int64(s)
    return n_steps


@merged
def call_up(state, step, n_active):
    """Make the accounts that wait for a step active; returns how many are active."""
    slot = state.queue[step]
    state.queue[step] = NOBODY
    while slot != NOBODY:
        state.active[n_active] = slot
        state.limit[slot] = ALWAYS
        n_active += 1
        slot = state.next[slot]
    return n_active


@merged
def lower_floors(state):
    """Set each floor above its multiplier to the square of the multiplier; returns whether there was one."""
    lowered = False
    for m in range(state.floor.shape[0] - 1):
        if state.multiplier[m] < state.floor[m]:
            state.floor[m] = state.multiplier[m] * state.multiplier[m]
            lowered = True
    return lowered


@merged
def look_again(state, t, n_active):
    """Where a floor has been lowered, make active who waits for a step after t; returns how many are active."""
    if lower_floors(state):
        for s in range(t + 1, state.queue.shape[0]):
            n_active = call_up(state, s, n_active)
    return n_active


@merged
def put_off(book, sleepers, sales, borrowing, state, x, q, t, n_active):
    """Let the active accounts wait for the first step after t at which each has to be looked at again."""
    for i in range(n_active):
        slot = state.active[i]
        due = next_step(book, sleepers, sales, borrowing, state, slot, x, q, np.int64(t + 1))
        state.next[slot] = state.queue[due]
        state.queue[due] = slot
