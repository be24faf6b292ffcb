"""Spells of accounts just above health factor 1, from stored snapshots, the events between them, and prices.

An account is followed from one stored snapshot to the next: what it holds changes with its events, and prices by the
stored series through the rules of the oracle, pulled so that they end at the next snapshot's. A spell begins when
prices take the health factor below the zone. It cannot be seen, and is left out, where it had begun before the first
snapshot, and where the borrower's own loan or withdrawal took the account there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.errors import NoPrices
from data.prices.series import load_prices
from risk_core import Market, health_factor
from risk_core.accounts import account_terms
from risk_core.analytics.responses import LIQUIDATABLE, LIQUIDATED, NOT_SEEN, RECOVERED, RESPONDED

HOUR = 3_600
TOGETHER = HOUR
"""Acts of a borrower within this time of the first are one: whoever sells collateral to repay makes several."""
LEAST_RISE = 0.01
"""An act that raises the health factor by less, and not to the zone, is no response."""
TAKEN = ("liquidation", "deficit")
"""Events that are not the borrower's act. Who pays for an act is not asked: it may be a keeper that he hired."""


class Spell(NamedTuple):
    """One spell: account, begin in UTC seconds, length in seconds, how it ended, health factor after a response."""

    account: str
    begin: float
    seconds: float
    outcome: int
    after: float


class Act(NamedTuple):
    """Events of one account that count as one: UTC seconds, whether it was taken from him, (2, R) tokens added."""

    ts: int
    taken: bool
    change: np.ndarray


class Track:
    """One account, from point to point; ended spells go to `out`. begun: begin of a spell that goes on, or None."""

    def __init__(
        self, account: str, zone: float, ts: float, health: float, begun: float | None, out: list[Spell]
    ) -> None:
        self.account, self.zone, self.out = account, zone, out
        self.ts, self.health, self.begun = float(ts), health, begun
        if begun is not None and not 1.0 <= health < zone:
            self.ends(NOT_SEEN, ts)  # the snapshot shows a change that no event and no price explains

    def moves(self, ts: float, health: float) -> None:
        """Prices moved since the last point."""
        if self.begun is None and health < self.zone <= self.health:
            self.begun = self._when(self.zone, ts, health)
        if self.begun is not None and health < 1.0:
            self.ends(LIQUIDATABLE, self._when(1.0, ts, health))
        elif self.begun is not None and health >= self.zone:
            self.ends(RECOVERED, self._when(self.zone, ts, health))
        self.ts, self.health = float(ts), health

    def acts(self, ts: float, after: float) -> None:
        """The borrower acted: `after` is the health factor just after."""
        if self.begun is not None and (after >= self.zone or after >= self.health + LEAST_RISE):
            self.ends(RESPONDED, ts, after)
        self.ts, self.health = float(ts), after

    def is_taken(self, ts: float, after: float) -> None:
        """Somebody liquidated, or the debt was written off."""
        if self.begun is not None:
            self.ends(LIQUIDATED, ts)
        self.ts, self.health = float(ts), after

    def ends(self, outcome: int, ts: float, after: float = np.nan) -> None:
        """The spell ends."""
        assert self.begun is not None
        self.out.append(Spell(self.account, self.begun, max(float(ts) - self.begun, 0.0), outcome, after))
        self.begun = None

    def _when(self, level: float, ts: float, health: float) -> float:
        """When the health factor was at a level, on a straight line from the last point to this one."""
        if not np.isfinite(self.health) or self.health == health:
            return float(ts)
        part = (self.health - level) / (self.health - health)
        return self.ts + float(np.clip(part, 0.0, 1.0)) * (ts - self.ts)


class Series:
    """Hourly prices of series over a time, read once each. `missing`: series without nine tenths of the hours."""

    def __init__(self, first: int, last: int, *, synthetic: bool) -> None:
        self.first, self.last, self.synthetic = first - 2 * HOUR, last + 2 * HOUR, synthetic
        self._known: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.missing: list[str] = []

    def logs(self, name: str, times: np.ndarray) -> np.ndarray:
        """(T,) log price, straight between hours; all 0 without any price: the snapshots' prices alone are used."""
        if name not in self._known:
            try:
                found = load_prices([name], "1h", self.first, self.last, synthetic=self.synthetic)[name]
            except NoPrices:
                found = pd.Series([1.0], index=[self.first])
            if len(found) < 0.9 * (self.last - self.first) / HOUR:
                self.missing.append(name)
            self._known[name] = found.index.to_numpy(dtype=np.float64), np.log(found.to_numpy(dtype=np.float64))
        return np.interp(times, *self._known[name])


