"""A TCP proxy on loopback that cuts its connection when the test says so, if wanted in the middle of a message."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class CuttingProxy:
    """`with CuttingProxy(8545) as proxy:` forwards `proxy.port` to 8545 of this machine, one connection at a time."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._answers = 0
        self._lock = threading.Lock()
        self._in_the_middle = False
        self.cuts = 0

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    @property
    def subscribed(self) -> bool:
        """Whether a connection has had an answer to its opening and one to what it asked for."""
        return bool(self._pairs) and self._answers >= 2

    def cut(self) -> None:
        """End the connection now, without a farewell."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.cuts += 1
            _end(*pair)

    def cut_in_the_middle(self) -> None:
        """Let half of the next message from the other side pass, then cut."""
        self._in_the_middle = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._pairs, self._answers = [(near, far)], 0
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        with suppress(OSError):
            while some := source.recv(65_536):
                if back and self._in_the_middle:
                    self._in_the_middle = False
                    sink.sendall(some[: len(some) // 2])
                    self.cut()
                    return
                sink.sendall(some)
                self._answers += back
        with self._lock:
            self._pairs = [pair for pair in self._pairs if source not in pair]
        _end(source, sink)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
