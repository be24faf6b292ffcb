"""Interest alone: when it makes each account liquidatable, with prices, balances and rates held.

A supply grows linearly and a debt as exp(x) to the third order, x = rate * time / year, both from the last update of
the reserve's indices (`risk_core.interest`, aave-v3-origin 3.6 `MathUtils.sol`). So collateral times threshold less
debt is a straight line less a cubic with positive coefficients: concave in time, and once above zero it falls below
zero at most once. That time is found by halving.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from risk_core.accounts import account_terms
from risk_core.checks import FloatArray, checked_kind, checked_number, require
from risk_core.types import Market
from risk_core.units import SECONDS_PER_YEAR

MOST_RATE = 100.0
"""A rate above 10,000 % a year is taken for a number in per cent or in rays."""
MOST_DAYS = 3_650.0
HALVINGS = 60
DAY = 86_400.0


def accrual_time(
    market: Market,
    supply_rate: ArrayLike,
    borrow_rate: ArrayLike,
    since_update: ArrayLike | None = None,
    most_days: float = MOST_DAYS,
) -> FloatArray:
    """(n_accounts,) days after the snapshot at which interest alone brings the health factor below 1.

    supply_rate, borrow_rate: (R,) fractions a year, 0.05 is 5 %. since_update: (R,) seconds from the last update of the
    reserve's indices to the snapshot's block, from which both grow; None is 0. most_days: how far is looked.

    0 for an account that is below 1 now; inf for one without debt, and where it does not happen within `most_days`.
    Prices, balances and rates are held, and nobody touches a reserve: each update compounds its supply anew, so on a
    busy reserve collateral grows a little faster. Raises `InputError`.
    """
    checked_kind("market", market, Market)
    days = checked_number("most_days", most_days, np.nextafter(0.0, 1.0), 1e6, "days above 0, at most 1,000,000")
    rates = []
    for label, given in (("supply_rate", supply_rate), ("borrow_rate", borrow_rate)):
        rate = market.reserves.each(label, given, "rates")
        ok = np.isfinite(rate) & (rate >= 0) & (rate <= MOST_RATE)
        require(
            label, rate, ok, f"must be a fraction a year in [0, {MOST_RATE:g}]; 0.05 is 5 %", market.reserves.symbol
        )
        rates.append(rate)
    passed = np.zeros(market.n_reserves)
    if since_update is not None:
        passed = market.reserves.each("since_update", since_update, "seconds")
        ok = np.isfinite(passed) & (passed >= 0)
        require("since_update", passed, ok, "must be finite seconds, 0 or more", market.reserves.symbol)
    line, cubic = _coefficients(market, rates[0], rates[1], passed / SECONDS_PER_YEAR)
    constant = line[:, 0] - cubic[:, 0]
    out = np.full(market.n_accounts, np.inf)
    owes = np.bincount(_owner(market.debt.indptr), market.debt.amount, market.n_accounts) > 0
    out[owes & (constant < 0)] = 0.0
    high = np.full(market.n_accounts, days * DAY / SECONDS_PER_YEAR)
    falls = owes & (constant >= 0) & (_above(line, cubic, high) < 0)
    line, cubic, high = line[falls], cubic[falls], high[falls]
    low = np.zeros(len(high))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        below = _above(line, cubic, middle) < 0
        low, high = np.where(below, low, middle), np.where(below, middle, high)
    out[falls] = high * (SECONDS_PER_YEAR / DAY)
    return out


def _owner(indptr: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _above(line: FloatArray, cubic: FloatArray, years: FloatArray) -> FloatArray:
    """Collateral times threshold less debt, USD, after `years`."""
    owed = cubic[:, 0] + years * (cubic[:, 1] + years * (cubic[:, 2] + years * cubic[:, 3]))
    return line[:, 0] + line[:, 1] * years - owed


def _coefficients(
    market: Market, supply_rate: FloatArray, borrow_rate: FloatArray, passed: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """((n, 2) USD of collateral times threshold, (n, 4) of debt), as polynomials of the years from the snapshot."""
    n = market.n_accounts
    threshold, _ = account_terms(market)
    side, who = market.collateral, _owner(market.collateral.indptr)
    r = side.reserve
    backs = side.amount * market.price[r] * threshold[market.emode[who], r]
    grown = 1.0 + supply_rate * passed
    line = np.stack([np.bincount(who, backs, n), np.bincount(who, backs * (supply_rate / grown)[r], n)], axis=1)
    side, who = market.debt, _owner(market.debt.indptr)
    r = side.reserve
    usd = side.amount * market.price[r]
    # exp to the third order around x = rate * passed, divided by its value there
    x = borrow_rate * passed
    grown = 1.0 + x + x**2 / 2 + x**3 / 6
    shape = np.stack([grown, 1.0 + x + x**2 / 2, (1.0 + x) / 2, np.full(len(x), 1 / 6)]) / grown
    powers = shape * borrow_rate ** np.arange(4)[:, None]
    return line, np.stack([np.bincount(who, usd * one[r], n) for one in powers], axis=1)
