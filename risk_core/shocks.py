"""Deterministic questions: what happens at these prices, and along this direction. Exact, no randomness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from risk_core.accounts import health_factor
from risk_core.errors import InputError
from risk_core.kernels import shock as kernels
from risk_core.kernels.book import Book
from risk_core.kernels.settle import DEFICIT, N_TOTALS, PROTOCOL_FEE, REPAID, SEIZED
from risk_core.liquidation import policy_code
from risk_core.plan import NEVER_OPEN, plan_of
from risk_core.result import MICRO_USD, MILLI_USD
from risk_core.types import FloatArray, IntArray, Market


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhatIf:
    """The market at shocked prices: who is below health factor 1, and the liquidations that follow at once.

    liquidatable: (k,) rows of the market's accounts with collateral and health factor below 1; weakest_health (k,)
    theirs. account_*: (k,) USD, aligned with it. *_by_reserve: (R,) USD. Totals in USD: `debt_usd` is everything those
    accounts owe, `repaid_usd` what liquidators repay until each account is healthy or stripped, `seized_usd` what they
    receive for it, `fee_usd` what the treasury takes of the bonus, `deficit_usd` the debt burnt without collateral.
    """

    market: Market
    price: FloatArray
    policy: str
    liquidatable: IntArray
    liquidatable_health: FloatArray
    account_debt_usd: FloatArray
    account_repaid_usd: FloatArray
    account_seized_usd: FloatArray
    account_fee_usd: FloatArray
    account_deficit_usd: FloatArray
    repaid_by_reserve: FloatArray
    seized_by_reserve: FloatArray
    deficit_by_reserve: FloatArray

    @property
    def health_factor(self) -> FloatArray:
        """(n_accounts,) health factor of every account at these prices (computed when asked for)."""
        return health_factor(self.market, self.price)

    @property
    def n_accounts(self) -> int:
        return len(self.liquidatable)

    @property
    def debt_usd(self) -> float:
        return float(self.account_debt_usd.sum())

    @property
    def repaid_usd(self) -> float:
        return float(self.account_repaid_usd.sum())

    @property
    def seized_usd(self) -> float:
        return float(self.account_seized_usd.sum())

    @property
    def fee_usd(self) -> float:
        return float(self.account_fee_usd.sum())

    @property
    def deficit_usd(self) -> float:
        return float(self.account_deficit_usd.sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """`what_if` along one direction. S steps.

    shock: (S,) size of the fall, 0 to 0.9; prices are price x (1 + shock x direction). n_accounts, debt_usd,
    repaid_usd, seized_usd, deficit_usd: (S,). seized_by_reserve: (S, R) USD.
    """

    direction: FloatArray
    shock: FloatArray
    n_accounts: IntArray
    debt_usd: FloatArray
    repaid_usd: FloatArray
    seized_usd: FloatArray
    deficit_usd: FloatArray
    seized_by_reserve: FloatArray


def what_if(market: Market, shock: Mapping[str, float] | ArrayLike, policy: str = "largest_legs") -> WhatIf:
    """Liquidate everything that a price shock makes liquidatable, at the shocked oracle prices.

    shock: {symbol: relative move}, or (R,) relative moves; {"WETH": -0.2} moves WETH alone, so name the reserves
    that follow it, too. Raises `InputError` for an unknown symbol or a move of -100 % or worse.
    """
    price = market.shocked(shock)
    code = policy_code(policy)
    plan, book = plan_of(market), _book_now(market)
    x = np.append(price / market.price, 1.0).reshape(1, -1, 1)
    account, group = np.empty(plan.n_accounts, dtype=np.int64), np.empty(plan.n_accounts, dtype=np.int64)
    health = np.empty(plan.n_accounts)
    k = kernels.touched(book, x, account, group, health)
    out = np.zeros((k, N_TOTALS), dtype=np.int64)
    by_step = np.zeros((1, market.n_reserves, 4), dtype=np.int64)
    debt = np.zeros(k)
    scratch = np.empty((2, int(np.diff(plan.leg).max(initial=0))))
    kernels.settle_each(book, x, account[:k], group[:k], code, scratch[0], scratch[1], by_step, debt, out)
    return WhatIf(
        market=market, price=price, policy=policy, liquidatable=plan.account[account[:k]],
        liquidatable_health=health[:k].copy(), account_debt_usd=debt,
        account_repaid_usd=out[:, REPAID] * MICRO_USD, account_seized_usd=out[:, SEIZED] * MICRO_USD,
        account_fee_usd=out[:, PROTOCOL_FEE] * MICRO_USD, account_deficit_usd=out[:, DEFICIT] * MICRO_USD,
        repaid_by_reserve=by_step[0, :, REPAID] * MILLI_USD, seized_by_reserve=by_step[0, :, SEIZED] * MILLI_USD,
        deficit_by_reserve=by_step[0, :, DEFICIT] * MILLI_USD,
    )  # fmt: skip


def sweep(
    market: Market, direction: Mapping[str, float] | ArrayLike, steps: int = 91, policy: str = "largest_legs"
) -> Sweep:
    """The whole liquidations-at-risk curve: `what_if` at falls of 0, 1, .. (steps - 1) per cent of `direction`.

    direction: {symbol: weight} or (R,) weights; -1 falls one for one with the shock.
    """
    if steps < 1:
        raise InputError(f"steps: expected at least 1, found {steps}")
    if isinstance(direction, Mapping):
        weights = np.zeros(market.n_reserves)
        for symbol, weight in direction.items():
            weights[market.reserves.index(symbol)] = weight
    else:
        weights = np.asarray(direction, dtype=np.float64)
    shock = np.arange(steps) / 100
    answers = [what_if(market, s * weights, policy) for s in shock]
    return Sweep(
        direction=weights, shock=shock, n_accounts=np.array([a.n_accounts for a in answers]),
        debt_usd=np.array([a.debt_usd for a in answers]), repaid_usd=np.array([a.repaid_usd for a in answers]),
        seized_usd=np.array([a.seized_usd for a in answers]), deficit_usd=np.array([a.deficit_usd for a in answers]),
        seized_by_reserve=np.array([a.seized_by_reserve for a in answers]),
    )  # fmt: skip


_books: WeakKeyDictionary[Market, Book] = WeakKeyDictionary()


def _book_now(market: Market) -> Book:
    """The plan bound to one factor per reserve, with what is barred from liquidation at the snapshot."""
    book = _books.get(market)
    if book is None:
        reserves = market.reserves
        barred = ~reserves.active | reserves.paused | (reserves.grace_until >= market.snapshot.block_time)
        factor = np.arange(market.n_reserves)
        book = plan_of(market).book(factor, market.n_reserves, np.where(barred, NEVER_OPEN, 0))
        book = _books.setdefault(market, book)
    return book
