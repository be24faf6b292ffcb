"""Borrowers who repay before they are liquidated: at the end of a step, those who have been warned long enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import merged
from risk_core.kernels.sales import margin_and_debt
from risk_core.kernels.settle import MICRO


class Borrowing(NamedTuple):
    """Who responds, when and how far."""

    responsive: np.ndarray  # (n,) bool, by account of the plan
    zone: float  # health factor below which a borrower is warned
    target: float  # health factor to which he repays
    delay: int  # ends of steps in the zone after which he repays; 0: nobody does


@merged
def zone_of(borrowing, account):
    """Health factor below which an account has to be looked at."""
    return borrowing.zone if borrowing.responsive[account] else 1.0


@merged
def respond(book, sleepers, borrowing, state, n_active):
    """Count the step for the active accounts in [1, zone), let those who were warned long enough repay; micro-USD.

    Every debt falls by the same share, so that the health factor at current prices is the target.
    """
    total = np.int64(0)
    for i in range(n_active):
        slot = state.active[i]
        account = state.account[slot]
        if not borrowing.responsive[account]:
            continue
        g = np.uint64(sleepers.group[account])
        at = state.at[slot]
        margin, owed = margin_and_debt(book, state, g, at)
        if margin < owed or not margin < borrowing.zone * owed:
            continue
        state.warned[slot] += 1
        if state.warned[slot] < borrowing.delay:
            continue
        state.warned[slot] = 0
        kept = margin / (borrowing.target * owed)
        for k in range(book.n_collateral[g], book.leg[g + np.uint64(1)] - book.leg[g]):
            state.balance[np.uint64(at + k)] *= kept
        total += np.int64(np.rint(owed * (1.0 - kept) * MICRO))
    return total
