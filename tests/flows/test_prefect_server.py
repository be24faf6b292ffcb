"""A real local Prefect server and worker: deployments register, runs are scheduled, one runs to its end, all stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.store.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
PREFECT = Path(sys.executable).with_name("prefect")


@dataclass
class Server:
    """The running `python -m flows.server`, its API address and the environment that its clients need."""

    process: subprocess.Popen[str]
    api: str
    environment: dict[str, str]

    def prefect(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PREFECT, *words],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def post(self, path: str, body: dict) -> object:
        request = urllib.request.Request(
            self.api + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": api,
        "RISK_DB": str(folder / "risk.sqlite"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    log = (folder / "server.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.server", "--port", str(port)],
        cwd=REPOSITORY,
        env=environment,
        text=True,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 120
        while "Prefect is up" not in (folder / "server.log").read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not come up:\n{(folder / 'server.log').read_text()}")
            time.sleep(0.3)
        yield Server(process, api, environment)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(90)
        log.close()


RELAY = """
import pandas as pd
from data.store import Store
from flows.pipeline import recorded
from tests.data.candles import candles

with Store.open() as store, recorded(store, "market-prices", {}) as run:
    run.write("binance", "ETHUSDT", {"raw_binance_klines": candles("ETHUSDT", {0: "2000"})})
with Store.open(readonly=True) as store:
    print(store.rows("SELECT message FROM fact_run ORDER BY started_at DESC, run_id LIMIT 1"))
    print(store.rows("SELECT last_id FROM pipeline_offset WHERE consumer = 'prefect'"))
"""


def relayed(environment: dict[str, str], db: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RELAY],
        cwd=REPOSITORY,
        env=environment | {"RISK_DB": str(db)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.prefect
@pytest.mark.slow
def test_what_the_warehouse_announces_arrives_as_prefect_events(server: Server, tmp_path: Path):
    db = tmp_path / "risk.sqlite"
    assert relayed(server.environment, db).split() == ["[('',)]", "[(1,)]"]

    wanted = {"filter": {"event": {"prefix": ["aave-risk."]}}}
    deadline = time.monotonic() + 30
    while not (found := server.post("/events/filter", wanted)["events"]) and time.monotonic() < deadline:
        time.sleep(0.5)
    (event,) = found
    assert event["event"] == "aave-risk.new_raw_dataset"
    assert event["resource"]["prefect.resource.id"] == "aave-risk.binance"
    assert event["payload"] == {"event_id": 1, "batch": 1, "key": "ETHUSDT", "tables": {"raw_binance_klines": 1}}


@pytest.mark.prefect
def test_without_an_api_nothing_is_lost_and_the_run_says_so(tmp_path: Path):
    environment = dict(os.environ) | {"PREFECT_API_URL": "http://127.0.0.1:1/api", "PREFECT_HOME": str(tmp_path)}
    said = relayed(environment, tmp_path / "risk.sqlite")
    assert "events were not sent to Prefect" in said
    assert "[(0,)]" in said


@pytest.mark.prefect
@pytest.mark.slow
def test_from_make_server_to_a_scheduled_and_a_finished_run(server: Server, sample_file: Path):
    warehouse = Path(shutil.copy(sample_file, server.environment["RISK_DB"]))

    deployed = server.prefect("--no-prompt", "deploy", "--all")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr

    ran = server.prefect("deployment", "run", "daily/daily", "-p", "paths=64", "--watch", "--watch-timeout", "100")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with Store.open(warehouse, readonly=True) as store:
        figures = store.rows("SELECT count(*), min(n_paths), max(n_paths) FROM fact_risk_scenarios")[0]
    assert figures[0] > 0
    assert figures[1:] == (64, 64)

    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    deadline = time.monotonic() + 60
    while server.post("/flow_runs/count", scheduled) == 0 and time.monotonic() < deadline:
        time.sleep(1)
    runs = server.post("/flow_runs/filter", scheduled)
    assert runs, "the deployment registered, but the scheduler made no run of it"
    assert {run["expected_start_time"][11:19] for run in runs} == {"00:00:00"}

    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(90) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(server.api.split(":")[2].split("/")[0]))) != 0


def test_a_taken_port_is_said_so_at_once():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        started = subprocess.run(
            [sys.executable, "-m", "flows.server", "--port", str(port)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert started.returncode == 1
    assert started.stderr.strip() == (
        f"something already listens on 127.0.0.1:{port}; stop it, or take another port: "
        f"python -m flows.server --port {port + 1}"
    )
