"""A node on loopback in front of another one, that knows all logs and headers and the state of the last blocks alone.

Like a node that prunes: it refuses, in geth's words, what needs the state of an older block, and notes that it was
asked.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KEPT = 128
"""The states of this many blocks are known: the newest block's, and those of the ones before it."""
NEED_STATE = {
    "eth_call": 1, "eth_estimateGas": 1, "eth_getBalance": 1, "eth_getCode": 1, "eth_getTransactionCount": 1,
    "eth_getStorageAt": 2, "eth_getProof": 2,
}  # fmt: skip
"""Method -> the place of its block among the parameters."""
NEED_NONE = frozenset(
    {"eth_blockNumber", "eth_chainId", "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getLogs", "net_version",
     "web3_clientVersion"}
)  # fmt: skip


class ForgetfulNode:
    """`url` answers like the node at `of`. `refused`: (method, block) of each request for a state that is forgotten."""

    def __init__(self, of: str) -> None:
        self._of = urlsplit(of).netloc
        self.refused: list[tuple[str, str]] = []
        self.asked = 0
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[ForgetfulNode]:
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = node._answer(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _answer(self, body: Any) -> bytes:
        requests = body if isinstance(body, list) else [body]
        self.asked += len(requests)
        tip = int(json.loads(self._forward(_request("eth_blockNumber")))["result"], 16)
        errors = [self._error(request["method"], request.get("params", []), tip) for request in requests]
        if not any(errors):
            return self._forward(body)
        answers = [
            {"jsonrpc": "2.0", "id": request["id"], "error": error} if error else json.loads(self._forward(request))
            for request, error in zip(requests, errors, strict=True)
        ]
        return json.dumps(answers if isinstance(body, list) else answers[0]).encode()

    def _error(self, method: str, params: list[Any], tip: int) -> dict[str, Any] | None:
        if method in NEED_NONE:
            return None
        if method not in NEED_STATE:
            return {"code": -32601, "message": f"the method {method} does not exist/is not available"}
        at = NEED_STATE[method]
        block = params[at] if at < len(params) else "latest"
        if isinstance(block, str) and block.startswith("0x") and int(block, 16) > tip - KEPT:
            return None
        if block in ("latest", "pending"):
            return None
        self.refused.append((method, str(block)))
        return {"code": -32000, "message": "missing trie node (path ) state is not available, not found"}

    def _forward(self, body: Any) -> bytes:
        connection = http.client.HTTPConnection(self._of, timeout=60)
        try:
            connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()


def _request(method: str, *params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
