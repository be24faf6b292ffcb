"""`aave-history --store` against a node that has lived a recorded life, and what it stored."""

from __future__ import annotations

from pathlib import Path

import data
from data.schemas.tables import tables
from data.store.store import Store
from tests.flows.aave.conftest import SNAPSHOT_TABLES
from tests.flows.running import ran

FIRST = 160
"""First block of the life whose rules the engine knows."""
TRUTH = (165, 191, 245, 298)
"""Blocks from there on at which the contracts' answers were recorded."""


def run(*arguments: str) -> str:
    """`python -m flows aave-history …` in this process; returns its line."""
    return ran("aave-history", "--attempts", "2", *arguments)


def contents(db: Path | None = None) -> dict[str, list[tuple]]:
    """All rows of snapshots, without what tells how and when they arrived."""
    found = {}
    with Store.open(db, readonly=True) as store:
        for name in SNAPSHOT_TABLES:
            columns = ", ".join(tables()[name].content)
            found[name] = store.rows(f"SELECT {columns} FROM {name} ORDER BY {columns}")
    return found


def blocks() -> list[int]:
    """The blocks that are stored."""
    if not data.settings.risk_db().exists():
        return []
    with Store.open(readonly=True) as store:
        return [row[0] for row in store.rows("SELECT block FROM fact_snapshot ORDER BY block")]


def kept() -> Path:
    """The file with the replay."""
    (path,) = data.settings.risk_db().parent.glob("*.replay")
    return path
