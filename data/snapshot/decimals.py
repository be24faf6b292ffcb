"""Decimal integers by the column, exactly: texts to pairs of 64-bit integers, and pairs to amounts in tokens.

`data.amounts` computes each amount in Python integers and rounds it once. Here the same is done for whole columns: in
double-double arithmetic (pairs of floats, some 106 bits) with a bound on its error, and again in integers for the few
rows where the bound leaves more than one answer. So every amount has the bits that `data.amounts` gives.

Products and sums without error: T. J. Dekker, "A floating-point technique for extending the available precision",
Numerische Mathematik 18 (1971), 224-242.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk_core.units import RAY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DIGITS = 18
"""Digits of each half of a `Wide`."""
_HALF = 10**DIGITS
MOST = 1 << 22
"""Values that `sums` can add up."""
_LARGEST = 2.0**100
"""Values from here on are computed in integers: a pair of floats might not hold them."""
_RELATIVE = 2.0**-99
"""Bound on the relative error of a product of two pairs; four roundings of 2**-104 each are possible."""
_ABSOLUTE = 2.0**-50
"""Bound on the error of the distance to the next integer, beside that of the product."""
_EXACT_UNIT = 10**22
"""Largest power of ten that a float holds exactly."""


@dataclass(frozen=True, slots=True)
class Wide:
    """Integers of up to 36 digits: `high` * 10**18 + `low`, each half from 0 to 10**18 - 1."""

    high: Ints
    low: Ints

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, rows: NDArray) -> Wide:
        return Wide(self.high[rows], self.low[rows])

    def ints(self) -> list[int]:
        """The values as Python integers."""
        return [high * _HALF + low for high, low in zip(self.high.tolist(), self.low.tolist(), strict=True)]


def small(text: str, n: int) -> Ints | None:
    """`n` integers of at most 18 digits, from their digits with commas between them; None for any other text."""
    if n == 0:
        return np.empty(0, dtype=np.int64) if text == "" else None
    places = _places(text, n)
    if places is None:
        return None
    raw, begins, ends = places
    if (ends - begins).max() > DIGITS:
        return None
    return np.fromstring(raw.tobytes(), sep=",", dtype=np.int64)


def wide(text: str, n: int) -> Wide | None:
    """`n` integers of at most 36 digits, from their digits with commas between them; None for any other text."""
    if n == 0:
        return Wide(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)) if text == "" else None
    places = _places(text, n)
    if places is None:
        return None
    raw, begins, ends = places
    length = ends - begins
    if length.max() > 2 * DIGITS:
        return None
    # A comma before the last 18 digits parts a number in two; a number without more digits gets "0," before it.
    short = length <= DIGITS
    where = np.where(short, begins, ends - DIGITS)
    both = np.insert(raw, np.concatenate([where[short], where]), np.uint8(ord(",")))
    shift = np.cumsum(short) + np.arange(n)
    zero = (begins + shift - 1)[short]
    both[zero] = ord("0")
    halves = np.fromstring(both.tobytes(), sep=",", dtype=np.int64)
    return Wide(halves[0::2], halves[1::2])


def _places(text: str, n: int) -> tuple[NDArray[np.uint8], Ints, Ints] | None:
    """The bytes of `text`, and where each of its `n` numbers begins and ends; None where it is not `n` numbers."""
    if not text.isascii():
        return None
    content = text.encode("ascii")
    if content.translate(None, b"0123456789,"):
        return None
    raw = np.frombuffer(content, dtype=np.uint8)
    commas = np.flatnonzero(raw == ord(","))
    if len(commas) != n - 1:
        return None
    begins = np.concatenate([[0], commas + 1])
    ends = np.concatenate([commas, [len(raw)]])
    return (raw, begins, ends) if (ends > begins).all() else None


def tokens(scaled: Wide, index: Ints, by_index: Sequence[tuple[int, int]], *, up: bool) -> Floats:
    """Amounts in tokens of scaled balances, each correctly rounded: `scaled * rate / RAY` in units, over the unit.

    `by_index[index[i]]` is (rate in ray, units of one token) of row i. The units are rounded up with `up`, else down,
    as `data.amounts.Terms.owed` and `supplied` do.
    """
    found = np.zeros(len(scaled))
    held = np.flatnonzero((scaled.high != 0) | (scaled.low != 0))
    some, what = scaled[held], index[held]
    rates, units = [rate for rate, _ in by_index], [unit for _, unit in by_index]
    with np.errstate(over="ignore", invalid="ignore"):  # such rows are computed in integers below
        amount, doubtful = _in_pairs(some, what, rates, units, up)
    found[held] = amount
    rows = np.flatnonzero(doubtful)
    for place, value in zip(rows.tolist(), some[rows].ints(), strict=True):
        rate, unit = by_index[what[place]]
        product = value * rate
        found[held[place]] = (-(-product // RAY) if up else product // RAY) / unit
    return found


def sums(values: Wide, group: Ints, n: int) -> list[int]:
    """Exact sum of the values of each of `n` groups. At most `MOST` values, so that no sum of a part is rounded."""
    if len(values) > MOST:
        raise ValueError(f"sums: expected at most {MOST:,} values, found {len(values):,}")
    parts = [
        np.bincount(group, part.astype(np.float64), n)  # parts of 30 bits: sums below 2**53
        for half in (values.high, values.low)
        for part in (half >> 30, half & (1 << 30) - 1)
    ]
    return [
        ((int(a) << 30) + int(b)) * _HALF + (int(c) << 30) + int(d)
        for a, b, c, d in zip(*(part.tolist() for part in parts), strict=True)
    ]


def _in_pairs(
    scaled: Wide, what: Ints, rates: Sequence[int], units: Sequence[int], up: bool
) -> tuple[Floats, NDArray[np.bool_]]:
    """(amounts, whether the error leaves another answer than that)."""
    ratios = [Fraction(rate, RAY) for rate in rates]
    rate_high = [float(ratio) for ratio in ratios]
    rate_low = [float(ratio - Fraction(high)) for ratio, high in zip(ratios, rate_high, strict=True)]
    high, low = _as_pair(scaled)
    doubtful = high >= _LARGEST

    whole = np.array([rate == RAY for rate in rates])[what]  # the product is the balance itself
    factor = np.array(rate_high)[what]
    product, rest = _product(high, factor)
    product, rest = _sum(product, rest + (high * np.array(rate_low)[what] + low * factor))
    near = np.rint(product)
    beyond = (product - near) + rest
    close = np.abs(beyond - np.rint(beyond)) <= product * _RELATIVE + _ABSOLUTE
    doubtful |= (close & ~whole) | (product >= _LARGEST)
    step = np.ceil(beyond) if up else np.floor(beyond)
    near, step = np.where(whole, high, near), np.where(whole, low, step)
    near, step = _sum(near, step)

    inexact = np.array([unit > _EXACT_UNIT for unit in units])[what]
    unit = np.array([float(unit) for unit in units])[what]
    quotient = near / unit
    back, error = _product(quotient, unit)
    more = (((near - back) - error) + step) / unit  # the remainder of a division is exact
    amount, left = _sum(quotient, more)
    # Another float is nearer only where the rest is as large as half a step to the next float, above or (where the
    # exponent changes) below.
    gap, tolerance = np.spacing(amount), np.abs(more) * 2.0**-48
    at_edge = (np.abs(np.abs(left) - gap / 2) <= tolerance) | (np.abs(np.abs(left) - gap / 4) <= tolerance)
    return amount, doubtful | inexact | (at_edge & (more != 0))


def _as_pair(scaled: Wide) -> tuple[Floats, Floats]:
    """The values as sums of two floats; exact below `_LARGEST`."""
    high, high_rest = _parted(scaled.high)
    low, low_rest = _parted(scaled.low)
    total, rest = _product(high, np.float64(_HALF))
    total, carry = _sum(total, low)
    return _sum(total, (rest + high_rest * float(_HALF)) + (carry + low_rest))


def _parted(values: Ints) -> tuple[Floats, Floats]:
    """Integers up to 10**18 as a float and the rest, exactly."""
    near = values.astype(np.float64)
    return near, (values - near.astype(np.int64)).astype(np.float64)


def _sum(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """The rounded sum and its error (Knuth)."""
    total = one + other
    part = total - one
    return total, (one - (total - part)) + (other - part)


def _product(one: Floats, other: Floats | np.float64) -> tuple[Floats, Floats]:
    """The rounded product and its error (Dekker)."""
    total = one * other
    (a, b), (c, d) = _halves(one), _halves(other)
    return total, ((a * c - total) + a * d + b * c) + b * d


def _halves(value: Any) -> tuple[Any, Any]:
    """A float as the sum of two of at most 26 bits each."""
    moved = value * 134_217_729.0
    high = moved - (moved - value)
    return high, value - high
