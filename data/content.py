"""What a row says, as a digest: equal for a row that came again, different for one that was corrected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any


def digests(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """SHA-256 of each row's values under `names`, plain Python values in that order.

    A value that is missing (None) has no part in it, so a table that gains an optional column keeps the digests of
    its old rows. Floats enter with every digit they have.
    """
    sha256 = hashlib.sha256
    labels = [f"{name}=" for name in names]
    return [
        sha256(
            "\x1f".join(
                [label + repr(value) for label, value in zip(labels, row, strict=True) if value is not None]
            ).encode()
        ).hexdigest()
        for row in rows
    ]
