"""Readers for the values of options, from a command line and from Prefect; errors say what was expected and found."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any


class Unreadable(ArgumentTypeError, ValueError):
    """A value that cannot be used; the message says what was expected and what was found."""


def block(value: Any) -> str | int:
    """latest, safe, finalized, or a block number. Raises `Unreadable`."""
    if value in ("latest", "safe", "finalized"):
        return value
    try:
        return number(value)
    except Unreadable:
        raise Unreadable(f"expected latest, safe, finalized or a block number, found {value!r:.60}") from None


def number(value: Any) -> int:
    """A whole number from 0 on; 21_400_000 and 21,400,000 are read too. Raises `Unreadable`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    digits = value.replace("_", "").replace(",", "") if isinstance(value, str) else ""
    # Other writing systems have digits too, and int() refuses some of them.
    if not (digits.isascii() and digits.isdecimal()):
        raise Unreadable(f"expected a whole number, found {value!r:.60}")
    try:
        return int(digits)
    except ValueError:  # thousands of digits: Python has a limit of its own
        raise Unreadable(f"expected a whole number, found one of {len(digits):,} digits") from None


def real(value: Any) -> float:
    """A finite number. Raises `Unreadable`."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise Unreadable(f"expected a number, found {value!r:.60}")
    return found


def moment(value: Any) -> int:
    """Seconds UTC of a date such as 2026-03-01, of a date with a time, or seconds as they are. Raises `Unreadable`."""
    try:
        return number(value)
    except Unreadable:
        pass
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Unreadable(f"expected a date such as 2026-03-01 or UTC seconds, found {value!r:.60}") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
