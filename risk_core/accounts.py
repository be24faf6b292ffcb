"""Health factors: what every account is worth to the protocol at some prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, IntArray, checked_array, checked_kind, require
from risk_core.kernels import health as kernels
from risk_core.oracles import kinks, leaders
from risk_core.types import Market, Positions


def account_terms(market: Market) -> tuple[FloatArray, FloatArray]:
    """(liquidation threshold, 1 + liquidation bonus), each (E + 1, R); row -1 is outside every e-mode.

    A category's parameters replace the reserve's own only for reserves in its collateral bitmap
    (aave-v3 v3.6, GenericLogic.calculateUserAccountData).
    """
    reserves, emodes = market.reserves, market.emodes
    threshold = np.tile(reserves.liquidation_threshold, (len(emodes) + 1, 1))
    factor = np.tile(1.0 + reserves.liquidation_bonus, (len(emodes) + 1, 1))
    for row in range(len(emodes)):
        inside = emodes.collateral[row]
        threshold[row, inside] = np.broadcast_to(emodes.liquidation_threshold[row], inside.shape)[inside]
        factor[row, inside] = 1.0 + np.broadcast_to(emodes.liquidation_bonus[row], inside.shape)[inside]
    return threshold, factor


def main_reserve(market: Market, side: Positions) -> IntArray:
    """(n_accounts,) the reserve of the largest holding on one side by value at the market's prices, -1 for none.

    side: `market.collateral` or `market.debt`. Of equal holdings the last in the order of the reserves.
    """
    checked_kind("market", market, Market)
    checked_kind("side", side, Positions)
    owner = np.repeat(np.arange(market.n_accounts), np.diff(side.indptr))
    order = np.lexsort((side.amount * market.price[side.reserve], owner))
    out = np.full(market.n_accounts, -1, dtype=np.int64)
    out[owner[order]] = side.reserve[order]  # the last of an account, its largest, stays
    return out


def checked_prices(market: Market, prices: ArrayLike | None) -> FloatArray:
    """`prices` as (R,) positive finite USD per token; None is the snapshot's. Raises `InputError`."""
    if prices is None:
        return market.price
    array = market.reserves.each("prices", prices, "prices")
    ok = np.isfinite(array) & (array > 0)
    require("prices", array, ok, "prices must be positive and finite", market.reserves.symbol)
    return array


CURVED_END, CURVED_STEPS = 1e6, 513
"""Upper end and number of points of the search for a crossing. Only one case has no closed form and needs the search:
a price by ratio to a reserve that is at its own cap."""


def health_factor(market: Market, prices: ArrayLike | None = None) -> FloatArray:
    """Health factor of every account: sum of collateral x threshold over debt, at `prices` (USD per token, (R,)).

    Returns (n_accounts,) float64: `inf` without debt, 0 with debt and no collateral. Below 1 an account can be
    liquidated. Each collateral counts with its own threshold, never with the account's average.

    >>> # 10 ETH at 1,900 with threshold 0.83 against 16,000 USDC: 15,770 / 16,000 = 0.9856
    """
    checked_kind("market", market, Market)
    at = checked_prices(market, prices)
    threshold, _ = account_terms(market)
    out = np.empty(market.n_accounts)
    collateral, debt = market.collateral, market.debt
    kernels.health_factors(
        collateral.indptr, collateral.reserve, collateral.amount, debt.indptr, debt.reserve, debt.amount,
        market.emode, threshold, at, out,
    )  # fmt: skip
    return out


def totals(market: Market, prices: ArrayLike | None = None) -> tuple[FloatArray, FloatArray]:
    """(collateral, debt) of every account in USD, each (n_accounts,)."""
    checked_kind("market", market, Market)
    at = checked_prices(market, prices)
    sides = []
    for side in (market.collateral, market.debt):
        worth = np.append(side.amount * at[side.reserve], 0.0)
        sums = np.add.reduceat(worth, np.minimum(side.indptr[:-1], len(side.amount)))
        sides.append(np.where(np.diff(side.indptr) > 0, sums, 0.0))
    return sides[0], sides[1]


