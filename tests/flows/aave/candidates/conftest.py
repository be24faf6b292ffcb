"""A gateway on loopback with a key, and a node with a recorded market, named in the environment; nothing waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from data import marts
from data.store.store import Store
from flows.clients import http_retry, json_rpc
from tests.flows.aave import fake_node
from tests.flows.aave.candidates.book import indexed
from tests.flows.aave.candidates.server import Gateway, Subgraph, serving
from tests.flows.aave.fake_node import FakeNode
from tests.flows.running import ran

PLANTED = "planted-graph-key-0123456789"
"""The key of every gateway here; no message, log, row or parameter may hold it."""
ID = "SubgraphOfTheRecordedMarket"
TABLES = ("raw_aave_reserves", "raw_aave_emodes", "raw_aave_account_states", "raw_aave_balances")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleeps are listed instead of slept."""
    slept: list[float] = []
    monkeypatch.setattr(http_retry.time, "sleep", slept.append)
    monkeypatch.setattr(json_rpc.time, "sleep", slept.append)
    return slept


@pytest.fixture
def gateway_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Subgraph]], Gateway]]:
    """Start a gateway over subgraphs by id; GRAPH_URL and GRAPH_API_KEY name it."""
    with ExitStack() as stack:

        def start(subgraphs: dict[str, Subgraph]) -> Gateway:
            gateway = Gateway(subgraphs, key=PLANTED)
            monkeypatch.setenv("GRAPH_URL", stack.enter_context(serving(gateway)))
            monkeypatch.setenv("GRAPH_API_KEY", PLANTED)
            return gateway

        yield start


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    """A node with the recorded market, which aggregates fifty calls at a time."""
    fake = FakeNode()
    fake.max_aggregated = 50
    with fake_node.serving(fake) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", fake.provider)
        monkeypatch.setenv("AAVE_SUBGRAPH_ID", ID)
        yield fake


@pytest.fixture
def gateway(node: FakeNode, gateway_of: Callable[[dict[str, Subgraph]], Gateway]) -> Gateway:
    """The official subgraph of that market, as far as the node's newest block."""
    return gateway_of({ID: indexed(node.recorded, node.provider, node.tip, node.time)})


def run(*arguments: str) -> str:
    return ran("aave-market", "--attempts", "2", *arguments)


def fast(*arguments: str) -> str:
    return run("--candidates", "subgraph", *arguments)


def stored(sql: str) -> list[tuple]:
    """Rows of the warehouse; `stg_positions` is brought up to date first."""
    with Store.open() as store:
        if "stg_positions" in sql:
            marts.refresh(store, ["stg_positions"])
        return store.rows(sql)


def nothing_is_stored() -> bool:
    return [stored(f"SELECT count(*) FROM {table}")[0][0] for table in ("fact_snapshot", *TABLES)] == [0] * 5
