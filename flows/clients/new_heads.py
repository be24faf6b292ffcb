"""Announcements of blocks over a WebSocket (`eth_subscribe newHeads`), received by a thread of its own.

An announcement is only a hint that there may be a new block; nothing of it is stored. A node may announce a block
wrongly, twice or not at all, and a connection may break in the middle of a message. The reader of the hints asks for
the blocks by number, so a wrong announcement costs no more than a useless request.

After every end of the connection (closed, cut, silent for too long, no answer to a ping) it is opened again, at once
and then with growing pauses. That counts as a hint, too: blocks may have been missed meanwhile.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
from websockets.sync.client import ClientConnection, connect

from flows.errors import ConfigurationError
from flows.settings import redacted

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a connection is opened again; doubled while that fails."""
LONGEST_MESSAGE = 4 * 2**20
"""Bytes; a header has less than a thousandth."""
ANSWER_WITHIN = 10.0
"""Seconds for opening, and for the answer to the subscription."""


class _NotSubscribed(Exception):
    """The node refused the subscription, or did not answer it."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A head as the node announced it; unchecked."""

    number: int
    hash: str


class NewHeads:
    """`with NewHeads(url) as heads:` then `heads.wait(seconds)` and `heads.take()`.

    `silence`: seconds without an announcement after which the connection is considered dead, even if pings are
    answered.
    """

    def __init__(self, url: str, *, silence: float = 60.0) -> None:
        if not url.startswith(("ws://", "wss://")):
            raise ConfigurationError("ETH_WS_URL: expected an address like wss://host, found one with another scheme")
        self._url, self._silence = url, silence
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._ending = threading.Event()
        self._newest: Announced | None = None
        self._connection: ClientConnection | None = None
        self._thread = threading.Thread(target=self._run, name="new-heads", daemon=True)
        self.subscribed = False
        """Whether announcements can be expected now."""
        self.connections = 0
        """Subscriptions so far."""
        self.heads = 0
        """Announcements so far, repetitions included."""
        self.ignored = 0
        """Messages that were no announcement."""
        self.trouble = ""
        """Why the last connection ended or could not be opened."""

    def __str__(self) -> str:
        return f"the subscription at {redacted(self._url)}"

    def __enter__(self) -> NewHeads:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._news.set()
        with self._lock:
            if self._connection is not None:
                # Without a closing handshake: the other side may no longer answer.
                with suppress(OSError):
                    self._connection.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=2.0)

    def wait(self, seconds: float) -> bool:
        """Sleep until there is a hint; true when there is one."""
        return self._news.wait(max(seconds, 0.0))

    def take(self) -> Announced | None:
        """The newest announcement since the last call, None where there was none. Clears the hint."""
        with self._lock:
            self._news.clear()
            newest, self._newest = self._newest, None
        return newest

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            heads = self.heads
            try:
                self._listen()
            except (WebSocketException, OSError, TimeoutError, EOFError, _NotSubscribed, ValueError) as exc:
                # Names only: the text may hold the whole address.
                self.trouble = str(exc) if isinstance(exc, _NotSubscribed) else type(exc).__name__
                if isinstance(exc, InvalidStatus | InvalidURI):
                    self.trouble += ": is ETH_WS_URL right, and its key?"
            self.subscribed = False
            self._news.set()
            pause = FIRST_PAUSE if self.heads > heads else min(2 * pause, LONGEST_PAUSE)
            self._ending.wait(pause * random.uniform(0.5, 1.0))

    def _listen(self) -> None:
        """One connection, from its opening to its end, which is always an exception."""
        with connect(
            self._url,
            open_timeout=ANSWER_WITHIN,
            close_timeout=0.2,
            max_size=LONGEST_MESSAGE,
            ping_interval=15,
            ping_timeout=15,
        ) as connection:
            with self._lock:
                self._connection = connection
            if self._ending.is_set():
                return
            try:
                connection.send(
                    json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
                )
                # A fixed time, not counted from the last message: other messages must not prolong it.
                until = time.monotonic() + ANSWER_WITHIN
                while not self.subscribed:
                    self._heard(connection.recv(timeout=max(until - time.monotonic(), 0.0)))
                heads, until = self.heads, time.monotonic() + self._silence
                while True:
                    self._heard(connection.recv(timeout=max(until - time.monotonic(), 0.0)))
                    if self.heads > heads:
                        heads, until = self.heads, time.monotonic() + self._silence
            except TimeoutError:
                raise _NotSubscribed(
                    f"nothing was heard for {self._silence:g} s"
                    if self.subscribed
                    else "the subscription was not answered"
                ) from None
            finally:
                with self._lock:
                    self._connection = None

    def _heard(self, message: str | bytes) -> None:
        try:
            body: Any = json.loads(message)
        except ValueError:
            body = None
        if isinstance(body, dict) and body.get("id") == 1:
            if "result" not in body:
                raise _NotSubscribed(f"the node refuses newHeads: {str(body.get('error'))[:120]}")
            self.subscribed = True
            self.connections += 1
            self._news.set()
            return
        head = _announced(body)
        with self._lock:
            if head is None:
                self.ignored += 1
            else:
                self.heads += 1
                self._newest = head
            self._news.set()


def _announced(body: Any) -> Announced | None:
    try:
        head = body["params"]["result"]
        number, block = int(head["number"], 16), head["hash"].lower()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None
    return Announced(number, block) if 0 <= number < 2**63 else None
