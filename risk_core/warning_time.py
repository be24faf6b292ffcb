"""How much warning borrowers have: the time from a health factor's fall into a zone to the liquidation.

Until its first liquidation an account's balances do not change, so its health factor follows from the prices of the
path alone. The paths are those of a `Result`, drawn once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from risk_core.accounts import account_terms, health_factor, totals
from risk_core.checks import BELOW_ONE, SMALLEST, FloatArray, IntArray, checked_int, checked_number
from risk_core.estimates import FEW_DRAWS, Estimate, few_positive, unknown
from risk_core.parts import Replay
from risk_core.result import Result
from risk_core.types import Market, Positions

ZONE = 1.1
"""Where `Borrowers` are warned by default; assumed."""
RESAMPLES = 400
BLOCK, MOST_PAIRS = 64, 50_000
"""Paths whose prices are held at once, and liquidated accounts on them."""
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Warnings:
    """Every first liquidation of a run, and how long before it the borrower was warned. M of them, P paths.

    path, account: (M,) place in the result and row of the market. steps: (M,) from the end of the first step at which
    the health factor was below `zone` (0, the snapshot, if it begins there) to the end of the first one at which it was
    below 1; 0 where both are one step. debt_usd: (M,) debt of the account at the snapshot. cluster: (P,) which paths
    were drawn together, see `Result.cluster`; None where each was drawn by itself.
    """

    path: IntArray
    account: IntArray
    steps: IntArray
    debt_usd: FloatArray
    zone: float
    step: timedelta
    n_steps: int
    n_paths: int
    cluster: IntArray | None

    def at_least(self) -> FloatArray:
        """(T + 1,) share of the liquidated debt that was warned at least 0, 1, ... T steps before; NaN without any."""
        mass = np.bincount(self.steps, self.debt_usd, self.n_steps + 1)
        with np.errstate(invalid="ignore"):
            return np.cumsum(mass[::-1])[::-1] / mass.sum()

    def quantile_hours(self, level: float, *, seed: int = 7) -> Estimate:
        """Hours of warning that a share `level` of the liquidated debt did not exceed; 0.1: the other 90 % had more.

        Accounts count by their debt, on each path on which they are liquidated. The interval is the percentile interval
        of the bootstrap over paths, or over what was drawn together (B. Efron and R. J. Tibshirani, An Introduction to
        the Bootstrap, 1993, section 13.3). Times are whole steps, so its ends are, too. Without 30 paths with a
        liquidation there is none. Raises `InputError`.
        """
        level = checked_number("level", level, SMALLEST, BELOW_ONE, "a number between 0 and 1; 0.5 is the median")
        by = self._mass()
        return self._estimate(lambda mass: self._hours(mass, level), by, level, seed)

    def unwarned(self, *, seed: int = 7) -> Estimate:
        """Share of the liquidated debt that fell from above the zone to below 1 within one step; interval as above."""
        by = self._mass()

        def share(mass: FloatArray) -> FloatArray:
            with np.errstate(invalid="ignore"):
                return mass[..., 0] / mass.sum(axis=-1)

        return self._estimate(share, by, 0.0, seed)

    def _mass(self) -> FloatArray:
        """(C, T + 1) USD of debt by the steps of its warning, for each of what was drawn together."""
        which = np.arange(self.n_paths) if self.cluster is None else np.unique(self.cluster, return_inverse=True)[1]
        count, width = int(which.max()) + 1, self.n_steps + 1
        flat = np.bincount(which[self.path] * width + self.steps, self.debt_usd, count * width)
        return flat.reshape(count, width)

    def _hours(self, mass: FloatArray, level: float) -> FloatArray:
        """The quantile of each row of (..., T + 1) masses, hours."""
        below = np.cumsum(mass, axis=-1)
        rank = level * below[..., -1:] * (1 - 1e-12)
        return (below >= rank).argmax(axis=-1) * (self.step.total_seconds() / SECONDS_PER_HOUR)

    def _estimate(
        self, statistic: Callable[[FloatArray], FloatArray], by: FloatArray, level: float, seed: int
    ) -> Estimate:
        n = len(np.unique(self.path))
        shape = dict(level=level, n_paths=self.n_paths, n_positive=n)
        if not n:
            return Estimate(value=0.0, **unknown(few_positive(0, "were drawn")), **shape)
        value = float(statistic(by.sum(axis=0)))
        if n < FEW_DRAWS:
            return Estimate(value=value, **unknown(few_positive(n, "were drawn")), **shape)
        rng = np.random.default_rng([checked_int("seed", seed, 0), n])
        counts = rng.multinomial(len(by), np.full(len(by), 1 / len(by)), RESAMPLES)
        again = statistic(counts @ by)
        again = again[np.isfinite(again)]
        low, high = np.quantile(again, [0.025, 0.975], method="closest_observation")
        return Estimate(
            value=value, low=min(float(low), value), high=max(float(high), value), se=float(again.std(ddof=1)), **shape
        )


def warnings_before(market: Market, result: Result, zone: float = ZONE) -> Warnings:
    """The warning before each first liquidation of `result`, a run on `market`.

    zone: health factor, at least 1. Where a pause or a grace period bars liquidations, the time ends when the account
    could be liquidated but for it. Raises `InputError`, also for a result that `Replay` cannot take apart: one with
    limited liquidators, an impact, or borrowers who respond.
    """
    zone = checked_number("zone", zone, 1.0, 100.0, "a health factor from 1 to 100")
    replay = Replay(market, result)
    threshold, _ = account_terms(market)
    start = health_factor(market)
    _, debt = totals(market)
    parts = replay.parts(np.flatnonzero(result.n_accounts_liquidated > 0))
    legs = [_Legs(market, side, weighted) for side, weighted in ((market.collateral, threshold), (market.debt, None))]
    steps = np.zeros(len(parts.account), dtype=np.int64)
    first = 0
    while first < len(parts.path):
        full = int(np.searchsorted(parts.begin, parts.begin[first] + MOST_PAIRS, side="right")) - 1
        last = max(min(first + BLOCK, full, len(parts.path)), first + 1)
        price = _prices(replay, parts.path[first:last])
        pairs = slice(parts.begin[first], parts.begin[last])
        account = parts.account[pairs]
        path = np.repeat(np.arange(last - first), np.diff(parts.begin[first : last + 1]))
        with np.errstate(divide="ignore"):
            health = legs[0].worth(account, path, price) / legs[1].worth(account, path, price)
        followed = np.column_stack([start[account], health])
        warned = (followed < zone).argmax(axis=1)
        # The engine compares the same sums in another order, so an account at 1 to the last bit may differ.
        called = 1 + (health < 1 + 1e-9).argmax(axis=1)
        steps[pairs] = called - np.minimum(warned, called)
        first = last
    return Warnings(
        path=np.repeat(parts.path, np.diff(parts.begin)), account=parts.account, steps=steps,
        debt_usd=debt[parts.account], zone=zone, step=result.horizon / result.n_steps, n_steps=result.n_steps,
        n_paths=result.n_paths, cluster=result.cluster,
    )  # fmt: skip


def _prices(replay: Replay, path: IntArray) -> FloatArray:
    """(K, T, R) oracle prices on these paths, USD per token."""
    factors = replay.prices(path)
    fixed = np.ones((len(path), 1, factors.shape[2]))
    relative = np.concatenate([factors, fixed], axis=1)[:, replay.factor]  # -1 is the last, which stays
    return replay.market.oracle_prices(replay.market.price * relative.transpose(0, 2, 1))


class _Legs:
    """One side of every account: amounts, those of the collateral times their thresholds."""

    def __init__(self, market: Market, side: Positions, threshold: FloatArray | None) -> None:
        self.indptr, self.reserve = side.indptr, side.reserve
        owner = np.repeat(np.arange(market.n_accounts), np.diff(self.indptr))
        terms = 1.0 if threshold is None else threshold[market.emode[owner], self.reserve]
        self.amount: FloatArray = side.amount * terms

    def worth(self, account: IntArray, path: IntArray, price: FloatArray) -> FloatArray:
        """(M, T) USD of each account on its path."""
        many = self.indptr[account + 1] - self.indptr[account]
        begin = np.cumsum(many) - many
        owner = np.repeat(np.arange(len(account)), many)
        at = np.arange(len(owner)) - begin[owner] + self.indptr[account][owner]
        usd = price[path[owner], :, self.reserve[at]] * self.amount[at, None]
        return np.add.reduceat(usd, begin, axis=0)
