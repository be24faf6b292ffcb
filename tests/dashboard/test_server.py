"""The server: addresses, health, errors as JSON, nothing from another host; and the command that starts it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import dashboard.__main__ as command
from dashboard import ids
from dashboard.app import create_app
from dashboard.look.shell import Page
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages import PAGES
from dashboard.pages.what_if import outlook, simulation
from dashboard.pages.what_if import page as what_if
from tests.dashboard.conftest import MemorySource, words

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(source: MemorySource) -> FlaskClient:
    return create_app(source).server.test_client()


def test_health_answers(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "market": "SampleAaveV3Ethereum", "block": 21_400_000}


def test_health_answers_without_a_warehouse(empty_source: MemorySource) -> None:
    answer = create_app(empty_source).server.test_client().get("/health")
    assert (answer.status_code, answer.json["block"]) == (200, None)


def test_the_summary_is_served_and_says_503_without_data(client: FlaskClient, empty_source: MemorySource) -> None:
    assert client.get("/api/v1/summary").json["run"]["seed"] == 7
    missing = create_app(empty_source).server.test_client().get("/api/v1/summary")
    assert missing.status_code == 503
    assert missing.json["command"] == "python -m data.sample"


@pytest.mark.parametrize("path", ["/api/v1/typo", "/api/x/y", "/api/v1/summary/more"])
def test_an_unknown_api_address_is_a_json_404(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json["error"] == "not found"


def test_the_page_asks_no_other_host(client: FlaskClient) -> None:
    page = client.get("/").text
    for url in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert not re.match(r"(https?:)?//", url), url
    assert "default-src 'self'" in client.get("/").headers["Content-Security-Policy"]


def test_bootstrap_comes_from_its_package_before_our_own_sheets(client: FlaskClient) -> None:
    page = client.get("/").text
    assert page.index("/vendor/bootstrap.min.css") < page.index("10-tokens.css") < page.index("30-dash.css")
    assert b"Bootstrap" in client.get("/vendor/bootstrap.min.css").data[:200]


def test_every_callback_is_registered_once(source: MemorySource) -> None:
    layout = create_app(source).server.test_client().get("/_dash-dependencies").json
    outputs = [entry["output"] for entry in layout]
    assert len(outputs) == len(set(outputs))
    assert any("what-if.data" in output for output in outputs)


def test_a_callback_without_its_snapshot_says_so_and_keeps_the_page(empty_source: MemorySource) -> None:
    client = create_app(empty_source).server.test_client()
    question = {
        "output": "overview-debt.figure",
        "outputs": {"id": "overview-debt", "property": "figure"},
        "inputs": [{"id": "theme", "property": "data", "value": "dark"}],
        "state": [
            {"id": "snapshot", "property": "data", "value": "0" * 64},
            {"id": "url", "property": "search", "value": ""},
        ],
        "changedPropIds": ["theme.data"],
    }
    answer = client.post("/_dash-update-component", json=question)

    assert answer.status_code == 200
    assert "No snapshot yet" in json.dumps(answer.json["sideUpdate"]["banner"])
    assert "overview-debt" not in answer.json.get("response", {})


def test_a_warehouse_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    empty = Warehouse(tmp_path / "none.sqlite")
    assert empty.status().block is None
    with pytest.raises(Unavailable, match="No snapshot yet"):
        empty.loaded()


@pytest.mark.parametrize("text", ["http", "0", "70000", "-1"])
def test_a_port_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, text: str
) -> None:
    monkeypatch.setenv("PORT", text)
    assert command.main() == 2
    assert f"PORT={text}: expected a number from 1 to 65535" in capsys.readouterr().err


def test_a_port_in_use_is_said_with_another(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))

        assert command.main() == 1

    said = capsys.readouterr().err
    assert f"Cannot listen on 127.0.0.1:{port}" in said
    assert f"PORT={port + 1}" in said


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_the_command_serves_and_says_where(tmp_path: Path) -> None:
    port = free_port()
    settings = {"PORT": str(port), "RISK_DB": str(tmp_path / "none.sqlite"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "dashboard"],
        cwd=REPOSITORY,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().strip() == f"Workbench on http://127.0.0.1:{port}"
            assert fetch(f"http://127.0.0.1:{port}/health")["status"] == "ok"
        finally:
            server.terminate()
            server.wait(20)


def fetch(url: str, patience: float = 20.0) -> dict:
    end = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def ids_of(component: object) -> Iterator[object]:
    """Every id in a tree of components, pattern-matching ones by their kind."""
    if isinstance(component, list | tuple):
        for part in component:
            yield from ids_of(part)
    elif hasattr(component, "to_plotly_json"):
        own = getattr(component, "id", None)
        if own is not None:
            yield own["type"] if isinstance(own, dict) else own
        yield from ids_of(getattr(component, "children", None))
        yield from ids_of(getattr(component, "title", None))  # of an accordion's item: parts, not words


def test_dash_checks_every_callback_and_each_names_what_a_page_has(source: MemorySource) -> None:
    app = create_app(source)
    assert app.config.suppress_callback_exceptions is False
    known = set(ids_of(app.validation_layout)) | {"chip", "forget", "drop"}  # made by a callback
    asked = app.server.test_client().get("/_dash-dependencies", base_url="http://127.0.0.1").json
    for callback in asked:
        for part in [*callback["inputs"], *callback["state"]]:
            name = json.loads(part["id"])["type"] if part["id"].startswith("{") else part["id"]
            assert name in known, part
        for output in callback["output"].strip(".").split("..."):
            name = output.rsplit(".", 1)[0]
            name = json.loads(name)["type"] if name.startswith("{") else name
            assert name in known, output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
def test_an_outline_holds_every_id_of_the_page_with_data(source: MemorySource, fitted: Path, page: Page) -> None:
    known = [name if isinstance(name, tuple) else (name,) for name in vars(ids).values()]
    named = {name for names in known for name in names if isinstance(name, str)}
    shown = Warehouse(fitted) if page.path in ("/clusters", "/chain", "/forecasts", "/liquidity") else source
    built = {i for i in ids_of(page.build(shown, "")) if i in named}
    assert built or page.path == "/about"
    assert built <= set(ids_of(page.outline()))


def test_simulations_that_never_end_hold_neither_an_exact_answer_nor_health(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve readers ask for a simulation that does not end: each is told at once how many come first."""
    let_go, asked_while_held = threading.Event(), []

    def never(*_: object, **__: object) -> None:
        assert let_go.wait(60)
        raise RuntimeError("let go")

    monkeypatch.setattr(outlook, "simulate", never)
    client = create_app(source).server.test_client()
    dependencies = client.get("/_dash-dependencies").json
    callback = next(c for c in dependencies if "simulation-clock.disabled" in c["output"])
    names = [name.rsplit(".", 1) for name in callback["output"][2:-2].split("...")]
    outputs = [{"id": name, "property": prop} for name, prop in names]
    try:
        for n in range(12):
            values = {"settled": {"eth": -n}, "simulation-clock": 0, "reader": f"reader {n}"}
            question = {
                "output": callback["output"],
                "outputs": outputs,
                "inputs": [part | {"value": values.get(part["id"])} for part in callback["inputs"]],
                "state": [part | {"value": values.get(part["id"])} for part in callback["state"]],
                "changedPropIds": ["settled.data"],
            }
            answer = client.post("/_dash-update-component", json=question)
            asked_while_held.append(answer.json["response"]["simulation-queue"]["children"])
            assert client.get("/health").status_code == 200
        assert not let_go.is_set()
        assert words(what_if.answer_to(source, {"eth": -20}, "dark", None)[0])
    finally:
        let_go.set()
    assert asked_while_held[-1] == "Waiting: 11 simulations before this one"


