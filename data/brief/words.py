"""Numbers of a brief as plain text, the same in a terminal, on a page and in an artifact."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def usd(value: float) -> str:
    """US dollars with three to four digits: 118.6M USD, 23k USD, 0 USD."""
    size = abs(value)
    for scale, suffix, digits in ((1e9, "B", 2), (1e6, "M", 1), (1e3, "k", 0)):
        if size >= scale * 0.9995:
            return f"{value / scale:,.{digits}f}{suffix} USD"
    return f"{value:,.0f} USD"


def share(value: float, digits: int = 1) -> str:
    """A share of one as per cent; a value that would round to 0 is written as below the smallest digit."""
    least = 10.0**-digits
    if 0 < abs(value) * 100 < least / 2:
        return f"< {least:.{digits}f} %"
    return f"{value * 100:.{digits}f} %"


def count(value: float, one: str, many: str = "") -> str:
    """A count with its noun: 1 account, 1,204 accounts."""
    return f"{value:,.0f} {one if value == 1 else many or one + 's'}"


def utc(seconds: float) -> str:
    """UTC epoch seconds as 2026-08-22 00:00 UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def relative(now: float, before: float) -> float:
    """Relative change: inf from nothing to something, 0 from nothing to nothing."""
    if before:
        return now / before - 1
    return math.inf if now else 0.0


def moved(now: float, before: float) -> str:
    """How a number moved: up 4.0 %, down 4.0 %, unchanged, up from nothing."""
    by = relative(now, before)
    if abs(by) < 5e-4:
        return "unchanged"
    if not math.isfinite(by):
        return "up from nothing"
    return f"{'up' if by > 0 else 'down'} {abs(by) * 100:.1f} %"


def apart(low: float, high: float, other_low: float, other_high: float) -> bool:
    """Whether two intervals do not overlap."""
    return low > other_high or other_low > high
