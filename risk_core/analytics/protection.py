"""Does a wallet protect itself? A level from four inputs, each of them shown beside it.

No published definition exists: the lending dashboards that show such a score keep its rule on their servers. This one
is ours, every threshold of it is a field of `Rule`, and nothing is hidden in a weight. A wallet is strong where it was
never liquidated and one of three signs holds: much room before it falls, a habit of lowering its risk by itself, or
much going on lately. It is medium with one liquidation in spite of a sign, or with a fair amount of room; else weak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics.wallets import BORROW, DAY, DEPOSIT, DUST, LIQUIDATION, REPAY, WITHDRAW, Events
from risk_core.checks import (
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_kind,
    checked_number,
    frozen,
    require,
)
from risk_core.errors import InputError

LEVELS = ("weak", "medium", "strong", "no debt", "not known")
"""What a wallet can be; `levels` gives the place of one. The last two are no judgement."""
WEAK, MEDIUM, STRONG, NO_DEBT, NOT_KNOWN = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The thresholds. Rooms are fractions: 0.5 is a fall of all its collateral by half.

    strong_room, strong_acts, strong_recent: each from there on is a sign. recent_days: what counts as lately.
    quiet_hours: a repayment or deposit counts as protection where no loan or withdrawal comes within this time; several
    within it are one act. medium_room: room for a medium. most_liquidations: liquidations that a medium may have.
    lookback_days: acts and liquidations before it are forgotten. Raises `InputError`.
    """

    strong_room: float = 0.5
    strong_acts: int = 5
    strong_recent: int = 10
    recent_days: int = 7
    quiet_hours: int = 24
    medium_room: float = 0.3
    most_liquidations: int = 1
    lookback_days: int = 730

    def __post_init__(self) -> None:
        for name in ("strong_room", "medium_room"):
            checked_number(f"Rule.{name}", getattr(self, name), 0.0, 1.0, "a fraction in [0, 1]; 0.5 is 50 %")
        if self.medium_room > self.strong_room:
            raise InputError(
                f"Rule.medium_room: expected at most strong_room, {self.strong_room:g}, found {self.medium_room:g}"
            )
        for name in ("strong_acts", "strong_recent", "recent_days", "quiet_hours", "lookback_days"):
            checked_int(f"Rule.{name}", getattr(self, name), 1, 100_000)
        checked_int("Rule.most_liquidations", self.most_liquidations, 0, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the level rests on. Arrays are (n,), a wallet each.

    room: share of its value that all its collateral may lose, debt held, before it can be liquidated: 1 - risk factor,
    in the market where it is least; 1 without debt, 0 where it can be liquidated now, NaN where its state is not known.
    acts: times it lowered its risk by itself. recent: what it did lately, of any kind but being liquidated.
    liquidations: times it was liquidated.
    """

    room: FloatArray
    acts: IntArray
    recent: IntArray
    liquidations: IntArray

    def __post_init__(self) -> None:
        room = frozen(self, "room", self.room, np.float64, (None,))
        require("Inputs.room", room, ~((room < 0) | (room > 1)), "must be a fraction in [0, 1], or NaN for not known")
        for name in ("acts", "recent", "liquidations"):
            count = frozen(self, name, getattr(self, name), np.int64, room.shape)
            require(f"Inputs.{name}", count, count >= 0, "must be a count, 0 or more")


def inputs(risk: ArrayLike, events: Events, as_of: int, rule: Rule | None = None) -> Inputs:
    """The inputs of n wallets.

    risk: (n,) risk factor of each wallet now, 1 / health factor, 0 without debt, NaN where its state is not known (the
    feature `risk_factor`). events: what each did itself, and its liquidations; those of less than `DUST` ether and
    those after `as_of` (UTC seconds) are left out. An act of protection is a repayment or a deposit of a wallet that
    has borrowed before, after which `quiet_hours` pass without a loan or a withdrawal (one in the same second counts as
    after); acts that follow one another within that time are one. Raises `InputError`.
    """
    rule = Rule() if rule is None else rule
    checked_kind("rule", rule, Rule)
    checked_kind("events", events, Events)
    factor = checked_array("risk", risk, np.float64, (None,))
    require("risk", factor, ~((factor < 0) | np.isinf(factor)), "must be 0 or more, or NaN for one that is not known")
    n, as_of = len(factor), checked_int("as_of", as_of, 0)
    if len(events.wallet) and int(events.wallet.max()) >= n:
        raise InputError(f"events.wallet: expected numbers from 0 to {n - 1}, found {int(events.wallet.max())}")
    kept = ~(events.eth < DUST) & (events.time <= as_of) & ~np.asarray(events.further)
    wallet, kind, time = events.wallet[kept], events.kind[kept], events.time[kept]
    begin = as_of - rule.lookback_days * DAY
    lately = (kind != LIQUIDATION) & (time > as_of - rule.recent_days * DAY)
    lost = (kind == LIQUIDATION) & (time > begin)
    acts = _acts(wallet, kind, time, rule.quiet_hours * 3_600)
    # One whose quiet time has not passed yet may still be followed by a loan.
    acts = acts[(time[acts] > begin) & (time[acts] + rule.quiet_hours * 3_600 <= as_of)]
    return Inputs(
        room=np.clip(1.0 - factor, 0.0, 1.0),
        acts=np.bincount(wallet[acts], minlength=n),
        recent=np.bincount(wallet[lately], minlength=n),
        liquidations=np.bincount(wallet[lost], minlength=n),
    )


def _acts(wallet: IntArray, kind: IntArray, time: IntArray, quiet: int) -> IntArray:
    """Rows at which an act of protection begins."""
    # Wallets one after another on one axis, further apart than any time of quiet.
    span = (int(time.max()) if len(time) else 0) + quiet + 1
    at = wallet * span + time
    risky = np.sort(at[(kind == BORROW) | (kind == WITHDRAW)])
    first_loan = np.full(int(wallet.max()) + 1 if len(wallet) else 0, np.iinfo(np.int64).max)
    np.minimum.at(first_loan, wallet[kind == BORROW], time[kind == BORROW])
    rows = np.flatnonzero(((kind == REPAY) | (kind == DEPOSIT)) & (time > first_loan[wallet]))
    rows = rows[np.argsort(at[rows], kind="stable")]
    following = np.searchsorted(risky, at[rows], side="left")
    coming = np.append(risky, np.iinfo(np.int64).max)[following]
    rows = rows[coming - at[rows] > quiet]
    apart = np.concatenate([[True], np.diff(at[rows]) > quiet]) if len(rows) else np.zeros(0, dtype=bool)
    return rows[apart]


def levels(found: Inputs, rule: Rule | None = None) -> IntArray:
    """(n,) the level of each wallet, a place in `LEVELS`: see the head of this module. Raises `InputError`."""
    rule = Rule() if rule is None else rule
    checked_kind("rule", rule, Rule)
    checked_kind("found", found, Inputs)
    sign = (found.room >= rule.strong_room) | (found.acts >= rule.strong_acts) | (found.recent >= rule.strong_recent)
    fair = (sign | (found.room >= rule.medium_room)) & (found.liquidations <= rule.most_liquidations)
    level = np.where(sign & (found.liquidations == 0), STRONG, np.where(fair, MEDIUM, WEAK))
    level = np.where(found.room == 1.0, NO_DEBT, level)
    return np.where(np.isnan(found.room), NOT_KNOWN, level)
