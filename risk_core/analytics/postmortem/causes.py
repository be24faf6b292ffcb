"""What made a health factor fall: one cause after the other, in a fixed order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, checked_array
from risk_core.errors import InputError

COLLATERAL_PRICE, COLLATERAL_ORACLE = "collateral price", "collateral oracle"

DEBT_PRICE, DEBT_ORACLE = "debt price", "debt oracle"

PARAMETERS, OWN_ACTIONS, INTEREST = "parameters", "own actions", "interest"

CAUSES = (COLLATERAL_PRICE, COLLATERAL_ORACLE, DEBT_PRICE, DEBT_ORACLE, PARAMETERS, OWN_ACTIONS, INTEREST)
"""What can move a health factor, in the order in which `fall` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """An account at one time: K reserves, all arrays (K,) and read-only.

    collateral, debt: tokens, not negative. threshold: liquidation threshold as it counts for the account. price: USD
    per token; NaN where not known, and then a health factor that needs it is NaN.
    """

    collateral: FloatArray
    debt: FloatArray
    threshold: FloatArray
    price: FloatArray

    def __post_init__(self) -> None:
        n = len(checked_array("Account.collateral", self.collateral, np.float64, (None,)))
        for name in ("collateral", "debt", "threshold", "price"):
            array = checked_array(f"Account.{name}", getattr(self, name), np.float64, (n,))
            good = np.isfinite(array) & (array >= 0)
            if name == "price":
                good = np.isnan(array) | (good & (array > 0))
            if not good.all():
                at = int(np.argmax(~good))
                rule = "positive, or NaN for unknown" if name == "price" else "finite and not negative"
                raise InputError(f"Account.{name}: entry {at} is {array[at]}; must be {rule}")
            object.__setattr__(self, name, array)

    @property
    def health_factor(self) -> float:
        """Collateral times threshold over debt; inf without debt, NaN where a price that it needs is not known."""
        return float(health_path(self.collateral[None], self.debt[None], self.threshold, self.price[None])[0])


def health_path(collateral: ArrayLike, debt: ArrayLike, threshold: ArrayLike, price: ArrayLike) -> FloatArray:
    """Health factors (T,) of one account along T times.

    collateral, debt: (T, K) tokens. threshold: (K,). price: (T, K) USD per token, NaN where not known: only the health
    factors that need it are NaN. inf without debt.
    """
    backing = checked_array("collateral", collateral, np.float64, (None, None))
    owed = checked_array("debt", debt, np.float64, backing.shape)
    share = checked_array("threshold", threshold, np.float64, backing.shape[1:])
    at = checked_array("price", price, np.float64, backing.shape)
    return _health(backing, owed, share, at, at)


@dataclass(frozen=True, slots=True)
class Cause:
    """One of `CAUSES` and what it added to the health factor (negative: it fell); None where not told apart."""

    name: str
    change: float | None


@dataclass(frozen=True, slots=True)
class Fall:
    """How a health factor came from `before` to `after`; the known changes of `causes` add up to the difference."""

    before: float
    after: float
    causes: tuple[Cause, ...]

    @property
    def main(self) -> Cause | None:
        """The cause that took most, None where nothing took anything."""
        known = [cause for cause in self.causes if cause.change is not None and cause.change < 0]
        return min(known, key=lambda cause: cause.change or 0.0, default=None)


def fall(
    before: Account,
    after: Account,
    *,
    own_collateral: ArrayLike,
    own_debt: ArrayLike,
    market_price: ArrayLike | None = None,
) -> Fall:
    """What moved a health factor, one cause at a time in the order of `CAUSES`.

    own_collateral, own_debt: (K,) tokens that the account's own actions added (borrowed, repaid below 0 and so on);
    what is left of the change of the amounts is interest. market_price: (K,) what the prices of `after` would be had
    the oracle followed the market, NaN where not known; for a side that holds such a reserve the oracle is not told
    apart from the price. Each step takes what came before it as given, so another order gives other parts. Raises
    `InputError`, also where a health factor is not known or infinite.
    """
    n = len(before.collateral)
    if len(after.collateral) != n:
        raise InputError(f"after: expected {n} reserves as before, found {len(after.collateral)}")
    acted = [
        checked_array(name, value, np.float64, (n,))
        for name, value in (("own_collateral", own_collateral), ("own_debt", own_debt))
    ]
    market = (
        np.full(n, np.nan) if market_price is None else checked_array("market_price", market_price, np.float64, (n,))
    )
    middle = [_told(market, side) for side in (before.collateral, before.debt)]

    c, d, lt, pc, pd = before.collateral, before.debt, before.threshold, before.price, before.price
    own_c, own_d = (np.maximum(side + change, 0.0) for side, change in zip((c, d), acted, strict=True))
    steps: list[tuple[str, tuple[FloatArray, ...] | None]] = []
    if middle[0] is not None:
        steps += [(COLLATERAL_PRICE, (c, d, lt, middle[0], pd)), (COLLATERAL_ORACLE, (c, d, lt, after.price, pd))]
    else:
        steps += [(COLLATERAL_PRICE, (c, d, lt, after.price, pd)), (COLLATERAL_ORACLE, None)]
    pc = after.price
    if middle[1] is not None:
        steps += [(DEBT_PRICE, (c, d, lt, pc, middle[1])), (DEBT_ORACLE, (c, d, lt, pc, after.price))]
    else:
        steps += [(DEBT_PRICE, (c, d, lt, pc, after.price)), (DEBT_ORACLE, None)]
    pd = after.price
    steps += [
        (PARAMETERS, (c, d, after.threshold, pc, pd)),
        (OWN_ACTIONS, (own_c, own_d, after.threshold, pc, pd)),
        (INTEREST, (after.collateral, after.debt, after.threshold, pc, pd)),
    ]
    start, causes = before.health_factor, []
    here = start
    for name, step in steps:
        if step is None:
            causes.append(Cause(name, None))
            continue
        backing, owed, share, price_c, price_d = step
        there = float(_health(backing[None], owed[None], share, price_c[None], price_d[None])[0])
        if not (math.isfinite(here) and math.isfinite(there)):
            raise InputError(f"fall: the health factor is {here} before and {there} after {name}; both must be known")
        causes.append(Cause(name, there - here))
        here = there
    return Fall(start, here, tuple(causes))


def _health(
    collateral: FloatArray, debt: FloatArray, threshold: FloatArray, price_c: FloatArray, price_d: FloatArray
) -> FloatArray:
    """(T,) with the prices of both sides apart; a price counts only where something is held."""
    with np.errstate(invalid="ignore", divide="ignore"):
        backing = np.where(collateral * threshold > 0, collateral * threshold * price_c, 0.0).sum(axis=1)
        owed = np.where(debt > 0, debt * price_d, 0.0).sum(axis=1)
        return np.where(owed == 0, np.inf, backing / owed)


def _told(market: FloatArray, held: FloatArray) -> FloatArray | None:
    """The market's prices, None where one that is held is not known."""
    return None if np.isnan(market[held > 0]).any() else market
