"""A gateway on loopback with a key, named in the environment; nothing waits for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from flows.sources import http_retry, json_rpc
from tests.flows.graph.server import Gateway, Subgraph, serving

PLANTED = "planted-graph-key-0123456789"
"""The key of every gateway here; no message, log, row or parameter may hold it."""


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
