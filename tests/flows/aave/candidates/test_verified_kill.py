"""kill -9 in the middle of a verified read: a process of its own is ended at three points, and the next run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.flows.aave.candidates.conftest import fast, nothing_is_stored, stored
from tests.flows.aave.candidates.server import Gateway
from tests.flows.aave.candidates.test_verified_path import snapshot
from tests.flows.aave.fake_node import FakeNode

COMMAND = [sys.executable, "-m", "flows", "aave-market", "--candidates", "subgraph"]


def killed_at(node: FakeNode, gateway: Gateway, where: str, count: int) -> None:
    """Run the command, and kill it with signal 9 while it waits for the answer to its `count`th request to `where`."""
    reached, asked = threading.Event(), 0

    def hold(*request: object) -> None:
        nonlocal asked
        asked += 1
        if asked == count:
            reached.set()
            process.wait(60)  # the answer never arrives

    process = subprocess.Popen(
        COMMAND,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if where == "node":
        node.before = hold
    else:
        gateway.answer_instead = hold
    try:
        assert reached.wait(60), f"the command never made request {count} to the {where}"
    finally:
        process.kill()
        process.wait()
        node.before = lambda method, params: None
        gateway.answer_instead = lambda request: None


@pytest.mark.slow
@pytest.mark.parametrize(("where", "count"), [("gateway", 9), ("node", 15), ("node", 30)])
def test_after_kill_9_the_next_run_ends_as_an_undisturbed_one(
    node: FakeNode, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, count: int
):
    fast()
    undisturbed = snapshot()
    monkeypatch.setenv("RISK_DB", str(tmp_path / "killed.sqlite"))

    killed_at(node, gateway, where, count)

    assert nothing_is_stored()
    fast()
    assert snapshot() == undisturbed
    assert stored("SELECT count(*) FROM ingest_aave_accounts") == [(0,)]
