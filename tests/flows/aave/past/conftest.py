"""`aave-history --store` against a node that has lived a recorded life, and what it stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import data
from data.schemas.tables import tables
from data.store.store import Store
from flows import registry
from tests.flows.aave.conftest import SNAPSHOT_TABLES
from tests.flows.aave.fake_node import serving
from tests.flows.aave.life_node import LifeNode

FIRST = 160
"""First block of the life whose rules the engine knows."""
TRUTH = (165, 191, 245, 298)
"""Blocks from there on at which the contracts' answers were recorded."""


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Iterator[LifeNode]:
    node = LifeNode()
    with serving(node) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
        yield node


def run(*arguments: str) -> str:
    """`python -m flows aave-history …` in this process; returns its line."""
    spec = registry.load("aave-history")
    return spec.run(registry.parser(spec).parse_args(["--attempts", "2", *arguments]))


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
