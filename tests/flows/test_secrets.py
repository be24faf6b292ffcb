"""Planted secrets stay unseen: whatever a server does with them, nothing that we say, log, raise or store has them.

The servers repeat path, query and headers of each request in every kind of answer, as careless gateways do.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from flows import redaction, registry, settings
from flows.__main__ import main
from tests.conftest import REPOSITORY
from tests.flows.running import ran

LOGIN = "PLANTEDuser:PLANTEDpassword"
SECRETS = {
    "path": "PLANTED-path-4f9a0c",
    "query": "PLANTEDquery77",
    "name": "PLANTEDuser",
    "password": "PLANTEDpassword",
    "key": "PLANTEDgraphkey0123456789",
    "basic": base64.b64encode(LOGIN.encode()).decode(),
}
WORDS = {
    "market-prices": ["--symbols", "ETHUSDT", "--days", "1"],
    "aave-market": ["--attempts", "2", "--block", "7"],
    "chain-activity": ["--attempts", "2", "--start-block", "7"],
}
"""Parameters without which a flow would stop before it asks anybody."""


def address(host: str) -> str:
    return f"http://{LOGIN}@{host}/v2/{SECRETS['path']}?apikey={SECRETS['query']}"


def planted(text: str) -> list[str]:
    """Secrets that `text` shows, whole or in part."""
    return [name for name, secret in SECRETS.items() if secret in text] + re.findall("PLANTED.{0,20}", text)


def echo(request: Request) -> str:
    return f"no: {request.url} {request.full_path} {dict(request.headers)}"


def rpc_error(request: Request, code: int) -> Response:
    asked = request.get_json(silent=True)
    error = {"code": code, "message": f"revert {echo(request)}", "data": echo(request)}
    if isinstance(asked, list):
        return Response(json.dumps([{"jsonrpc": "2.0", "id": one["id"], "error": error} for one in asked]))
    return Response(json.dumps({"jsonrpc": "2.0", "id": 0, "error": error, "errors": [{"message": echo(request)}]}))


ANSWERS: dict[str, Callable[[Request], Response]] = {
    "500": lambda request: Response(echo(request), 500),
    "403": lambda request: Response(echo(request), 403),
    "401 in JSON": lambda request: Response(json.dumps({"error": echo(request)}), 401),
    "404 in JSON": lambda request: Response(json.dumps({"msg": echo(request), "code": -1}), 404),
    "429": lambda request: Response(echo(request), 429, {"Retry-After": "86400"}),
    "html": lambda request: Response(f"<html>{echo(request)}</html>", 200),
    "rpc revert": lambda request: rpc_error(request, 3),
    "rpc busy": lambda request: rpc_error(request, -32005),
    "rpc unknown": lambda request: rpc_error(request, -32601),
    "a text": lambda request: Response(json.dumps(echo(request))),
    "a result": lambda request: Response(json.dumps({"jsonrpc": "2.0", "id": 0, "result": echo(request)})),
    "redirect without end": lambda request: Response("", 302, {"Location": request.url}),
    "header that is none": lambda request: Response(echo(request), 200, {"Content-Encoding": "gzip"}),
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.clients import http_retry, json_rpc

    monkeypatch.setattr(http_retry, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(http_retry, "PAUSE_WITHOUT_ADVICE", 0.0)
    monkeypatch.setattr(json_rpc.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(logging.getLogger("werkzeug"), "disabled", True)  # the server's own log


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Point every address of `.env.example` at `host`, with secrets in it; the node's by a file."""

    def at(host: str) -> None:
        listed = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
        for name in re.findall(r"^#?([A-Z_]+_URL)=", listed, re.MULTILINE):
            monkeypatch.setenv(name, address(host))
        monkeypatch.delenv("ETH_RPC_URL")
        (tmp_path / "node").write_text(address(host) + "\n")
        monkeypatch.setenv("ETH_RPC_URL_FILE", str(tmp_path / "node"))
        monkeypatch.setenv("GRAPH_API_KEY", SECRETS["key"])

    return at


def run_all(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, db: Path) -> dict[str, str]:
    """Run every flow as a user does, with tracebacks; what was said, logged and stored, by flow."""
    said = {}
    for name in registry.available():
        caplog.clear()
        # SystemExit: a parameter that this test does not know.
        with caplog.at_level(logging.DEBUG), suppress(SystemExit):
            assert main([name, "--verbose", *WORDS.get(name, [])]) == 1, f"{name} was expected to fail"
        out, err = capfd.readouterr()
        said[name] = out + err + caplog.text + "".join(map(repr, caplog.records))
    files = {path.name: path.read_bytes().decode("latin-1") for path in db.parent.glob(f"{db.name}*")}
    return said | files


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_flow_shows_or_stores_a_secret_that_a_server_repeats(
    answer, httpserver: HTTPServer, plant, capfd, caplog, own_warehouse
):
    httpserver.expect_request(re.compile(".*")).respond_with_handler(ANSWERS[answer])
    plant(httpserver.url_for("").removeprefix("http://").rstrip("/"))

    seen = run_all(capfd, caplog, own_warehouse)

    assert httpserver.log, "nobody was asked"
    assert {name: planted(text) for name, text in seen.items() if planted(text)} == {}


