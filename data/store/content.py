"""The digest of a row's content: equal for a row that came again, different for a corrected row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any


def digests(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """SHA-256 of each row's values under `names`, plain Python values in that order.

    Missing values (None) are left out, so a table that gains an optional column keeps the digests of its old rows.
    Floats are written with all their digits.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    return column_digests(names, columns)


def column_digests(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[str]:
    """`digests` from whole columns, which is faster for many rows."""
    written = [_written(f"{name}=", values) for name, values in zip(names, columns, strict=True)]
    lines: Iterable[str]
    if any(None in texts for texts in written):
        lines = ("\x1f".join([text for text in row if text is not None]) for row in zip(*written, strict=True))
    else:
        lines = map("\x1f".join, zip(*written, strict=True))
    sha256 = hashlib.sha256
    return [sha256(line.encode()).hexdigest() for line in lines]


def _written(label: str, values: Sequence[Any]) -> list[str | None]:
    """`label` and `repr` of each value; equal values are formatted once where that is quicker."""
    sample = values[:: max(1, len(values) // 512)]
    if 2 * len(set(sample)) < len(sample):
        distinct = set(values)
        if all(type(value) in (str, int) for value in distinct):  # 1, 1.0 and True are the same key
            texts = {value: label + repr(value) for value in distinct}
            return [texts[value] for value in values]
    return [None if value is None else label + repr(value) for value in values]
