"""The warehouse: one SQLite file, opened by `data.store` only, and the markets and results that it holds.

Submodules are loaded when they are first used, so that a reader never waits for the validation library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from data.handed_on import handed_on

if TYPE_CHECKING:
    from data.snapshot.loading import load_market as load_market

_MODULES = (
    "errors", "lineage", "marts", "prices", "quarantine", "results", "sample", "schemas", "settings", "snapshot",
    "store",
)  # fmt: skip

__all__ = ["load_market", *_MODULES]

_LOAD_MARKET = handed_on(__name__, {"load_market": "data.snapshot.loading"})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"data.{name}")
    return _LOAD_MARKET(name)
