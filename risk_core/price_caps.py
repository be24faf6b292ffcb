"""The cap of a staked token's ratio, in the contract's integers: what it allows, when it binds, what an update may say.

Rules of `PriceCapAdapterBase` (bgd-labs/aave-capo): the oracle's price is base x min(ratio, largest ratio), and the
largest ratio grows linearly from a snapshot. Ratios are integers in the ratio's own decimals, times UTC epoch seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from risk_core.checks import checked_int, checked_number

YEAR = 365 * 86_400
SCALE = 10**6
"""An adapter stores the growth in one second with six more decimals than the ratio."""
LONGEST_TERM = 180 * 86_400
"""MAXIMUM_SNAPSHOT_TERM (line 40): a snapshot older than this is refused, in seconds."""
LOOK_AHEAD = 100 * YEAR
"""How far it is looked for the time at which a cap binds, in seconds."""
MOST_RATIO = 2**104 - 1
"""Largest snapshot ratio that fits the contract's uint104."""
MOST_GROWTH = 2**16 - 1
"""Largest yearly growth that fits the contract's uint16, in basis points."""


def largest_ratio(snapshot_ratio: int, snapshot_timestamp: int, max_yearly_growth_bps: int, at: int) -> int:
    """Largest ratio that a ratio cap allows at time `at`, in the ratio's units, with the contract's rounding.

    snapshot + floor(g x seconds / 1e6), g = floor(floor(snapshot x bps x 1e6 / 1e4) / (365 days)) (lines 184 to 190 and
    216 to 223).

    >>> largest_ratio(1_191_900_000_000_000_000, 0, 968, 7 * 86_400)
    1194112688876712328
    """
    return snapshot_ratio + _growth_scaled(snapshot_ratio, max_yearly_growth_bps) * (at - snapshot_timestamp) // SCALE


