"""Deterministic questions: what happens at these prices, and along this direction. Exact, no randomness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from risk_core.accounts import health_factor, weights_of
from risk_core.checks import FloatArray, IntArray, checked_int, checked_kind
from risk_core.kernels import shock as kernels
from risk_core.kernels.book import Book, Walk
from risk_core.kernels.settle import DEFICIT, N_TERMS, N_TOTALS, PROTOCOL_FEE, REPAID, SEIZED
from risk_core.kernels.sweep import sweep as kernel_sweep
from risk_core.kernels.sweep_lanes import LANES, N_STATE, N_TOTAL
from risk_core.liquidation import policy_code
from risk_core.oracles import no_cap_acts
from risk_core.plan import NEVER_OPEN, plan_of
from risk_core.result import MICRO_USD, MILLI_USD, require_countable
from risk_core.types import Market, Positions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhatIf:
    """The market at shocked prices: who is below health factor 1, and the liquidations that follow at once.

    liquidatable: (k,) rows of the market's accounts with collateral and health factor below 1; liquidatable_health (k,)
    their health factors. account_*: (k,) USD, in the same order. *_by_reserve: (R,) USD. Totals in USD: `debt_usd` is
    everything those accounts owe, `repaid_usd` what liquidators repay until each account is healthy or has no
    collateral left, `seized_usd` what they receive for it, `fee_usd` what the treasury takes of the bonus,
    `deficit_usd` the debt burnt without collateral.
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
    fee_by_reserve: FloatArray
    deficit_by_reserve: FloatArray

    @property
    def health_factor(self) -> FloatArray:
        """(n_accounts,) health factor of every account at these prices (computed when asked for)."""
        return health_factor(self.market, self.price)

    @property
    def n_accounts(self) -> int:
        """Accounts that are liquidatable."""
        return len(self.liquidatable)

    @property
    def debt_usd(self) -> float:
        """USD that the liquidatable accounts owe."""
        return float(self.account_debt_usd.sum())

    @property
    def repaid_usd(self) -> float:
        """USD of debt that liquidators repay."""
        return float(self.account_repaid_usd.sum())

    @property
    def seized_usd(self) -> float:
        """USD of collateral that liquidators receive."""
        return float(self.account_seized_usd.sum())

    @property
    def fee_usd(self) -> float:
        """USD of the bonus that the treasury takes."""
        return float(self.account_fee_usd.sum())

    @property
    def deficit_usd(self) -> float:
        """USD of debt that is burnt because no collateral is left."""
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
    """Liquidate everything that a price shock makes liquidatable, at the oracle prices that the shock leads to.

    shock: {symbol: relative move}, or (R,) relative moves of the feeds; {"WETH": -0.2} moves WETH and what is priced as
    a ratio to it (`Reserves.ratio_of`), so name every other reserve that should move. An oracle's cap holds: with
    `Reserves.price_cap` of 1.04, {"USDC": 0.12} is computed at 1.04. Linked reserves follow by themselves. Raises
    `InputError` for an unknown symbol or a move of -100 % or worse.
    """
    return _settled(market, shock, policy, balances=False)[0]


def aftermath(
    market: Market, shock: Mapping[str, float] | ArrayLike, policy: str = "largest_legs"
) -> tuple[WhatIf, Market]:
    """`what_if`, and the market as the liquidations leave it: at the shocked oracle prices, with what remains.

    A second shock may follow on it: a feed that was stuck and moves again. The accounts that were not liquidatable keep
    their balances to the bit; the snapshot's `hash` is empty, since no stored rows hold this market. Raises as
    `what_if`.
    """
    answer, left = _settled(market, shock, policy, balances=True)
    amount = {"collateral": np.array(market.collateral.amount), "debt": np.array(market.debt.amount)}
    at = 0
    for row in answer.liquidatable.tolist():
        for name in amount:
            side: Positions = getattr(market, name)
            begin, end = side.indptr[row], side.indptr[row + 1]
            amount[name][begin:end] *= left[at : at + end - begin]
            at += int(end - begin)
    sides = {}
    for name, tokens in amount.items():
        side = getattr(market, name)
        owner = np.repeat(np.arange(market.n_accounts), np.diff(side.indptr))
        sides[name] = Positions.from_entries(owner, side.reserve, tokens, market.n_accounts)
    words = f"{answer.n_accounts} accounts liquidated at shocked prices"
    after = replace(
        market, price=answer.price, snapshot=replace(market.snapshot, hash=""), notes=(*market.notes, words), **sides
    )
    return answer, after


