"""The workbench: how soon it is there, and how soon it answers a handle that moves.

Everything a server does for a browser is measured, so questions are asked as the browser asks them.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dashboard import ids
from dashboard.app import create_app
from dashboard.market.drivers import DRIVERS
from dashboard.market.state import WhatIf
from dashboard.market.warehouse import Warehouse
from tests.benchmarks.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]
ACCOUNTS = 20_000
STARTS = 3
QUESTIONS = 30


def run(table: Table) -> None:
    """Every workbench row."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "risk.sqlite"
        for words in (["data.sample", "--accounts", str(ACCOUNTS)], ["flows", "risk-scenarios", "--paths", "2000"]):
            command = [sys.executable, "-m", *words]
            subprocess.run(
                command, cwd=REPOSITORY, env=os.environ | {"RISK_DB": str(db)}, check=True, stdout=subprocess.DEVNULL
            )
        table.title(f"workbench: {ACCOUNTS:,} accounts, a stored run")
        answers(table, db)
        starts(table, db)


def answers(table: Table, db: Path) -> None:
    """One callback for each place of the handle: the whole request, from JSON to JSON."""
    source = Warehouse(db)
    browser = create_app(source).server.test_client()
    outputs = next(
        entry["output"]
        for entry in browser.get("/_dash-dependencies").json
        if f"{ids.COMPARE}.children" in entry["output"]
    )
    snapshot = source.loaded().market.snapshot.hash
    taken = []
    for i in range(QUESTIONS + 1):
        state = WhatIf(eth=-0.01 * (i + 1), btc=-0.005 * i, vol=1 + 0.01 * i)  # never the same question twice
        body = question(outputs, state, snapshot)
        start = time.perf_counter()
        answer = browser.post("/_dash-update-component", json=body)
        taken.append(1e3 * (time.perf_counter() - start))
        assert answer.status_code == 200, answer.text[:500]
        assert ids.COMPARE in answer.json["response"]
    warm = taken[1:]
    table.add(
        "what_if_callback_ms",
        statistics.median(warm),
        "ms",
        f"a handle moves, whole request; slowest {max(warm):.0f}",
        100,
        True,
    )


def question(outputs: str, state: WhatIf, snapshot: str) -> dict:
    """What the browser sends when a handle moves."""
    single = [ids.COMPARE, ids.PINNED, ids.CHIPS, ids.SWEEP, ids.SOLD, ids.ACCOUNTS, ids.ACCOUNTS_COUNT]
    properties = ["children", "children", "children", "figure", "figure", "children", "children"]
    wanted = [{"id": i, "property": p} for i, p in zip(single, properties, strict=True)]
    captions = [{"id": {"type": "caption", "key": d.key}, "property": "children"} for d in DRIVERS]
    groups = dict.fromkeys(d.group for d in DRIVERS)
    verdict = [{"id": {"type": "verdict", "key": key}, "property": "children"} for key in ("pill", "now")]
    values = [
        [{"id": {"type": "values", "key": name}, "property": of} for name in groups] for of in ("children", "className")
    ]
    legends = [{"id": {"type": "legend", "key": key}, "property": "children"} for key in ("curve", "then", "sold")]
    return {
        "output": outputs,
        "outputs": [*wanted, captions, {"id": ids.QUERY, "property": "data"}, *verdict, *values, legends],
        "inputs": [
            {"id": ids.WHAT_IF, "property": "data", "value": state.to_store()},
            {"id": ids.THEME, "property": "data", "value": "dark"},
            {"id": ids.SAVED, "property": "data", "value": None},
        ],
        "changedPropIds": [f"{ids.WHAT_IF}.data"],
        "state": [{"id": ids.SNAPSHOT, "property": "data", "value": snapshot}],
    }


def starts(table: Table, db: Path) -> None:
    """From the start of the process to an answer of /health, and to the figures of the Overview."""
    with started(db):
        pass  # the kernels' cache and the system's are warm from here on
    health, figures = [], []
    for _ in range(STARTS):
        with started(db) as server:
            health.append(server.health_s)
            figures.append(server.figures_s)
    table.note(f"/health answers after {statistics.median(health):.1f} s")
    table.add(
        "workbench_ready_s", statistics.median(figures), "s", "process start to the figures of the Overview", 5, True
    )


class Started(NamedTuple):
    """A workbench in a process of its own: its address, and the seconds until /health and the Overview answered."""

    url: str
    health_s: float
    figures_s: float


@contextmanager
def started(db: Path) -> Iterator[Started]:
    """A workbench that ends with the block."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    environment = os.environ | {"RISK_DB": str(db), "PORT": str(port)}
    start = time.perf_counter()
    command = [sys.executable, "-m", "dashboard"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/health")
            health = time.perf_counter() - start
            page = ask(f"http://127.0.0.1:{port}")
            figures = time.perf_counter() - start
            assert "Liquidations at risk" in page, page[:500]
            yield Started(f"http://127.0.0.1:{port}", health, figures)
        finally:
            server.terminate()
            server.wait(20)


def wait_for(address: str, patience: float = 60.0) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            urllib.request.urlopen(address, timeout=30).close()
            return
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def ask(url: str) -> str:
    """The content of the Overview, as the browser asks for it."""
    names = [
        (ids.PAGE, "children"),
        (ids.TITLE, "children"),
        (ids.QUESTION, "children"),
        (ids.NAV, "children"),
        (ids.BOTTOM_NAV, "children"),
        (ids.SNAPSHOT, "data"),
    ]
    body = {
        "output": "..{}..".format("...".join(f"{name}.{prop}" for name, prop in names)),
        "outputs": [{"id": name, "property": prop} for name, prop in names],
        "inputs": [{"id": ids.URL, "property": "pathname", "value": "/"}],
        "changedPropIds": [f"{ids.URL}.pathname"],
        "state": [{"id": ids.URL, "property": "search", "value": ""}],
    }
    request = urllib.request.Request(
        f"{url}/_dash-update-component", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()