def between(
    first: Market, last: Market, series: Mapping[str, str], factor: np.ndarray, read: Series
) -> tuple[np.ndarray, np.ndarray]:
    """(times (T,) UTC seconds, oracle prices (T, R) of the first market's reserves) from one snapshot to the next.

    Times are both snapshots' and the full hours between. What the series and the oracle's rules do not explain of the
    move to the next snapshot's price comes evenly over the time.
    """
    begin, end = first.snapshot.block_time, last.snapshot.block_time
    hours = np.arange(begin // HOUR + 1, (end - 1) // HOUR + 1, dtype=np.int64) * HOUR
    times = np.concatenate([[begin], hours, [end]])
    logs = np.array([read.logs(name, times) for name in series.values()]).reshape(len(series), len(times))
    feeds = np.repeat(first.price[None, :], len(times), axis=0)
    moving = factor >= 0
    feeds[:, moving] *= np.exp(logs - logs[:, :1])[factor[moving]].T
    price = np.array(first.oracle_prices(feeds))
    later = dict(zip(last.reserves.asset, last.price.tolist(), strict=True))
    target = np.array([later.get(asset, price[-1, r]) for r, asset in enumerate(first.reserves.asset)])
    passed = (times - begin) / (end - begin)
    return times, price * np.exp(passed[:, None] * np.log(target / price[-1]))


def acts_of(rows: Sequence[Sequence[Any]], place: Mapping[str, int], decimals: np.ndarray) -> list[Act]:
    """The acts of one account. rows: (ts, kind, asset, amount, debt asset, debt amount), by time.

    What a liquidation took for the treasury is not among the stored amounts.
    """
    found: list[Act] = []
    for ts, kind, asset, amount, debt_asset, debt_amount in rows:
        change = np.zeros((2, len(decimals)))

        def add(side: int, of: str | None, raw: str | None, sign: int, change: np.ndarray = change) -> None:
            at = place.get(of or "")
            if at is not None:
                change[side, at] += sign * int(raw or 0) / 10.0 ** int(decimals[at])

        if kind == "liquidation":
            add(0, asset, amount, -1)
            add(1, debt_asset, debt_amount, -1)
        else:
            side, sign = {"deposit": (0, 1), "withdraw": (0, -1), "borrow": (1, 1)}.get(kind, (1, -1))
            add(side, asset, amount, sign)
        taken = kind in TAKEN
        if found and not taken and not found[-1].taken and ts - found[-1].ts <= TOGETHER:
            found[-1] = found[-1]._replace(change=found[-1].change + change)
        else:
            found.append(Act(ts, taken, change))
    return found


def followed(
    first: Market,
    times: np.ndarray,
    price: np.ndarray,
    events: Mapping[str, Sequence[Sequence[Any]]],
    *,
    zone: float,
    least_debt_usd: float,
    going: Mapping[str, float],
    out: list[Spell],
) -> tuple[dict[str, float], set[str]]:
    """Follow every account of a market over a time; ended spells go to `out`.

    times (T,), price (T, R): as `between` gives them. events: of each account, as `acts_of` takes them. going: account
    to the begin of a spell that goes on. Returns the same at the end, and the accounts that were in the zone at the
    start without a begin that was seen. Interest of the time is left out; the next snapshot has it.
    """
    health = np.array([health_factor(first, at) for at in price])
    owner = np.repeat(np.arange(first.n_accounts), np.diff(first.debt.indptr))
    owed = np.bincount(owner, first.debt.amount * first.price[first.debt.reserve], minlength=first.n_accounts)
    names = [str(account) for account in first.accounts]
    acting = np.array([name in events for name in names], dtype=bool)
    open_ = np.array([name in going for name in names], dtype=bool)
    large = (owed >= least_debt_usd) & (owed > 0)
    chosen = np.flatnonzero((large & (acting | (health.min(axis=0) < zone))) | open_)
    unseen = {names[i] for i in np.flatnonzero(large & ~open_ & (health[0] >= 1.0) & (health[0] < zone))}
    # No longer in the snapshot: the debt is gone, by what no event tells.
    for name in going.keys() - set(names):
        Track(name, zone, times[0], np.inf, going[name], out)
    place = {asset: r for r, asset in enumerate(first.reserves.asset)}
    threshold = account_terms(first)[0]
    left: dict[str, float] = {}
    for i in chosen.tolist():
        track = Track(names[i], zone, times[0], float(health[0, i]), going.get(names[i]), out)
        acts = acts_of(events.get(names[i], ()), place, first.reserves.decimals)
        for step in _points(first, i, threshold[first.emode[i]], acts, times, price):
            step.to(track)
        if track.begun is not None:
            left[names[i]] = track.begun
    return left, unseen


class _Point(NamedTuple):
    """A time at which an account is looked at: its health factor, and after an act there, whether it was taken."""

    ts: float
    health: float
    after: float | None = None
    taken: bool = False

    def to(self, track: Track) -> None:
        track.moves(self.ts, self.health)
        if self.after is not None:
            (track.is_taken if self.taken else track.acts)(self.ts, self.after)


def _points(
    market: Market, i: int, threshold: np.ndarray, acts: Sequence[Act], times: np.ndarray, price: np.ndarray
) -> Iterator[_Point]:
    """The points of one account after the first time, in order."""
    base = np.zeros((2, market.n_reserves))
    for side, of in enumerate((market.collateral, market.debt)):
        mine = slice(of.indptr[i], of.indptr[i + 1])
        base[side, of.reserve[mine]] = of.amount[mine]
    held = np.cumsum([base, *[act.change for act in acts]], axis=0)
    used = np.flatnonzero((held != 0).any(axis=(0, 1)))
    # Interest of the time is not counted, so what is repaid whole may end a little below 0.
    held = np.maximum(held[:, :, used], 0.0)
    price, weight = price[:, used], threshold[used]
    at = np.array([act.ts for act in acts], dtype=np.float64)
    then = np.exp(np.array([np.interp(at, times, column) for column in np.log(price).T])).reshape(len(used), len(at)).T

    def factor(k: int, prices: np.ndarray) -> float:
        debt = float(held[k, 1] @ prices)
        return float(held[k, 0] @ (weight * prices)) / debt if debt > 0 else np.inf

    k = 0
    for t in range(1, len(times)):
        while k < len(acts) and acts[k].ts <= times[t]:
            yield _Point(float(acts[k].ts), factor(k, then[k]), factor(k + 1, then[k]), acts[k].taken)
            k += 1
        yield _Point(float(times[t]), factor(k, price[t]))
