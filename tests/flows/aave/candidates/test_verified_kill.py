"""kill -9 in the middle of a verified read: a process of its own is ended at three points, and the next run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.aave.candidates.conftest import fast, nothing_is_stored, stored
from tests.flows.aave.candidates.server import Gateway
from tests.flows.aave.candidates.test_verified_path import snapshot
from tests.flows.aave.fake_node import FakeNode
from tests.flows.aave.killing import killed_at


@pytest.mark.slow
@pytest.mark.parametrize(("where", "count"), [("gateway", 9), ("node", 15), ("node", 30)])
def test_after_kill_9_the_next_run_ends_as_an_undisturbed_one(
    node: FakeNode, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, count: int
):
    fast()
    undisturbed = snapshot()
    monkeypatch.setenv("RISK_DB", str(tmp_path / "killed.sqlite"))

    server, hook = (node, "before") if where == "node" else (gateway, "answer_instead")
    killed_at(server, hook, count, "aave-market", "--candidates", "subgraph")

    assert nothing_is_stored()
    fast()
    assert snapshot() == undisturbed
    assert stored("SELECT count(*) FROM ingest_aave_accounts") == [(0,)]