def _growth_scaled(snapshot_ratio: int, max_yearly_growth_bps: int) -> int:
    return snapshot_ratio * max_yearly_growth_bps * SCALE // 10_000 // YEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class CapTerms:
    """The parameters of a ratio's cap, as `setCapParameters` takes them.

    snapshot_ratio: in the ratio's own decimals. snapshot_timestamp: UTC seconds. max_yearly_growth_bps: basis points of
    the snapshot ratio a year, 968 is 9.68 %. Raises `InputError` for what the contract's types cannot hold.
    """

    snapshot_ratio: int
    snapshot_timestamp: int
    max_yearly_growth_bps: int

    def __post_init__(self) -> None:
        for name, most in (
            ("snapshot_ratio", MOST_RATIO),
            ("snapshot_timestamp", 2**48 - 1),
            ("max_yearly_growth_bps", MOST_GROWTH),
        ):
            object.__setattr__(self, name, checked_int(f"CapTerms.{name}", getattr(self, name), 0, most))

    @property
    def growth_scaled(self) -> int:
        """Growth in one second, in 1e-6 of the ratio's unit."""
        return _growth_scaled(self.snapshot_ratio, self.max_yearly_growth_bps)

    def largest_ratio(self, at: int) -> int:
        """The largest ratio that is let through at time `at`."""
        return largest_ratio(self.snapshot_ratio, self.snapshot_timestamp, self.max_yearly_growth_bps, at)

    def binds_from(self, ratio: int, at: int, yearly_growth: float = 0.0) -> int | None:
        """First second from `at` on at which a ratio is above the cap; None, not within `LOOK_AHEAD`.

        ratio: at time `at`; it grows by `yearly_growth` (0.03 is 3 % of `ratio` a year) in a straight line, as the cap
        does. The cap binds where the ratio is larger, not where both are equal (lines 205 to 213). Raises `InputError`.
        """
        checked_int("ratio", ratio, 1, MOST_RATIO)
        pace = checked_number("yearly_growth", yearly_growth, -1.0, 1e6, "a fraction a year, above -1")

        def above(seconds: int) -> bool:
            return ratio + math.floor(ratio * pace * (seconds / YEAR)) > self.largest_ratio(at + seconds)

        if above(0):
            return at
        if ratio * pace / YEAR <= self.growth_scaled / SCALE:
            return None
        low, high = 0, LOOK_AHEAD
        if not above(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if above(middle) else (middle, high)
        return at + high


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateLimits:
    """What an update must keep besides the adapter's own rules.

    minimum_delay: MINIMUM_SNAPSHOT_DELAY of the adapter, seconds that a snapshot must be old; None, not known.
    most_rise, within: a risk steward may raise the snapshot ratio by at most this share in this many seconds (3 % in
    three days as published for the steward of March 2026); None, no such limit.
    """

    minimum_delay: int | None = None
    most_rise: float | None = 0.03
    within: int = 3 * 86_400

    def __post_init__(self) -> None:
        if self.minimum_delay is not None:
            checked_int("UpdateLimits.minimum_delay", self.minimum_delay, 0)
        if self.most_rise is not None:
            checked_number("UpdateLimits.most_rise", self.most_rise, 0.0, 1e6, "a share, 0.03 is 3 %")
        checked_int("UpdateLimits.within", self.within, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapUpdate:
    """An update of a cap before it is made.

    largest_before: None where the present terms are not known. `broken`: each rule that refuses the update, in words;
    empty, it would be accepted. `ratio_seen`: what the oracle would use. `move`: change of the oracle's price at once,
    relative to its price without a cap where the present terms are not known. `binds_from`: when the cap begins to
    hold the price down; `at` if at once, None for never at the growth that was given.
    """

    at: int
    ratio: int
    proposed: CapTerms
    present: CapTerms | None
    largest_before: int | None
    largest_after: int
    ratio_seen: int
    move: float
    binds_from: int | None
    broken: tuple[str, ...]

    @property
    def binds(self) -> bool:
        """Whether the new cap holds the price down at once."""
        return self.ratio > self.largest_after

    @property
    def headroom(self) -> float:
        """How far the ratio may rise before the new cap binds, relative to it; negative where it binds at once."""
        return self.largest_after / self.ratio - 1.0


def check_update(
    proposed: CapTerms,
    ratio: int,
    at: int,
    present: CapTerms | None = None,
    yearly_growth: float = 0.0,
    limits: UpdateLimits | None = None,
) -> CapUpdate:
    """Will an update of a cap bind, by how much, from when, and would the contracts accept it?

    ratio: what the ratio's provider says at time `at`, in its own decimals. present: the terms in force. The rules:
    the snapshot ratio is not 0, its time is later than the stored one, at least `minimum_delay` and at most 180 days
    old (`PriceCapAdapterBase`, lines 164 to 177); and the steward's limit. Raises `InputError` for arguments that are
    no ratio or time.
    """
    checked_int("ratio", ratio, 1, MOST_RATIO)
    checked_int("at", at, 0)
    limits = limits or UpdateLimits()
    age = at - proposed.snapshot_timestamp
    broken = []
    if proposed.snapshot_ratio == 0:
        broken.append("the snapshot ratio is 0")
    if present is not None and proposed.snapshot_timestamp <= present.snapshot_timestamp:
        broken.append(
            f"its time {proposed.snapshot_timestamp} is not later than the stored {present.snapshot_timestamp}"
        )
    if age < (limits.minimum_delay or 0):
        least = limits.minimum_delay or 0
        broken.append(f"its time is {age:,} s old, the adapter wants at least {least:,} s")
    if age > LONGEST_TERM:
        broken.append(f"its time is {age // 86_400:,} days old, the adapter wants at most {LONGEST_TERM // 86_400}")
    if present is not None and limits.most_rise is not None:
        # As the decimal that was written: 1.03 times a ratio is no float.
        most = present.snapshot_ratio * (1 + Fraction(str(limits.most_rise)))
        if proposed.snapshot_ratio > most:
            rise = proposed.snapshot_ratio / present.snapshot_ratio - 1.0 if present.snapshot_ratio else math.inf
            broken.append(
                f"it raises the snapshot ratio by {rise:.4%}, a steward may by {limits.most_rise:.2%} in "
                f"{limits.within / 86_400:g} days"
            )
    before = None if present is None else present.largest_ratio(at)
    after = proposed.largest_ratio(at)
    seen = min(ratio, after)
    seen_now = ratio if before is None else min(ratio, before)
    return CapUpdate(
        at=at, ratio=ratio, proposed=proposed, present=present, largest_before=before, largest_after=after,
        ratio_seen=seen, move=seen / seen_now - 1.0, binds_from=proposed.binds_from(ratio, at, yearly_growth),
        broken=tuple(broken),
    )  # fmt: skip