def distance_to_liquidation(market: Market, direction: Mapping[str, float] | ArrayLike) -> FloatArray:
    """How far prices may move along `direction` until each account's health factor is exactly 1; (n_accounts,).

    direction: {symbol: weight} or (R,) weights; a reserve moves by weight times the distance, so that with weights of
    -1 a distance of 0.2 is a fall by 20 %. The moves are of the feeds; an oracle's cap stops a rise, and linked
    reserves follow. Exact: collateral times threshold and debt are linear in the move between two points at which a cap
    begins or ends to hold. Only a price by ratio to a reserve that is at its own cap is found by a search. 0 where the
    health factor is at most 1 already (also for debt without any collateral), `inf` where no move along the direction
    brings it to 1 while every price stays above 0, NaN without debt.
    """
    checked_kind("market", market, Market)
    weights = weights_of(market, direction)
    threshold, _ = account_terms(market)
    held, due = market.collateral.reserve, market.debt.reserve
    owner = np.repeat(np.arange(market.n_accounts), np.diff(market.collateral.indptr))
    backing = market.collateral.amount * market.price[held] * threshold[market.emode[owner], held]
    owed = market.debt.amount * market.price[due]
    owing = np.repeat(np.arange(market.n_accounts), np.diff(market.debt.indptr))

    def sums(at: IntArray, values: FloatArray) -> FloatArray:
        return np.bincount(at, weights=values, minlength=market.n_accounts)

    def excess(x: FloatArray) -> FloatArray:
        """Collateral x threshold less debt at relative prices x, (R,) or of each account (n_accounts, R)."""
        if x.ndim == 1:
            return sums(owner, backing * x[held]) - sums(owing, owed * x[due])
        return sums(owner, backing * x[owner, held]) - sums(owing, owed * x[owing, due])

    def relative(at: float | FloatArray) -> FloatArray:
        return market.oracle_prices(market.price * (1.0 + at * weights)) / market.price

    # A falling price is 0 at 1 / -weight. There an account with the same asset on both sides would seem to be at 1.
    farthest = (1.0 - 1e-9) / -weights.min() if weights.min() < 0 else np.inf
    edges = [0.0, *kinks(market.reserves.oracle, market.price, weights, farthest), farthest]
    now = excess(np.ones(market.n_reserves))
    distance = np.full(market.n_accounts, np.inf)
    for begin, end in pairwise(edges):
        before, along, curved = now, weights, False
        if market.reserves.oracle.any:
            probe = end if end < np.inf else begin + 1.0
            start, half, stop = (relative(at) for at in (begin, 0.5 * (begin + probe), probe))
            before, along = excess(start) if begin else now, (stop - start) / (probe - begin)
            curved = not np.allclose(half, 0.5 * (start + stop), rtol=1e-12, atol=0.0)
        slope = excess(along)
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = np.where(slope < 0, begin - before / slope, np.inf)
        reached = np.where(before <= 0, begin, np.where(reached < end, reached, np.inf))
        if curved:
            reached = _first_below(before, begin, min(end, CURVED_END), relative, excess)
        distance = np.where(np.isinf(distance), reached, distance)
    return np.where(sums(owing, owed) > 0, distance, np.nan)


