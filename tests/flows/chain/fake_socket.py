"""A WebSocket on loopback that announces heads, and does what a real node cannot be made to: lie, repeat, cut, babble.

Written from the same reading of `eth_subscribe` as the client; that a real node speaks so is shown with anvil.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve


class FakeSocket:
    """`with FakeSocket() as socket:` listens at `socket.url`; `announce` and `say` speak to whoever subscribed."""

    def __init__(self) -> None:
        self.refuse = False
        self.subscriptions = 0
        self._open: list[ServerConnection] = []
        self._lock = threading.Lock()
        self._server: Server = serve(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> FakeSocket:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._server.shutdown()

    def _serve(self, connection: ServerConnection) -> None:
        try:
            asked = json.loads(connection.recv())
            assert (asked["method"], asked["params"]) == ("eth_subscribe", ["newHeads"])
            if self.refuse:
                error = {"code": -32601, "message": "notifications not supported"}
                connection.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
            else:
                connection.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "0x1"}))
                with self._lock:
                    self._open.append(connection)
                    self.subscriptions += 1
            while True:
                connection.recv()
        except ConnectionClosed:
            pass

    def announce(self, number: int, block_hash: str = "0x" + "11" * 32) -> None:
        head = {"number": hex(number), "hash": block_hash, "parentHash": "0x" + "22" * 32, "timestamp": "0x0"}
        params = {"subscription": "0x1", "result": head}
        self.say(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))

    def say(self, message: str | bytes) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(ConnectionClosed):  # the other side left
                    connection.send(message)

    def cut(self, half_a_message: bool = False) -> None:
        """End every connection without a farewell, if wanted in the middle of a message of 100 bytes."""
        with self._lock:
            cut, self._open = self._open, []
        for connection in cut:
            if half_a_message:
                connection.socket.sendall(b"\x81\x64" + b'{"jsonrpc": "2.0", "me')
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for something to become true; fails loudly when it does not."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
