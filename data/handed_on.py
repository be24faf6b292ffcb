"""Names that a package takes from a module which is loaded only when one of them is first used.

A reader of stored figures loads `data.store`, `data.results` and others, and must not wait for the library that
validates what is written (pandera with pandas: 0.6 s of processor time), nor load pandas into the workbench.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def handed_on(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of `package`. `names`: module by name."""

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(names[name]), name)

    return find
