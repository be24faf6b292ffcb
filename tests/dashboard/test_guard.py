"""Names of the server, the origin of a request, the content security policy; and deadlines of a connection."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from dashboard import guard, serving
from dashboard.app import create_app
from dashboard.look.shell import FIRST_SCRIPT
from tests.dashboard.conftest import MemorySource

FOREIGN = (
    "evil.example", "evil.example:8050", "127.0.0.1.evil.example", "localhost.evil.example", "localhost@evil.example",
    "evil.example, 127.0.0.1", "10.0.0.7", "[::ffff:10.0.0.7]", "0.0.0.0", "", "localhost:80:80", "/etc", "127.0.0.1 x",
)  # fmt: skip
OWN = ("127.0.0.1", "127.0.0.1:8050", "localhost", "LOCALHOST:1", "[::1]:8050", "localhost.", "127.8.9.1")
ROUTES = (
    "/", "/what-if", "/health", "/api/v1/summary", "/api/x", "/_dash-layout", "/_dash-dependencies",
    "/assets/workbench.js", "/vendor/bootstrap.min.css", "/nowhere/at/all",
)  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("route", ROUTES)
def test_a_foreign_host_gets_no_answer_on_any_route(source: MemorySource, host: str, route: str) -> None:
    answer = create_app(source).server.test_client().get(route, headers={"Host": host})
    assert answer.status_code == 400
    assert "DASHBOARD_HOSTS" in answer.text
    assert "21400000" not in answer.text


@pytest.mark.parametrize("host", OWN)
def test_every_name_of_the_loopback_is_answered(source: MemorySource, host: str) -> None:
    assert create_app(source).server.test_client().get("/health", headers={"Host": host}).status_code == 200


def test_a_callback_of_dash_is_closed_to_a_foreign_host_and_to_a_foreign_page(source: MemorySource) -> None:
    client = create_app(source).server.test_client()
    ask = {"path": "/_dash-update-component", "json": {}, "base_url": "http://127.0.0.1:8050"}
    assert client.post(**ask, headers={"Host": "evil.example"}).status_code == 400
    assert client.post(**ask, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post(**ask, headers={"Origin": "null"}).status_code == 403
    assert client.get("/health", base_url="http://127.0.0.1:8050", headers={"Origin": "http://127.0.0.1:8050"}).json


def test_names_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_HOSTS", "Risk.example.org, desk")
    monkeypatch.setenv("HOST", "0.0.0.0")
    names = guard.Names.of_environment()
    assert all(map(names.known, ("risk.example.org", "desk:8050", "10.0.0.7:8050", "[fe80::1]", "localhost")))
    assert not any(map(names.known, ("evil.example", "example.org", "x.risk.example.org")))
    monkeypatch.setenv("HOST", "127.0.0.1")
    assert not guard.Names.of_environment().known("10.0.0.7")
    monkeypatch.setenv("DASHBOARD_HOSTS", "http://risk.example.org/")
    with pytest.raises(ValueError, match=r"DASHBOARD_HOSTS=http://risk\.example\.org/: expected names"):
        guard.Names.of_environment()


@pytest.mark.parametrize(
    ("host", "is_open"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("::", True), ("10.0.0.7", True)],
)
def test_an_open_server_says_so_in_one_line(host: str, is_open: bool) -> None:
    notice = serving.open_notice(host, 8050)
    assert bool(notice) == is_open
    assert "\n" not in notice
    assert (f"HOST={host}" in notice) == is_open


def test_no_script_runs_that_is_neither_a_file_of_ours_nor_named_by_its_hash(source: MemorySource) -> None:
    answer = create_app(source).server.test_client().get("/")
    rules = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    inline = re.findall(r"<script(?![^>]*src=)([^>]*)>(.*?)</script>", answer.text, re.DOTALL)
    run = [body for attributes, body in inline if "application/json" not in attributes]

    assert "unsafe" not in rules["script-src"]
    assert FIRST_SCRIPT in run
    assert all(guard.script_hash(body) in rules["script-src"] for body in run)
    assert rules["object-src"] == "'none'"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, source: MemorySource) -> Iterator[tuple[serving.Server, int]]:
    """A server whose deadline is short, so that a test can wait for it."""
    monkeypatch.setattr(serving, "REQUEST_SECONDS", 0.5)
    sock = serving.open_socket("127.0.0.1", 0)
    server = serving.Server(create_app(source).server, sock)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            server.asyncore.loop(timeout=0.05, map=server._map, use_poll=True, count=1)

    thread = threading.Thread(target=run)
    thread.start()
    yield server, sock.getsockname()[1]
    stop.set()
    thread.join(10)
    server.task_dispatcher.shutdown()
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    server.close()


def health(port: int) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/health")
        return connection.getresponse().status


@pytest.mark.parametrize(
    "start", [b"GET /health HTTP/1.1\r\nHost: 127", b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\na"]
)
def test_a_request_that_drips_is_closed_at_its_deadline(quick: tuple[serving.Server, int], start: bytes) -> None:
    """Headers or body: a byte now and then keeps no connection open."""
    _, port = quick
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.settimeout(0.1)
        slow.sendall(start)
        end = time.monotonic() + 20
        closed = False
        while not closed and time.monotonic() < end:
            try:
                slow.send(b"a" if b"POST" not in start else b"")
                closed = slow.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
    assert closed


def test_hundreds_of_dripping_connections_do_not_stop_the_server(quick: tuple[serving.Server, int]) -> None:
    server, port = quick
    with contextlib.ExitStack() as stack:
        for _ in range(serving.CONNECTIONS + 50):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"G")
        assert health(port) == 200
        assert len(server.active_channels) <= serving.CONNECTIONS + 1


def test_a_whole_request_on_a_kept_connection_has_no_deadline(quick: tuple[serving.Server, int]) -> None:
    _, port = quick
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        for _ in range(3):
            connection.request("GET", "/health")
            assert connection.getresponse().read()
            time.sleep(0.6)  # longer than the deadline of a request
