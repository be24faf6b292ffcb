"""One market at one block: build, save, load, identify."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.handed_on import handed_on
from data.snapshot.loading import available, load_market, newest

if TYPE_CHECKING:
    from data.snapshot.saving import save_snapshot

__all__ = ["available", "load_market", "newest", "save_snapshot"]

__getattr__ = handed_on(__name__, {"save_snapshot": "data.snapshot.saving"})
