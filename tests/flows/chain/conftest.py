"""The flow `chain-activity` against a chain on loopback."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_httpserver import HTTPServer

from tests.flows.chain.fake_chain import FakeChain
from tests.flows.running import ran


@pytest.fixture
def chain(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> FakeChain:
    """A chain of 40 blocks with three transfers each; ETH_RPC_URL leads to it."""
    made = FakeChain(httpserver, 40)
    monkeypatch.setenv("ETH_RPC_URL", made.url)
    return made


@pytest.fixture
def backfill() -> Callable[..., str]:
    """`python -m flows chain-activity` in this process, small requests, two tries; returns its line."""

    def run(start: int, end: int | str, *arguments: str) -> str:
        words = ["--start-block", str(start), "--end-block", str(end), "--network", "31337", "--attempts", "2",
                 "--blocks-per-request", "4", "--threads", "3", *arguments]  # fmt: skip
        return ran("chain-activity", *words)

    return run
