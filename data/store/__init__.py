"""The only code that opens SQLite: a file, its layout, and how a batch is checked, written or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.handed_on import handed_on
from data.store.reader import Reader

if TYPE_CHECKING:
    from data.store.store import MANUAL_RUN, Store, WriteReport

__all__ = ["MANUAL_RUN", "Reader", "Store", "WriteReport"]

__getattr__ = handed_on(__name__, dict.fromkeys(("MANUAL_RUN", "Store", "WriteReport"), "data.store.store"))
