"""A checksum of a table's rows that is the same for every engine and every order of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_MODULUS = 2**256


class Checksum:
    """Rows seen so far, and the sum of their digests modulo 2**256.

    The digest of a row is the SHA-256 of its canonical text: Python's `repr` of the tuple of its values in the table's
    column order. That writes integers in decimal, floats with the fewest digits that give back the same double, text in
    quotes with escapes, and a missing value as None, so 1, 1.0 and '1' differ. It is a sum, so that the order does not
    matter and a row that occurs twice does not cancel out, as it would under XOR.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._sum = 0

    def add(self, rows: Iterable[tuple]) -> None:
        """Take in more rows; their order does not matter."""
        sha256, number = hashlib.sha256, int.from_bytes
        n, total = 0, 0
        for row in rows:
            total += number(sha256(repr(row).encode()).digest(), "big")
            n += 1
        self.n_rows += n
        self._sum = (self._sum + total) % _MODULUS

    @property
    def text(self) -> str:
        """64 hexadecimal digits; all 0 without rows."""
        return f"{self._sum:064x}"
