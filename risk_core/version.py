"""The version that every result carries."""

from __future__ import annotations

__version__ = "0.1.0"

ENGINE = 1
"""Raised whenever the same inputs may give other bits; tests/unit/test_engine_version.py compares a digest for each."""


def code_version() -> str:
    """Package version and engine number: results with the same one are comparable bit for bit."""
    return f"{__version__}+engine.{ENGINE}"
