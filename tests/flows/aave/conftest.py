"""A node on loopback with recorded answers, and the flow `aave-market` pointed at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import data
from data import marts
from data.store.store import Store
from flows.clients import json_rpc
from tests.flows.aave.fake_node import FakeNode, serving
from tests.flows.aave.life_node import LifeNode
from tests.flows.running import ran

SNAPSHOT_TABLES = (
    "fact_snapshot", "raw_aave_reserves", "raw_aave_emodes", "raw_aave_account_states", "raw_aave_balances",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rpc.time, "sleep", lambda seconds: None)


@pytest.fixture
def node(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    """A healthy node of the recorded market, named in the environment; indirect parameter: its revision."""
    fake = FakeNode(revision=getattr(request, "param", 10))
    with serving(fake) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", fake.provider)
        yield fake


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Iterator[LifeNode]:
    """A node that has all logs of a recorded life, named in the environment."""
    node = LifeNode()
    with serving(node) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
        yield node


def run(*arguments: str) -> str:
    """`python -m flows aave-market …` in this process; returns its line."""
    return ran("aave-market", "--attempts", "3", *arguments)


def stored(sql: str) -> list[tuple]:
    """Rows of the warehouse; `stg_positions` is brought up to date first."""
    with Store.open() as store:
        if "stg_positions" in sql:
            marts.refresh(store, ["stg_positions"])
        return store.rows(sql)


def nothing_is_stored() -> bool:
    """No part of a snapshot is in the warehouse."""
    return (
        not data.settings.risk_db().exists()
        or [stored(f"SELECT count(*) FROM {table}")[0][0] for table in SNAPSHOT_TABLES] == [0] * 5
    )
