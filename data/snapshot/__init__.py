"""One market at one block: build, save, load, identify."""

from data.snapshot.loading import available, load_market, newest, save_snapshot

__all__ = ["available", "load_market", "newest", "save_snapshot"]
