"""The one door to SQLite: a file, its layout, and how a batch is judged, written or refused."""

from data.store.store import MANUAL_RUN, Store, WriteReport

__all__ = ["MANUAL_RUN", "Store", "WriteReport"]
