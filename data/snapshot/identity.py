"""The identity of a stored snapshot: of the market that its rows make, or of the rows themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from risk_core.identity import snapshot_hash

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rows_hash", "snapshot_hash"]


def rows_hash(frames: Mapping[str, pd.DataFrame]) -> str:
    """SHA-256 over the rows of a snapshot that the engine cannot build a market from, whatever their order."""
    digest = hashlib.sha256()
    for table, frame in sorted(frames.items()):
        names = sorted(map(str, frame.columns))
        digest.update(repr((table, names)).encode())
        for row in sorted(frame[names].astype("str").itertuples(index=False, name=None)):
            digest.update(repr(row).encode())
    return digest.hexdigest()
