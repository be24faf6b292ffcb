"""26 figures of each wallet: how near liquidation, how large, what it borrowed, repaid, moved and lost.

The figures are those of the published data set of wallet features (Aave and Compound together, in ether), each defined
as one query over three tables: the state of each wallet now, its state at the first block of each day, its events.
Here the tables are arrays. NaN stands for SQL's NULL: the mean of no values, the time since an event that never
happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from risk_core.checks import FloatArray, IntArray, checked_array, checked_int, checked_kind, require
from risk_core.errors import InputError

DEPOSIT, WITHDRAW, BORROW, REPAY, LIQUIDATION = range(5)
"""What an event is, as a number; `KINDS` has the words in the same order."""
KINDS = ("deposit", "withdraw", "borrow", "repay", "liquidation")
NEAR = 1 / 1.2
"""A day counts as risky above this risk factor: a health factor below 1.2."""
DUST = 1e-9
"""Events of less than this many ether are left out."""
DAY = 86_400


class Feature(NamedTuple):
    """One of the 26: its name, the group it is shown in, its unit, whether it is a whole number, and its meaning."""

    name: str
    group: str
    unit: str
    whole: bool
    says: str


_NEAR, _SIZE, _BORROW, _REPAY = "How risky", "Size and room", "Borrowing", "Paying back"
_MOVE, _LOST, _WHERE = "Putting in, taking out", "Past liquidations", "Where"
FEATURES = (
    Feature("risk_factor", _NEAR, "ratio", False, "1 / health factor now, the greatest of all markets; 0 without debt"),
    Feature("total_collateral_eth", _SIZE, "ETH", False, "Collateral now, all markets together"),
    Feature("total_collateral_avg_eth", _SIZE, "ETH", False, "Mean over days of the collateral of all markets"),
    Feature("total_available_borrows_eth", _SIZE, "ETH", False, "What more it could borrow now, all markets together"),
    Feature("total_available_borrows_avg_eth", _SIZE, "ETH", False, "Mean over days of what more it could borrow"),
    Feature("avg_weighted_risk_factor", _NEAR, "ratio", False,
            "Mean over days of the day's risk factor, each day weighed by its debt; none where it never had debt"),
    Feature("risk_factor_above_threshold_daily_count", _NEAR, "days", True,
            "Days on which its risk factor was above 1 / 1.2, a health factor below 1.2"),
    Feature("avg_risk_factor", _NEAR, "ratio", False, "Mean over days of the day's risk factor"),
    Feature("max_risk_factor", _NEAR, "ratio", False, "The greatest risk factor of any day"),
    Feature("borrow_amount_sum_eth", _BORROW, "ETH", False, "All it ever borrowed, each loan at its value then"),
    Feature("borrow_amount_avg_eth", _BORROW, "ETH", False, "Mean value of a loan; none without loans"),
    Feature("borrow_count", _BORROW, "loans", True, "Times it borrowed"),
    Feature("repay_amount_sum_eth", _REPAY, "ETH", False,
            "All it ever repaid, each at its value then; what liquidators repaid is not counted"),
    Feature("repay_amount_avg_eth", _REPAY, "ETH", False, "Mean value of a repayment; none without repayments"),
    Feature("repay_count", _REPAY, "repayments", True, "Times it repaid"),
    Feature("borrow_repay_diff_eth", _REPAY, "ETH", False, "All it borrowed less all it repaid"),
    Feature("deposit_count", _MOVE, "deposits", True, "Times it put something in"),
    Feature("deposit_amount_sum_eth", _MOVE, "ETH", False, "All it ever put in, each deposit at its value then"),
    Feature("time_since_first_deposit", _MOVE, "s", True, "Since its first deposit; none without one"),
    Feature("withdraw_amount_sum_eth", _MOVE, "ETH", False, "All it ever took out, each withdrawal at its value then"),
    Feature("withdraw_deposit_diff_eth", _MOVE, "ETH", False, "What it took out beyond what it put in; 0 for less"),
    Feature("liquidation_count", _LOST, "liquidations", True, "Times it was liquidated"),
    Feature("time_since_last_liquidated", _LOST, "s", True, "Since it was last liquidated; none where it never was"),
    Feature("liquidation_amount_sum_eth", _LOST, "ETH", False, "Collateral that liquidators took, at its value then"),
    Feature("unique_borrow_protocol_count", _WHERE, "protocols", True, "Protocols it borrowed from, not chains"),
    Feature("unique_lending_protocol_count", _WHERE, "protocols", True, "Protocols it put something into"),
)  # fmt: skip
"""The 26, in the order of the columns."""
NAMES = tuple(feature.name for feature in FEATURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """What wallets had, one row for each wallet and market (and day). Arrays are (m,), in any order.

    wallet: number of the wallet, from 0. collateral, available, borrow: ETH, NaN where the market has no price in
    ether. risk: 1 / health factor, 0 without debt. day: UTC days since 1970; None for the state now.
    Raises `InputError` for arrays of other lengths, negative and infinite values.
    """

    wallet: IntArray
    collateral: FloatArray
    available: FloatArray
    borrow: FloatArray
    risk: FloatArray
    day: IntArray | None = None

    def __post_init__(self) -> None:
        wallet = checked_array("States.wallet", self.wallet, np.int64, (None,))
        object.__setattr__(self, "wallet", wallet)
        for name in ("collateral", "available", "borrow", "risk"):
            object.__setattr__(self, name, _amounts(f"States.{name}", getattr(self, name), len(wallet)))
        if self.day is not None:
            object.__setattr__(self, "day", checked_array("States.day", self.day, np.int64, (len(wallet),)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What wallets did. Arrays are (m,), in any order.

    wallet: number of the owner of the position, from 0. kind: a number of `KINDS`. eth: value at the time, NaN where
    none is known: the event counts, its value is missing from the sums. time: UTC seconds. protocol: a small number.
    further: True for a row that is the second or later collateral of one liquidation; its value is summed, and it is
    not counted again. None: no row is.
    Raises `InputError` for arrays of other lengths, unknown kinds, negative and infinite values.
    """

    wallet: IntArray
    kind: IntArray
    eth: FloatArray
    time: IntArray
    protocol: IntArray
    further: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        wallet = checked_array("Events.wallet", self.wallet, np.int64, (None,))
        object.__setattr__(self, "wallet", wallet)
        object.__setattr__(self, "eth", _amounts("Events.eth", self.eth, len(wallet)))
        for name in ("kind", "time", "protocol"):
            object.__setattr__(self, name, checked_array(f"Events.{name}", getattr(self, name), np.int64, wallet.shape))
        _within("Events.kind", self.kind, len(KINDS))
        _within("Events.protocol", self.protocol, 1_000)
        further = np.zeros(len(wallet), dtype=bool) if self.further is None else self.further
        object.__setattr__(self, "further", checked_array("Events.further", further, np.bool_, wallet.shape))


