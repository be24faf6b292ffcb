"""Every client has an end: bytes after decompression, time for a whole request, no redirect."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from flows.clients.graphql import GraphQL
from flows.clients.http_retry import JsonSource
from flows.clients.json_rpc import JsonRpc
from flows.errors import FlowError, MalformedAnswer, SourceRefused, SourceUnavailable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


@contextmanager
def serving(*pieces: bytes, endless: bytes = b"", pause: float = 0.0) -> Iterator[str]:
    """A server that sends `pieces`, then `endless` again and again with a pause between, to everybody who comes."""
    ending = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(line: socket.socket) -> None:
        with line:
            try:
                line.recv(65536)
                for piece in pieces:
                    line.sendall(piece)
                while endless and not ending.wait(pause):
                    line.sendall(endless)
            except OSError:
                return

    def run() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(line,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ending.set()
        listener.close()


def rpc(url: str) -> object:
    return JsonRpc(url, attempts=1, timeout=0.3, largest=1_000_000, sleep=lambda s: None).call("eth_chainId")


def host(url: str) -> object:
    source = JsonSource("a host", url, variable="X_URL", attempts=1, timeout=0.3, largest=1_000_000)
    return source.get("/path", {})


def graph(url: str) -> object:
    return GraphQL("a graph", url, variable="X_URL", attempts=1, timeout=0.3).ask("{ a }")


CLIENTS = pytest.mark.parametrize("ask", [rpc, host, graph])


@CLIENTS
@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", HEAD + b"\r\n", HEAD + b"Content-Length: 99\r\n\r\n"]
)
def test_a_drip_does_not_hold_a_request(ask: Callable[[str], object], start: bytes):
    with serving(start, endless=b" ", pause=0.05) as url, pytest.raises((SourceUnavailable, MalformedAnswer)):
        ask(url)


@pytest.mark.parametrize("ask", [rpc, host])
def test_a_body_without_end_is_not_read_to_the_end(ask: Callable[[str], object]):
    with serving(HEAD + b"\r\n", endless=b" " * 65536) as url, pytest.raises(FlowError, match="more than 1,000,000"):
        ask(url)


@pytest.mark.parametrize("ask", [rpc, host])
def test_bytes_are_counted_after_decompression(ask: Callable[[str], object]):
    body = gzip.compress(b" " * 50_000_000)
    assert len(body) < 1_000_000
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(head, body) as url, pytest.raises(FlowError, match="more than 1,000,000"):
        ask(url)


@CLIENTS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(ask: Callable[[str], object], status: int):
    body = b'{"jsonrpc":"2.0","id":0,"result":"0x1","data":{"a":1}}'
    with serving(HEAD + b"Content-Length: %d\r\n\r\n" % len(body), body) as elsewhere:
        head = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere}/SECRETKEY\r\nContent-Length: 0\r\n\r\n"
        with serving(head.encode()) as url, pytest.raises(SourceRefused, match="redirect") as refusal:
            ask(url)
    assert "SECRETKEY" not in str(refusal.value)
