"""How numbers, times and words are written on screen: pure functions from values to text.

Money has three or four digits, and an amount above zero is never shown as 0; a health factor is never rounded
up across 1; differences carry a true minus sign. Spaces inside a figure are no-break spaces.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

MINUS = "\u2212"
NARROW_SPACE = "\u202f"
"""Narrow no-break space: between a figure and its per-cent sign."""
NO_BREAK = "\u00a0"
PLUS_MINUS = "±"
MISSING = "–"

_SCALES = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _scaled(value: float) -> tuple[float, str]:
    """Pick the unit so that rounding never yields 1,000 of it: 999.96M is written as 1.00B."""
    size = abs(value)
    for scale, suffix in _SCALES:
        # Below a billion one decimal is shown, below a million none: round up to the next unit just before "1,000".
        if size >= scale * (0.99995 if suffix == "B" else 0.9995):
            return scale, suffix
    return 1.0, ""


def _digits(amount: float, suffix: str) -> int:
    """Decimals that give three or four digits; thousands and dollars are whole."""
    if suffix in ("k", ""):
        return 0
    return 2 if amount < 9.995 else 1


def money(value: float | None) -> str:
    """US dollars with three to four digits.

    >>> money(118_640_000), money(1_240_000_000), money(23_400), money(0)
    ('$118.6M', '$1.24B', '$23k', '$0')
    >>> money(0.3)
    '< $1'
    """
    if value is None or not math.isfinite(value):
        return MISSING
    sign = MINUS if value < 0 else ""
    size = abs(value)
    if 0 < size <= 0.5:
        return "< $1" if not sign else f"> {MINUS}$1"
    scale, suffix = _scaled(size)
    amount = size / scale
    return f"{sign}${amount:,.{_digits(amount, suffix)}f}{suffix}"


def money_full(value: float | None) -> str:
    """US dollars to the dollar, for hovers and exports: `$118,640,123`."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{MINUS if value < 0 else ''}${abs(value):,.0f}"


def money_change(value: float) -> str:
    """A difference in dollars, always signed: `+$6.20M`, `−$48.0M`."""
    if value == 0:
        return "$0"
    text = money(abs(value))
    return ("+" if value > 0 else MINUS) + text


def money_error(value: float, half_width: float) -> str:
    r"""The ± part of a figure, in the figure's own unit without `$`, two digits at most.

    >>> money_error(118.6e6, 4.1e6)
    '±\xa04.1M'
    """
    if not (math.isfinite(value) and math.isfinite(half_width)):
        return ""
    scale, suffix = _scaled(value if value else half_width)
    amount = abs(half_width) / scale
    decimals = 0 if amount >= 9.95 else 1 if amount >= 0.995 else 2
    if amount and round(amount, decimals) == 0:
        return f"{PLUS_MINUS}{NO_BREAK}< 0.01{suffix}"
    return f"{PLUS_MINUS}{NO_BREAK}{amount:,.{decimals}f}{suffix}"


def money_range(low: float, high: float) -> str:
    """A skewed interval: `$171M to $214M`."""
    return f"{money(low)} to {money(high)}"


def money_between(value: float, low: float, high: float) -> str:
    """A skewed interval in the unit of its figure, three digits at most: `79.5 to 142` of `$89.0M`.

    >>> money_between(89.0e6, 79.5e6, 142.1e6)
    '79.5 to 142'
    """
    scale, _ = _scaled(value if value else high)
    texts = [f"{end / scale:,.0f}" if abs(end) >= 99.95 * scale else f"{end / scale:.3g}" for end in (low, high)]
    return f"{texts[0]} to {texts[1]}"


def share(value: float | None, digits: int = 1) -> str:
    """A share of one as per cent: `84.5 %`; something smaller than can be shown is `< 0.1 %`, not `0.0 %`."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value) * 100
    least = 10.0**-digits
    if 0 < size < least / 2:
        return f"< {least:.{digits}f}{NARROW_SPACE}%"
    text = f"{size:.{digits}f}"
    sign = MINUS if value < 0 and float(text) else ""
    return f"{sign}{text}{NARROW_SPACE}%"


def move(value: float) -> str:
    """A relative price move, whole per cent unless it is small: `−18 %`, `−2.5 %`, `0 %`."""
    size = abs(value) * 100
    text = f"{size:.0f}" if math.isclose(size, round(size), abs_tol=0.049) else f"{size:.1f}"
    if float(text) == 0:
        return f"0{NARROW_SPACE}%"
    return f"{MINUS if value < 0 else '+'}{text}{NARROW_SPACE}%"


def multiple(value: float, digits: int = 2) -> str:
    """A ratio: `1.50 ×`."""
    return f"{value:.{digits}f}{NO_BREAK}×"


def count(value: float) -> str:
    """A count with thousands separators: `41,206`."""
    return f"{value:,.0f}".replace("-", MINUS)


def some(n: float, noun: str) -> str:
    """A number of things: `1 account`, `12 accounts`."""
    return f"{count(n)} {noun}{'s' if n != 1 else ''}"


def paths_carry(n: float) -> str:
    """How many paths a figure rests on, in words.

    >>> paths_carry(1), paths_carry(12)
    ('1 path carries', '12 paths carry')
    """
    return f"{count(n)} path{' carries' if n == 1 else 's carry'}"


def health_factor(value: float | None, digits: int = 2) -> str:
    """A health factor, rounded down below 1 so that an account in danger never looks safe.

    >>> health_factor(0.9999), health_factor(1.044), health_factor(float("inf"))
    ('0.99', '1.04', '∞ (no debt)')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞ (no debt)"
    if value < 1:
        scale = 10**digits
        # The 1e-9 keeps 0.29 from becoming 0.28 (binary fractions); the cap keeps it from ever reaching 1.
        return f"{min(math.floor(value * scale + 1e-9), scale - 1) / scale:.{digits}f}"
    return f"{value:.{digits}f}"


def short_hash(text: str, head: int = 4, tail: int = 4) -> str:
    """An address or a hash, shortened: `0x7b…c41d`, `9f3c…a1e0`."""
    prefix = 2 if text.startswith("0x") else 0
    if len(text) <= prefix + head + tail:
        return text
    return f"{text[: prefix + (2 if prefix else head)]}…{text[-tail:]}"


def utc(seconds: float) -> str:
    """UTC epoch seconds as `22 Aug 2026, 00:00 UTC`, independent of the machine's locale."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M} UTC"


def age(seconds: float) -> str:
    """How long ago, in a unit that keeps the number readable: `42 s`, `26 min`, `3 h`, `12 days`."""
    if seconds < 0:
        return "in the future"
    for limit, size, unit in ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f}{NO_BREAK}{unit} ago"
    return f"{count(seconds / 86_400)}{NO_BREAK}days ago"


def hours(value: float) -> str:
    """A horizon: `24 h`, `7 d`."""
    return f"{value / 24:g}{NO_BREAK}d" if value > 48 and value % 24 == 0 else f"{value:g}{NO_BREAK}h"
