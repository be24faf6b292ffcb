"""What a WebSocket may send is bounded, and it sends nobody elsewhere."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from flows.clients.new_heads import LONGEST_MESSAGE, NewHeads
from tests.flows.chain.fake_socket import FakeSocket, until


def test_a_message_beyond_the_bound_ends_the_connection_and_a_new_one_is_opened():
    """The text compresses a thousandfold, so the bound is on what it becomes."""
    with FakeSocket() as node, NewHeads(node.url) as heads:
        until(lambda: heads.subscribed)
        node.say('{"junk": "' + "0" * LONGEST_MESSAGE + '"}')
        until(lambda: heads.connections == 2)
        assert "ConnectionClosed" in heads.trouble
        node.announce(7)
        until(lambda: heads.heads == 1)
        assert heads.ignored == 0


def test_a_message_below_the_bound_is_ignored_and_the_connection_stays():
    with FakeSocket() as node, NewHeads(node.url) as heads:
        until(lambda: heads.subscribed)
        node.say('{"junk": "' + "0" * 100_000 + '"}')
        node.announce(8)
        until(lambda: heads.heads == 1)
        assert (heads.connections, heads.ignored) == (1, 1)


def test_a_redirect_is_not_followed():
    with FakeSocket() as elsewhere:

        class Redirects(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(302)
                self.send_header("Location", elsewhere.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Redirects)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with NewHeads(f"ws://127.0.0.1:{server.server_port}/key-that-is-secret") as heads:
                until(lambda: heads.trouble)
                assert "InvalidStatus" in heads.trouble
                assert "secret" not in heads.trouble
                assert not heads.subscribed
            assert elsewhere.subscriptions == 0
        finally:
            server.shutdown()
