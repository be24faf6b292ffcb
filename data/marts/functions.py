"""Functions that the SQL of this folder calls and SQLite does not have: exact decimals, and bits of 256-bit numbers."""

from __future__ import annotations

import sqlite3


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to a connection. Each gives NULL for NULL, and fails on text that is not a number.

    `to_real(text)`: the double nearest to a decimal text; CAST is sometimes wrong in the last digit. `has_bit(text,
    n)`: 1 where bit n of an unsigned integer of any length is set, else 0.
    """
    connection.create_function("to_real", 1, _to_real, deterministic=True)
    connection.create_function("has_bit", 2, _has_bit, deterministic=True)


def _to_real(text: str | None) -> float | None:
    return None if text is None else float(text)


def _has_bit(text: str | None, bit: int) -> int | None:
    return None if text is None else int(text) >> bit & 1