@pytest.fixture
def broken_server() -> Iterator[str]:
    """A server that sends half a header line and hangs up, or hangs up at once."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        turn = 0
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            turn += 1
            with connection:
                request = connection.recv(65_536)
                if turn % 3 == 0:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n" + request[:200] + b"\r\n\r\n{")
                elif turn % 3 == 1:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{" + request[:100])

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    listening.close()


@pytest.mark.parametrize("host", ["broken", "127.0.0.1:1", "127.0.0.1:notaport"])
def test_no_flow_shows_a_secret_when_nobody_answers(host, broken_server, plant, capfd, caplog, own_warehouse):
    plant(broken_server if host == "broken" else host)

    seen = run_all(capfd, caplog, own_warehouse)

    assert {name: planted(text) for name, text in seen.items() if planted(text)} == {}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("answer", ["500", "404 in JSON", "html", "redirect without end", "nobody"])
def test_what_a_flow_raises_has_no_secret_in_any_of_its_causes(answer, httpserver: HTTPServer, plant):
    httpserver.expect_request(re.compile(".*")).respond_with_handler(ANSWERS.get(answer, ANSWERS["500"]))
    plant("127.0.0.1:1" if answer == "nobody" else httpserver.url_for("").removeprefix("http://").rstrip("/"))
    for name, words in WORDS.items():
        with pytest.raises(Exception) as raised:
            ran(name, *words)
        errors = list(chain(raised.value))
        assert not planted(" ".join(f"{error} {error!r}" for error in errors))


def test_run_parameters_are_stored_without_secrets(plant, store_of_run):
    plant("127.0.0.1:1")
    url = settings.require("ETH_RPC_URL", "a node")

    params, message = store_of_run({"node": url, "nested": [{"u": url}], "block": 7}, f"cannot reach {url}")

    assert not planted(params + message)
    assert json.loads(params)["block"] == 7


@pytest.fixture
def store_of_run(own_warehouse):
    from data.store.store import Store
    from flows.pipeline import recorded

    def run(params: dict, message: str) -> tuple[str, str]:
        with Store.open() as store:
            with pytest.raises(RuntimeError), recorded(store, "test", params):
                raise RuntimeError(message)
            return store.rows("SELECT params, message FROM fact_run")[0]

    return run


def test_a_secret_file_that_cannot_be_read_shows_nothing_of_it(monkeypatch, tmp_path):
    (tmp_path / "key").write_bytes(b"PLANTED\xff\xfe")
    monkeypatch.setenv("GRAPH_API_KEY_FILE", str(tmp_path / "key"))

    with pytest.raises(Exception, match="GRAPH_API_KEY_FILE: cannot read") as raised:
        settings.get("GRAPH_API_KEY")

    assert not planted(" ".join(map(repr, chain(raised.value))))


def test_words_of_an_address_that_are_no_secret_stay(monkeypatch):
    monkeypatch.setenv("ETH_RPC_URL", "https://eth.node.example/v3/0123456789abcdef")
    settings.get("ETH_RPC_URL")

    assert redaction.hidden("node at https://eth.node.example, v3 0123456789abcdef 01234567…") == (
        "node at https://eth.node.example, v3 … ……"
    )
    assert redaction.hidden("0123 is a number") == "0123 is a number"


STEERING = "\x1b[2J\x9b31m\u202eUSDC\u2066"


@pytest.mark.parametrize("answer", ["rpc revert", "a text", "403", "404 in JSON"])
def test_a_node_steers_no_terminal(answer, httpserver: HTTPServer, plant, monkeypatch, capfd, caplog, own_warehouse):
    monkeypatch.setitem(globals(), "echo", lambda request: f"no {STEERING}")
    httpserver.expect_request(re.compile(".*")).respond_with_handler(ANSWERS[answer])
    plant(httpserver.url_for("").removeprefix("http://").rstrip("/"))

    said = run_all(capfd, caplog, own_warehouse)

    stored = {name for name in said if name.startswith(own_warehouse.name)}
    assert httpserver.log
    assert [name for name in said if name not in stored and set(said[name]) & set("\x1b\x9b\u202e\u2066")] == []
