"""What a cascade reads and keeps, and how sales move prices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import merged
from risk_core.kernels.randomness import exp
from risk_core.kernels.settle import MILLI, SEIZED, THRESHOLD

MAX_FALL = 100.0
"""Greatest logarithm of a fall: keeps a multiplier positive, and far from the smallest float64."""


class Sleepers(NamedTuple):
    """Accounts by pair, weakest first; an account is listed under each of its pairs. Columns are effective prices."""

    first: np.ndarray  # (n_pairs + 1,) int64
    account: np.ndarray  # (entries,) int64
    health: np.ndarray  # (entries,) float64 at the snapshot, over the health factor below which an account is looked at
    pair: np.ndarray  # (C, padded C) int64: row of a (collateral, debt) column pair in `first`, -1 where there is none
    trigger: np.ndarray  # (C, padded C) float64: a ratio below it wakes an account, at the start of a path
    group: np.ndarray  # (n,) int64, group of each account


class Sales(NamedTuple):
    """How sales move prices. R reserves, M markets and the immune one, C columns of (factor, market)."""

    factor: np.ndarray  # (C,) int64, row of the path's prices, under the oracle's cap
    uncapped: np.ndarray  # (C,) int64, row before the oracle's cap in USD
    cap: np.ndarray  # (C,) float64, that cap as a relative price; inf, none
    market: np.ndarray  # (C,) int64; M is immune
    market_of: np.ndarray  # (R,) int64; M is immune
    sold: np.ndarray  # (R, K) float64 USD at path prices, rising from 0
    fall: np.ndarray  # (R, K) float64, minus the logarithm of the price after selling it
    floor: np.ndarray  # (M + 1,) float64, multipliers that a path is first expected to stay above
    kept: float  # share of what was sold that still weighs one step later


class PathState(NamedTuple):
    """State of one path, reused by the next. Arrays sized by accounts are written only where an account wakes."""

    price: np.ndarray  # (C,) current effective relative prices
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
    warned: np.ndarray  # (n,) int64, by slot: ends of steps in the zone of warning since the borrower last repaid
    limit: np.ndarray  # (n,) float64, by slot: the account is not below 1 in this step until `fallen` is below this
    next: np.ndarray  # (n,) int64, by slot: next in the same queue
    queue: np.ndarray  # (padded steps + 1,) int64, first slot that waits for a step
    active: np.ndarray  # (n,) int64 slots to look at in the current round


@merged
def quote(sales, state, x, q, t):
    """Effective prices of step t under the current multipliers: the feed's price, then the oracle's cap."""
    for c in range(state.price.shape[0]):
        price = x[q, np.uint64(sales.uncapped[c]), t] * state.multiplier[np.uint64(sales.market[c])]
        price = min(price, sales.cap[c])
        state.price[c] = price
        state.inverse[c] = 1.0 / price


@merged
def margin_and_debt(book, state, g, at):
    """(collateral x threshold, debt) in USD of an account awake, of group g, at current effective prices."""
    leg = book.leg[g]
    n_legs = book.leg[g + np.uint64(1)] - leg
    n_collateral = book.n_collateral[g]
    margin = 0.0
    owed = 0.0
    for k in range(n_collateral):
        weight = state.balance[np.uint64(at + k)] * book.terms[np.uint64(leg + k), THRESHOLD]
        margin += weight * state.price[np.uint64(book.factor[np.uint64(leg + k)])]
    for k in range(n_collateral, n_legs):
        owed += state.balance[np.uint64(at + k)] * state.price[np.uint64(book.factor[np.uint64(leg + k)])]
    return margin, owed


@merged
def fall_of(sales, r, quantity):
    """Minus the logarithm of a reserve's multiplier after selling `quantity` >= 0 path dollars of it."""
    last = sales.sold.shape[1] - 2
    k = 0
    while k < last and quantity >= sales.sold[r, k + 1]:
        k += 1
    slope = (sales.fall[r, k + 1] - sales.fall[r, k]) / (sales.sold[r, k + 1] - sales.sold[r, k])
    return sales.fall[r, k] + (quantity - sales.sold[r, k]) * slope


@merged
def weigh(sales, state):
    """Multipliers from what has been sold; returns (whether one of them changed, the least of new over old)."""
    n_markets = state.multiplier.shape[0]
    for m in range(n_markets):
        state.fall[m] = 0.0
    for r in range(state.sold.shape[0]):
        if state.sold[r] > 0.0:
            state.fall[sales.market_of[r]] += fall_of(sales, r, state.sold[r])
    changed = False
    least = 1.0
    for m in range(n_markets - 1):
        multiplier = exp(-min(state.fall[m], MAX_FALL))
        changed = changed or multiplier != state.multiplier[m]
        least = min(least, multiplier / state.multiplier[m])
        state.multiplier[m] = multiplier
    return changed, least


@merged
def sell(sales, state, by_step, t):
    """Sell what liquidators received since the last sale; returns what `weigh` does."""
    any_sold = False
    for r in range(state.sold.shape[0]):
        received = by_step[t, r, SEIZED] - state.counted[r]
        if received > 0:
            any_sold = True
            state.counted[r] += received
            # counted at path prices: the impact depends on the tokens sold, not on what they still fetched
            state.sold[r] += received / (MILLI * state.multiplier[sales.market_of[r]])
    return weigh(sales, state) if any_sold else (False, 1.0)


@merged
def begin_step(sales, state, by_step, t):
    """Start step t: part of what was sold before has been absorbed."""
    any_left = False
    for r in range(state.sold.shape[0]):
        state.counted[r] = by_step[t, r, SEIZED]
        # before it is absorbed: where nothing is left of it, the price has come back
        any_left = any_left or state.sold[r] > 0.0
        state.sold[r] *= sales.kept
    if any_left:
        weigh(sales, state)
