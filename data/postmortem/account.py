"""The borrower's account over time, from a snapshot and its stored events: amounts, prices, health factors.

Between events debts and supplies grow by the snapshot's rates. Prices at times other than the liquidation's are those
that the reserves' oracles would report if they followed the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data.postmortem.case import READ_PRICES, SLACK, WINDOW, Book, Case
from data.postmortem.keys import READ_EVENTS
from data.postmortem.record import Path, State, Step
from risk_core import types as rules
from risk_core.analytics import postmortem as pm
from risk_core.errors import InputError
from risk_core.units import BPS, SECONDS_PER_YEAR, USD

SAFELY = 1.01
"""The fall begins at the last stored time with a health factor of at least this."""


def step_of(case: Case, row: Sequence[Any], health_factor: float | None) -> Step:
    """The `Step` of one row of `Case.events`."""
    e = case.event
    return Step(
        ts=row[0], block=row[1], log_index=row[2], kind=row[3], symbol=case.symbols.get(row[4], row[4]),
        amount=row[9], tx_hash=row[8], health_factor=health_factor,
        is_this=(row[1], row[2]) == (e.block, e.log_index),
    )  # fmt: skip


class Carried:
    """The account over time, from its snapshot and its stored events. price_c, price_d: oracle prices, 1e-8 USD."""

    def __init__(self, case: Case, book: Book, fee: int, price_c: int | None, price_d: int | None) -> None:
        self.case, self.book, self.event = case, book, case.event
        self.reserves = book.market.reserves
        self.rows = case.events()
        self.changes = [self._change(row, fee) for row in self.rows]
        self.oracle_prices: dict[int, float] = {}
        for asset, price in ((self.event.collateral, price_c), (self.event.debt or "", price_d)):
            at = case.place(asset)
            if price is not None and at is not None:
                self.oracle_prices[at] = price / USD
        self.notes: list[str] = []
        self.threshold = self.earlier = book.threshold
        self._base = self._at_start()
        e = self.event
        self.this = next(
            (i for i, row in enumerate(self.rows) if (row[1], row[2]) == (e.block, e.log_index)), len(self.rows)
        )
        self._choose_thresholds()

    def _choose_thresholds(self) -> None:
        """Set the thresholds at the liquidation and before it, if there are snapshots before and after it."""
        e, case = self.event, self.case
        beyond = case.thresholds_beyond()
        if beyond is None:
            case.why[pm.PARAMETERS] = "whether parameters changed is known only with a snapshot before and one after"
            return
        if (beyond == self.book.threshold)[self.held].all():
            return
        late = self.book.market.snapshot.block_time > e.ts
        before, after = (beyond, self.book.threshold) if late else (self.book.threshold, beyond)
        price = self.then()
        factors = [self._account(e.ts, self.this, price, share).health_factor for share in (before, after)]
        if factors[0] >= 1 > factors[1]:  # with the old thresholds no liquidation was possible
            self.earlier, self.threshold = before, after
        elif factors[1] >= 1 > factors[0]:
            self.earlier = self.threshold = before
        else:
            case.why[pm.PARAMETERS] = "thresholds changed between two snapshots; the time is not stored"

    def _change(self, row: Sequence[Any], fee: int) -> tuple[np.ndarray, np.ndarray]:
        """(R,) tokens of collateral and of debt that an event added."""
        collateral, debt = np.zeros(len(self.reserves)), np.zeros(len(self.reserves))
        kind, place = row[3], self.case.place(row[4])
        this = (row[1], row[2]) == (self.event.block, self.event.log_index)

        def tokens(raw: str | None, at: int, more: int = 0) -> float:
            return (int(raw or 0) + more) / 10.0 ** int(self.reserves.decimals[at])

        if kind == "liquidation":
            owed = self.case.place(row[6] or "")
            if place is not None:
                taken = self._with_fee(int(row[5]), place) if not this else int(row[5]) + fee
                collateral[place] -= tokens(str(taken), place)
            if owed is not None:
                debt[owed] -= tokens(row[7], owed)
        elif place is not None:
            side, sign = {
                "deposit": (collateral, 1), "withdraw": (collateral, -1), "borrow": (debt, 1), "repay": (debt, -1),
                "deficit": (debt, -1),
            }[kind]  # fmt: skip
            side[place] += sign * tokens(row[5], place)
        return collateral, debt

    def _with_fee(self, net: int, place: int) -> int:
        """Collateral that another liquidation of the account took, with the fee by this snapshot's terms."""
        market = self.book.market
        bonus = round(float(self.book.bonus[place]) * BPS)
        if market.revision not in rules.REVISIONS or bonus < BPS:
            return net
        share = round(float(market.reserves.protocol_fee[place]) * BPS)
        return pm.seizure_of(net, bonus, share, market.revision).gross

    def _at_start(self) -> tuple[np.ndarray, np.ndarray]:
        """(R,) amounts before all events of the window: those of the snapshot minus the events up to it."""
        at = self.book.market.snapshot.block_time
        sides = [self.book.collateral.copy(), self.book.debt.copy()]
        for row, change in zip(self.rows, self.changes, strict=True):
            if row[0] <= at:
                for side, part in zip(sides, change, strict=True):
                    side -= part
        return sides[0], sides[1]

    def amounts(self, ts: int, upto: int) -> tuple[np.ndarray, np.ndarray]:
        """(R,) collateral and debt at a time, after the first `upto` events."""
        passed = (ts - self.book.market.snapshot.block_time) / SECONDS_PER_YEAR
        sides = [
            base * (1.0 + rate * passed)
            for base, rate in zip(self._base, (self.book.lent_rate, self.book.owed_rate), strict=True)
        ]
        for change in self.changes[:upto]:
            for side, part in zip(sides, change, strict=True):
                side += part
        for side, name in zip(sides, ("collateral", "debt"), strict=True):
            # A thousandth: interest on what was paid in between is not counted.
            largest = max((np.abs(part).max() for pair in self.changes for part in pair), default=0.0)
            short = np.flatnonzero(side < -1e-3 * max(float(side.max(initial=0.0)), float(largest), 1e-12))
            for i in short.tolist():
                symbol = self.case.called(self.reserves.asset[i])
                self.note(f"the stored events make {name} in {symbol} negative: counted as 0")
        return np.maximum(sides[0], 0.0), np.maximum(sides[1], 0.0)

    def note(self, text: str) -> None:
        """Say it once."""
        if text not in self.notes:
            self.notes.append(text)

    def prices(self, times: np.ndarray) -> np.ndarray:
        """(T, R) prices of the reserves that the account held in the window, if the oracles follow the market."""
        held = self.held
        out = np.full((len(times), len(self.reserves)), np.nan)
        for at in np.flatnonzero(held):
            out[:, at] = self.case.path_of(self.reserves.asset[at], times)
            rule = self.case.rules[self.reserves.asset[at]]
            if rule.kind == "proxy":
                symbol = self.case.called(self.reserves.asset[at])
                self.note(f"{symbol} moves with {rule.series}, which stands in for it")
        return out

    @property
    def held(self) -> np.ndarray:
        """(R,) whether the account has or had a position in the reserve."""
        held = (self.book.collateral > 0) | (self.book.debt > 0)
        for pair in self.changes:
            for part in pair:
                held |= part != 0
        return held

    def then(self) -> np.ndarray:
        """(R,) oracle prices at the liquidation.

        The two stored prices. Another reserve that follows the same series as one of these has the price that matches
        it; else the price of the last bar is used.
        """
        price = self.prices(np.array([self.event.ts]))[0]
        moved: dict[str, float] = {}
        for at, usd in self.oracle_prices.items():
            rule = self.case.rules[self.reserves.asset[at]]
            if rule.own:
                moved[rule.series] = usd
        for at in np.flatnonzero(self.held).tolist():
            rule = self.case.rules[self.reserves.asset[at]]
            scale = self.case.scale(self.reserves.asset[at])
            if rule.series in moved and scale is not None and rule.kind != "fixed":
                price[at] = moved[rule.series] * scale
        for at, usd in self.oracle_prices.items():
            price[at] = usd
        return price

    def _account(self, ts: int, upto: int, price: np.ndarray, threshold: np.ndarray | None = None) -> pm.Account:
        collateral, debt = self.amounts(ts, upto)
        share = self.threshold if threshold is None else threshold
        return pm.Account(collateral=collateral, debt=debt, threshold=share, price=price)

    def state(self) -> State:
        """The account just before and just after the liquidation; None where it is not known."""
        e, case, price = self.event, self.case, self.then()
        before, after = (self._account(e.ts, self.this + k, price) for k in (0, 1))
        owed = case.place(e.debt or "")
        had = before.debt[owed] if owed is not None else 0.0
        share = None
        if had > 0 and e.repaid_raw is not None and owed is not None:
            share = e.repaid_raw / 10.0 ** int(self.reserves.decimals[owed]) / had
        at = self.book.market.snapshot
        between = [row for row in self.rows if min(e.ts, at.block_time) <= row[0] <= max(e.ts, at.block_time)]
        factor = before.health_factor
        fits = bool(factor < 1) and (share is None or share <= 1 + 1e-6)
        if np.isnan(factor):
            unknown = [case.called(self.reserves.asset[i]) for i in np.flatnonzero(self.held & np.isnan(price))]
            case.why["health"] = f"no price of {', '.join(unknown)} is stored near the liquidation"
        elif not fits:
            case.why["health"] = (
                f"the account as stored at block {at.block} and carried here has a health factor of "
                f"{'no debt' if np.isinf(factor) else f'{factor:.4g}'}, and only below 1 is anybody liquidated: what "
                f"happened in between is not all stored (`{READ_EVENTS}`)"
            )
        known = fits and not np.isnan(factor)
        with np.errstate(invalid="ignore"):
            backing = float(np.where(before.collateral > 0, before.collateral * price, 0.0).sum())
            debt_usd = float(np.where(before.debt > 0, before.debt * price, 0.0).sum())
        return State(
            block=at.block, block_time=at.block_time, n_events=len(between),
            before=factor if known else None,
            after=after.health_factor if known and not np.isnan(after.health_factor) else None,
            share=share if known else None, fits=fits, backing_usd=backing if known else None,
            owed_usd=debt_usd if known else None, notes=tuple(self.notes),
        )  # fmt: skip

    def steps(self) -> tuple[Step, ...]:
        """The account's events in the window, with the health factor after each where prices are stored."""
        e, case = self.event, self.case
        shown = [i for i, row in enumerate(self.rows) if abs(row[0] - e.ts) <= WINDOW]
        price = self.prices(np.array([self.rows[i][0] for i in shown], dtype=np.int64)) if shown else None
        fits = "health" not in case.why
        found = []
        for n, i in enumerate(shown):
            row = self.rows[i]
            at = self.then() if i == self.this else price[n] if price is not None else None
            factor = self._account(row[0], i + 1, at).health_factor if at is not None and fits else np.nan
            found.append(step_of(case, row, None if np.isnan(factor) else float(factor)))
        return tuple(found)

    def _times(self) -> np.ndarray:
        """Stored times around the liquidation: those of the collateral's series, else of the debt's."""
        e = self.event
        for asset in (e.collateral, e.debt):
            rule = self.case.rules.get(asset or "")
            if rule is not None and rule.series:
                times = self.case.bars_of(rule.series).times
                return times[(times >= e.ts - WINDOW) & (times <= e.ts + WINDOW + SLACK)]
        return np.zeros(0, dtype=np.int64)

    def path(self) -> Path | None:
        """Health factors at stored times, with and without the liquidation."""
        e, case, times = self.event, self.case, self._times()
        if "health" in case.why:
            case.why["path"] = case.why["health"]
            return None
        if not len(times):
            case.why["path"] = f"no prices around the liquidation are stored (`{READ_PRICES}`)"
            return None
        stored = {
            at: [(e.ts, usd), *case.oracle_prices_later(self.reserves.asset[at])]
            for at, usd in self.oracle_prices.items()
        }
        known = {e.ts, *(ts for later in stored.values() for ts, _ in later)}
        # Also the second before: an oracle's price jumps, so no line may connect the two values.
        times = np.union1d(times, [moment for ts in known for moment in (ts - 1, ts)]).astype(np.int64)
        price, recorded = self.prices(times), self.prices(times)
        for at, later in stored.items():
            for ts, usd in later:
                here = price[np.searchsorted(times, ts), at]
                recorded[times >= ts, at] = price[times >= ts, at] * (usd / here)
        stamps = np.array([row[0] for row in self.rows], dtype=np.int64)
        after = times >= e.ts
        done = np.searchsorted(stamps, times, side="right")
        with_it = [self.amounts(int(t), int(n)) for t, n in zip(times, done, strict=True)]
        without = [
            self.amounts(int(t), min(int(n), self.this) if late else int(n))
            for t, n, late in zip(times, done, after, strict=True)
        ]
        factors = []
        for side, by_price in ((without, price), (without, recorded), (with_it, recorded)):
            collateral, debt = (np.array([pair[i] for pair in side]) for i in range(2))
            by = [pm.health_path(collateral, debt, share, by_price) for share in (self.earlier, self.threshold)]
            factors.append(np.where(after, by[1], by[0]))
        if np.isnan(factors[0][after]).all():
            case.why.setdefault("path", f"no prices after the liquidation are stored (`{READ_PRICES}`)")
        place = case.place(e.collateral)
        nothing = np.full(len(times), np.nan)
        market, oracle = (nothing if place is None else of[:, place] for of in (price, recorded))
        return Path(
            times=times, without=factors[0], recorded=factors[1], actual=factors[2], market=market, oracle=oracle
        )

    def fall(self) -> tuple[pm.Fall | None, int | None]:
        """(what made the health factor fall, time at which the fall begins)."""
        e, case = self.event, self.case
        if "health" in case.why:
            case.why["fall"] = case.why["health"]
            return None, None
        times = self._times()
        times = times[times < e.ts]
        price = self.prices(times)
        stamps = np.array([row[0] for row in self.rows], dtype=np.int64)
        done = np.searchsorted(stamps, times, side="right")
        accounts = [self._account(int(t), int(n), p, self.earlier) for t, n, p in zip(times, done, price, strict=True)]
        factors = np.array([one.health_factor for one in accounts])
        known = np.flatnonzero(np.isfinite(factors))
        if not len(known):
            case.why["fall"] = f"no prices before the liquidation are stored (`{READ_PRICES}`)"
            return None, None
        safe = known[factors[known] >= SAFELY]
        start = int(safe[-1] if len(safe) else known[0])
        then, line = self.then(), self.prices(np.array([e.ts]))[0]
        market = then.copy()
        for at in self.oracle_prices:
            market[at] = line[at]
            if case.rules[self.reserves.asset[at]].kind not in ("series", "ratio", "fixed"):
                market[at] = np.nan
        own = [np.zeros(len(self.reserves)), np.zeros(len(self.reserves))]
        for change in self.changes[int(done[start]) : self.this]:
            for side, part in zip(own, change, strict=True):
                side += part
        now = self._account(e.ts, self.this, then)
        try:
            found = pm.fall(accounts[start], now, own_collateral=own[0], own_debt=own[1], market_price=market)
        except InputError as unknown:  # a price that only the account at the beginning needs
            case.why["fall"] = str(unknown)
            return None, None
        if pm.PARAMETERS in case.why:
            causes = [pm.Cause(one.name, None) if one.name == pm.PARAMETERS else one for one in found.causes]
            found = replace(found, causes=tuple(causes))
        return found, int(times[start])