def _settled(
    market: Market, shock: Mapping[str, float] | ArrayLike, policy: str, *, balances: bool
) -> tuple[WhatIf, FloatArray]:
    """The answer, and what remains of each leg of each liquidated account over what was there (empty if not asked)."""
    checked_kind("market", market, Market)
    price = market.shocked(shock)
    code = policy_code(policy)
    plan, (book, walk) = plan_of(market), _bound_now(market)
    x = np.append(price / market.price, 1.0)
    require_countable("shock", plan.most_usd(x[:-1]) / MICRO_USD)
    first, stop = np.empty((2, plan.n_groups), dtype=np.int64)
    groups, most = kernels.groups_at_risk(book, walk, x, np.empty(len(book.pair_collateral)), first, stop)
    account = np.empty(most, dtype=np.int64)
    found = np.empty((6, most))
    by_step = np.zeros((1, market.n_reserves, 4), dtype=np.int64)
    legs = plan.most_legs
    left = np.zeros(most * legs if balances else 0)
    work = kernels.Work(np.empty(legs), np.empty(legs), np.empty(legs, dtype=np.int64), np.empty((legs, N_TERMS)))
    k = kernels.settle_below(
        walk, book.open_from, x, first[:groups], stop[:groups], code, work, np.zeros((1, N_TOTALS), dtype=np.int64),
        by_step, account, found, left,
    )  # fmt: skip
    health, debt, repaid, seized, fee, deficit = found[:, :k]
    answer = WhatIf(
        market=market, price=price, policy=policy, liquidatable=plan.account[account[:k]], liquidatable_health=health,
        account_debt_usd=debt, account_repaid_usd=repaid, account_seized_usd=seized, account_fee_usd=fee,
        account_deficit_usd=deficit,
        repaid_by_reserve=by_step[0, :, REPAID] * MILLI_USD, seized_by_reserve=by_step[0, :, SEIZED] * MILLI_USD,
        fee_by_reserve=by_step[0, :, PROTOCOL_FEE] * MILLI_USD, deficit_by_reserve=by_step[0, :, DEFICIT] * MILLI_USD,
    )  # fmt: skip
    return answer, left


def sweep(
    market: Market, direction: Mapping[str, float] | ArrayLike, steps: int = 91, policy: str = "largest_legs"
) -> Sweep:
    """The whole liquidations-at-risk curve: `what_if` at falls of 0, 1, .. (steps - 1) per cent of `direction`.

    direction: {symbol: weight} or (R,) weights; -1 falls one for one with the shock.
    """
    checked_kind("market", market, Market)
    steps = checked_int("steps", steps, 1)
    code = policy_code(policy)
    weights = weights_of(market, direction)
    shock = np.arange(steps) / 100
    plan, (book, _), r = plan_of(market), _bound_now(market), market.n_reserves
    blocks = -(-steps // LANES)
    x = np.ones((blocks * LANES, r + 1))
    feeds = _along(market, shock, weights)
    x[:steps, :-1] = market.oracle_prices(feeds) / market.price
    linear = no_cap_acts(market.reserves.oracle, market.price, feeds)
    x[steps:] = x[steps - 1]
    require_countable("direction", plan.most_usd(x[:, :-1]) / MICRO_USD)
    legs = plan.most_legs
    total, seized = np.zeros((blocks, N_TOTAL)), np.zeros((blocks, r, LANES))
    exact, by_step = np.zeros((steps, N_TOTALS), dtype=np.int64), np.zeros((steps, r, 4), dtype=np.int64)
    kernel_sweep(
        book, np.ascontiguousarray(x.reshape(blocks, LANES, r + 1).transpose(0, 2, 1)).reshape(-1), steps, linear, code,
        np.empty((len(book.pair_collateral), blocks)), np.empty(blocks + 1), np.empty(blocks * N_STATE),
        total.reshape(-1), np.empty(N_STATE),
        np.zeros((blocks + 1, legs + 1)), np.empty(legs), np.empty(legs), seized, exact, by_step,
    )  # fmt: skip
    count, debt, repaid, deficit = (total[:, 8 * k : 8 * k + 8].reshape(-1)[:steps] for k in range(4))
    seized_by_reserve = seized.transpose(0, 2, 1).reshape(-1, r)[:steps]
    return Sweep(
        direction=weights,
        shock=shock,
        n_accounts=count.astype(np.int64),
        debt_usd=debt.copy(),
        repaid_usd=repaid + exact[:, REPAID] * MICRO_USD,
        seized_usd=seized_by_reserve.sum(axis=1) + exact[:, SEIZED] * MICRO_USD,
        deficit_usd=deficit + exact[:, DEFICIT] * MICRO_USD,
        seized_by_reserve=seized_by_reserve + by_step[:, :, SEIZED] * MILLI_USD,
    )


def _along(market: Market, shock: FloatArray, weights: FloatArray) -> FloatArray:
    """(steps, R) prices of the feeds in `market.shocked(s * weights)` for each s of `shock`."""
    move = shock[:, None] * weights
    bad = ~(np.isfinite(move) & (move > -1)).all(axis=1)
    if bad.any():
        market.shocked(move[np.flatnonzero(bad)[0]])  # raises, naming the reserve
    return market.price * (1.0 + move)


def _bound_now(market: Market) -> tuple[Book, Walk]:
    """The plan bound to one factor per reserve, with what is barred from liquidation at the snapshot."""
    reserves = market.reserves
    barred = ~reserves.active | reserves.paused | (reserves.grace_until >= market.snapshot.block_time)
    factor = np.arange(market.n_reserves)
    return plan_of(market).bind(factor, market.n_reserves, np.where(barred, NEVER_OPEN, 0))