def _first_below(
    before: FloatArray,
    begin: float,
    end: float,
    relative: Callable[[float | FloatArray], FloatArray],
    excess: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """First point in [begin, end] at which each account's `excess` is 0 or less, (n_accounts,); `inf` where none is.

    Looks at `CURVED_STEPS` points, then halves the interval.
    """
    low, high = np.full(len(before), begin), np.full(len(before), np.inf)
    for at in begin + np.expm1(np.linspace(0.0, np.log1p(end - begin), CURVED_STEPS))[1:]:
        above = excess(relative(at)) > 0
        high = np.where(np.isinf(high) & ~above, at, high)
        low = np.where(np.isinf(high), at, low)
    found = np.isfinite(high)
    for _ in range(80):
        middle = np.where(found, 0.5 * (low + high), begin)
        above = excess(relative(middle[:, None])) > 0
        low, high = np.where(found & above, middle, low), np.where(found & ~above, middle, high)
    return np.where(before <= 0, begin, high)


def weights_of(market: Market, direction: Mapping[str, float] | ArrayLike) -> FloatArray:
    """(R,) finite weights of a direction. Raises `InputError`."""
    if isinstance(direction, Mapping):
        weights = market.reserves.moves("direction", direction)
    else:
        weights = market.reserves.each("direction", direction, "weights")
    require("direction", weights, np.isfinite(weights), "weights must be finite", market.reserves.symbol)
    return weights


def liquidation_prices(market: Market, account: int | str) -> FloatArray:
    """Price of each reserve at which the account's health factor is exactly 1, all other prices fixed; (R,) USD.

    Linked reserves move together: where USDe is linked to USDT, the price of USDT is the one at which both, moved
    together, bring the account to 1; and the same for USDe. NaN where no price that the oracle can report does so: the
    account has none or too little of the reserve, the price would be above the oracle's cap, or the price is fixed.
    While the account is healthy, the price of a collateral lies below today's and that of a debt above.
    """
    checked_kind("market", market, Market)
    row = market.index(account)
    threshold, _ = account_terms(market)
    weight = np.zeros(market.n_reserves)
    for side, sign in ((market.collateral, 1.0), (market.debt, -1.0)):
        entries = slice(side.indptr[row], side.indptr[row + 1])
        terms = threshold[market.emode[row]][side.reserve[entries]] if sign > 0 else 1.0
        weight[side.reserve[entries]] += sign * side.amount[entries] * terms
    worth = weight * market.price
    leader, most = leaders(market.reserves.oracle, market.price)
    # Sum the others directly: the whole minus the group would leave a rounding error where the true value is 0.
    others = np.array([worth[leader != r].sum() for r in leader])
    group = np.bincount(leader, weights=worth, minlength=market.n_reserves)[leader]
    with np.errstate(divide="ignore", invalid="ignore"):
        move = -others / group
    return np.where((group != 0) & (move > 0) & (move <= most), move * market.price, np.nan)


def liquidation_price_of(market: Market, accounts: ArrayLike, reserve: ArrayLike) -> FloatArray:
    """Liquidation prices of one reserve for each of n accounts, (n,) USD: those of `liquidation_prices`, all at once.

    accounts: (n,) rows of the market. reserve: (n,) the reserve of each, -1 for none, whose price is NaN. What is equal
    for all accounts is computed once, so a price costs a fraction of a microsecond. Raises `InputError`.
    """
    checked_kind("market", market, Market)
    rows = checked_array("accounts", accounts, np.int64, (None,))
    require("accounts", rows, (rows >= 0) & (rows < market.n_accounts), f"must be in [0, {market.n_accounts})")
    of = checked_array("reserve", reserve, np.int64, rows.shape)
    require("reserve", of, (of >= -1) & (of < market.n_reserves), f"must be in [-1, {market.n_reserves})")
    threshold, _ = account_terms(market)
    leader, most = leaders(market.reserves.oracle, market.price)
    n = len(rows)
    # Apart, not the whole minus the group, as in `liquidation_prices`.
    group, others = np.zeros(n), np.zeros(n)
    for side, sign in ((market.collateral, 1.0), (market.debt, -1.0)):
        many = side.indptr[rows + 1] - side.indptr[rows]
        owner = np.repeat(np.arange(n), many)
        at = np.arange(len(owner)) - np.repeat(np.cumsum(many) - many, many) + np.repeat(side.indptr[rows], many)
        held = side.reserve[at]
        terms = threshold[market.emode[rows][owner], held] if sign > 0 else 1.0
        worth = sign * side.amount[at] * terms * market.price[held]
        own = leader[held] == leader[of[owner]]
        group += np.bincount(owner[own], worth[own], n)
        others += np.bincount(owner[~own], worth[~own], n)
    with np.errstate(divide="ignore", invalid="ignore"):
        move = -others / group
    told = (of >= 0) & (group != 0) & (move > 0) & (move <= most[of])
    return np.where(told, move * market.price[of], np.nan)
