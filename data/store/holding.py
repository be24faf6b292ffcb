"""SQL for the rows of a table with validity that hold at a block; a module of its own, so that it imports nothing."""

from __future__ import annotations

HOLDS = "market = ?1 AND valid_from <= ?2 AND (valid_to IS NULL OR valid_to > ?2)"
"""The rows of market ?1 that hold at block ?2."""
