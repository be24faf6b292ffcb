"""Answers of two engines to one question: equal, up to the order of rows and the rounding of a sum.

Integers and texts are equal exactly. A sum of doubles depends on the order of its terms, which no engine promises: of
n terms it may be off by n roundings of the largest, so floats are held to a relative 1e-12.
"""

from __future__ import annotations

import math
from decimal import Decimal

TOLERANCE = 1e-12


def difference(expected: list[tuple], found: list[tuple]) -> str | None:
    """The first thing in which two answers differ, None where they are equal."""
    if len(expected) != len(found):
        return f"{len(found)} rows, expected {len(expected)}"
    for one, other in zip(sorted(expected, key=_order), sorted(found, key=_order), strict=True):
        for n, (a, b) in enumerate(zip(one, other, strict=True)):
            if not _equal(a, b):
                return f"column {n}: {b!r}, expected {a!r}, in {other} and {one}"
    return None


def _equal(a: object, b: object) -> bool:
    if isinstance(b, Decimal):  # PostgreSQL sums integers as decimals
        b = int(b) if b == int(b) else float(b)
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        return numbers and (a == b or math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-300))
    return a == b


def _order(row: tuple) -> list[tuple]:
    """Rows in one order whatever the last digits of their floats are."""
    return [
        (0, "")
        if value is None
        else (1, f"{float(value):.9e}")
        if isinstance(value, int | float | Decimal)
        else (2, value)
        for value in row
    ]