def features(n_wallets: int, now: States, days: States, events: Events, as_of: int) -> FloatArray:
    """The 26 features of each wallet, (n_wallets, 26), columns as in `FEATURES`; NaN where there is none.

    now: states at `as_of`, one row for each wallet and market. days: the same at the first block of each day, with
    `day`. events: all that happened. as_of: UTC seconds; later days and events are left out, and so are events of less
    than `DUST` ether. A wallet without a row in `now` has NaN as risk factor, collateral and room: not known is not the
    same as nothing. Sums over no events are 0, means over none NaN.

    Time and memory grow linearly with the events, and with rows of `days` that are in order of wallet and day.
    Raises `InputError` for numbers of wallets outside of 0 to n_wallets - 1.
    """
    for label, value, kind in (("now", now, States), ("days", days, States), ("events", events, Events)):
        checked_kind(label, value, kind)
    n, as_of = checked_int("n_wallets", n_wallets, 0), checked_int("as_of", as_of, 0)
    for what, rows in (("now.wallet", now.wallet), ("days.wallet", days.wallet), ("events.wallet", events.wallet)):
        _within(what, rows, n)
    if days.day is None:
        raise InputError("days.day: expected the UTC day of each row, found None")
    out = np.full((n, len(FEATURES)), np.nan)
    column = dict(zip(NAMES, out.T, strict=True))
    column["risk_factor"][:] = _greatest(now.wallet, now.risk, n)
    column["total_collateral_eth"][:] = _sum(now.wallet, now.collateral, n)
    column["total_available_borrows_eth"][:] = _sum(now.wallet, now.available, n)
    _of_days(column, days, days.day, n, as_of // DAY)
    _of_events(column, events, n, as_of)
    return out


def _of_days(column: dict[str, FloatArray], days: States, day: IntArray, n: int, last: int) -> None:
    kept = day <= last
    wallet, day = days.wallet[kept], day[kept]
    if not len(wallet):
        column["risk_factor_above_threshold_daily_count"][:] = 0
        return
    # One number for each wallet and day, so that the markets of a day come together.
    span = int(day.max() - day.min()) + 1
    cell = wallet * span + (day - day.min())
    order = np.argsort(cell, kind="stable")  # linear where rows are in order already
    cell = cell[order]
    start = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
    who, place = wallet[order][start], np.cumsum(np.bincount(start, minlength=len(cell))) - 1
    risk = np.maximum.reduceat(days.risk[kept][order], start)
    collateral, available, borrow = (
        _sum(place, values[kept][order], len(start)) for values in (days.collateral, days.available, days.borrow)
    )
    weighed, debt = _sum(who, risk * borrow, n), _sum(who, borrow, n)
    column["total_collateral_avg_eth"][:] = _mean(who, collateral, n)
    column["total_available_borrows_avg_eth"][:] = _mean(who, available, n)
    column["avg_weighted_risk_factor"][:] = np.divide(weighed, debt, out=np.full(n, np.nan), where=debt > 0)
    column["risk_factor_above_threshold_daily_count"][:] = np.bincount(who[risk > NEAR], minlength=n)
    column["avg_risk_factor"][:] = _mean(who, risk, n)
    column["max_risk_factor"][:] = _greatest(who, risk, n)


def _of_events(column: dict[str, FloatArray], events: Events, n: int, as_of: int) -> None:
    counts = ~(events.eth < DUST) & (events.time <= as_of)  # an unknown value may be more than dust
    rows = {kind: np.flatnonzero(counts & (events.kind == code)) for code, kind in enumerate(KINDS)}
    for kind, mine in rows.items():
        who, eth, first = events.wallet[mine], events.eth[mine], ~events.further[mine]  # type: ignore[index]
        column[f"{kind}_amount_sum_eth"][:] = np.nan_to_num(_sum(who, eth, n))
        if f"{kind}_count" in column:
            column[f"{kind}_count"][:] = np.bincount(who[first], minlength=n)
        if f"{kind}_amount_avg_eth" in column:
            column[f"{kind}_amount_avg_eth"][:] = _mean(who, eth, n)
    put, lost, lent = rows["deposit"], rows["liquidation"], rows["borrow"]
    column["borrow_repay_diff_eth"][:] = column["borrow_amount_sum_eth"] - column["repay_amount_sum_eth"]
    column["withdraw_deposit_diff_eth"][:] = np.maximum(
        column["withdraw_amount_sum_eth"] - column["deposit_amount_sum_eth"], 0.0
    )
    column["time_since_first_deposit"][:] = _greatest(events.wallet[put], (as_of - events.time[put]).astype(float), n)
    last = _greatest(events.wallet[lost], events.time[lost].astype(float), n)
    column["time_since_last_liquidated"][:] = as_of - last
    column["unique_borrow_protocol_count"][:] = n_distinct(events.wallet[lent], events.protocol[lent], n)
    column["unique_lending_protocol_count"][:] = n_distinct(events.wallet[put], events.protocol[put], n)


def _sum(who: IntArray, values: FloatArray, n: int) -> FloatArray:
    """(n,) sums as in SQL: missing values are left out; a sum of missing values only is missing (NaN)."""
    known = ~np.isnan(values)
    total = np.bincount(who[known], weights=values[known], minlength=n)
    return np.where(np.bincount(who[known], minlength=n) > 0, total, np.nan)


def _mean(who: IntArray, values: FloatArray, n: int) -> FloatArray:
    known = ~np.isnan(values)
    count = np.bincount(who[known], minlength=n)
    return np.divide(_sum(who, values, n), count, out=np.full(n, np.nan), where=count > 0)


def _greatest(who: IntArray, values: FloatArray, n: int) -> FloatArray:
    out = np.full(n, np.nan)
    np.fmax.at(out, who, values)
    return out


def n_distinct(who: IntArray, what: IntArray, n: int) -> IntArray:
    """(n,) how many different values of `what`, small numbers, each has."""
    kinds = int(what.max()) + 1 if len(what) else 1
    seen = np.zeros((n, kinds), dtype=bool)
    seen[who, what] = True
    return seen.sum(axis=1)


def _amounts(name: str, values: ArrayLike, length: int) -> FloatArray:
    amount = checked_array(name, values, np.float64, (length,))
    ok = np.isnan(amount) | (np.isfinite(amount) & (amount >= 0))
    require(name, amount, ok, "must be finite and not negative, or NaN where it is not known")
    return amount


def _within(name: str, values: IntArray, n: int) -> None:
    require(name, values, (values >= 0) & (values < n), f"must be in [0, {n})")