def test_a_first_answer_waits_for_no_other_for_long(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one reader's handle is answered, another's is told nothing new; then it is answered as well."""
    begun, let_go = threading.Event(), threading.Event()
    first = outlook.first

    def slow(*given: object, **more: object) -> outlook.Simulation:
        begun.set()
        assert let_go.wait(60)
        return first(*given, **more)

    monkeypatch.setattr(outlook, "first", slow)
    monkeypatch.setattr(simulation, "PATIENCE", 0.05)
    server = create_app(source).server

    def post(eth: int) -> Any:
        question = {
            "output": "first-answer.data",
            "outputs": {"id": "first-answer", "property": "data"},
            "inputs": [
                {"id": "what-if", "property": "data", "value": {"eth": eth}},
                {"id": "theme", "property": "data", "value": "dark"},
            ],
            "state": [
                {"id": "snapshot", "property": "data", "value": None},
                {"id": "reader", "property": "data", "value": f"reader {eth}"},
            ],
            "changedPropIds": ["what-if.data"],
        }
        return server.test_client().post("/_dash-update-component", json=question)

    held: list[Any] = []
    reader = threading.Thread(target=lambda: held.append(post(-10)))
    reader.start()
    try:
        assert begun.wait(30)
        told = post(-20)
        assert told.status_code == 204 or not told.json["response"], told.text[:300]
    finally:
        let_go.set()
        reader.join(30)
    assert held[0].json["response"]["first-answer"]["data"]["asked"] == {"eth": -10}
    assert post(-20).json["response"]["first-answer"]["data"]["asked"] == {"eth": -20}
