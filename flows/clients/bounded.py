"""HTTP with limits: no answer larger than a limit, no request longer than a deadline, no redirect followed.

The time-out of `requests` counts from one piece to the next: a server that sends a byte from time to time can hold a
request for ever, in its headers as well as in its body. Here a timer shuts the connection when the time for the whole
request is over. Sizes are those after decompression, since 300 kB of gzip can hold a gigabyte.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

LARGEST_ANSWER = 128 * 2**20
"""Bytes of a body after decompression; the largest whole answers known (logs of a full range) have about a half."""
PIECE = 1 << 20
"""Bytes read in one step: small steps switch threads often, large ones exceed the limit by more."""
_here = threading.local()


class TooLarge(Exception):
    """The answer has more than the limit of bytes after decompression; the rest was not read."""


@dataclass(frozen=True, slots=True)
class Received:
    """An answer read whole: HTTP status, headers (case-insensitive), body after decompression."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def redirects(self) -> bool:
        """The answer points elsewhere; it is not followed, since a POST would become a GET to a foreign host."""
        return 300 <= self.status < 400


def session() -> requests.Session:
    """A session whose connections can be shut when a request takes too long; one request at a time."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter())
    return made


def exchange(
    session: requests.Session, method: str, url: str, *, within: float, largest: int = LARGEST_ANSWER, **options: Any
) -> Received:
    """Send a request and read its whole answer in at most `within` seconds.

    Raises `TooLarge`, `requests.Timeout` when the time is over, and the other `requests.RequestException`s.
    `session` must come from `session()`; `options` are those of `requests.Session.request`.
    """
    watch = _Watch()
    _here.watch = watch
    timer = threading.Timer(within, watch.end)
    timer.daemon = True
    timer.start()
    try:
        with session.request(method, url, timeout=within, stream=True, allow_redirects=False, **options) as response:
            body = _body(response, largest)
        if watch.ended:  # a body without a length ends like a whole one when its connection is shut
            raise requests.Timeout("the time for the whole request is over")
        return Received(response.status_code, response.headers, body)
    except requests.RequestException as exc:
        if watch.ended and not isinstance(exc, requests.Timeout):
            raise requests.Timeout("the time for the whole request is over") from exc
        raise
    finally:
        timer.cancel()
        watch.done()
        _here.watch = None


def _body(response: requests.Response, largest: int) -> bytes:
    pieces, size = [], 0
    for piece in response.iter_content(PIECE):
        size += len(piece)
        if size > largest:
            raise TooLarge(f"more than {largest:,} bytes")
        pieces.append(piece)
    return b"".join(pieces)


class _Watch:
    """Shuts the connection of this thread's current request when its time is over."""

    def __init__(self) -> None:
        self.ended = False
        self._line: socket.socket | None = None
        self._lock = threading.Lock()

    def follow(self, line: socket.socket | None) -> None:
        # A second handle: a connection that will not be used again is closed before its body is read.
        with self._lock:
            self._drop()
            self._line = line.dup() if line is not None else None
            if self.ended:
                self._shut()

    def end(self) -> None:
        with self._lock:
            self.ended = True
            self._shut()

    def done(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _shut(self) -> None:
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)


class _Watched:
    """A connection that keeps a second handle of its socket: TLS takes over the first one in its handshake."""

    _line: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()  # type: ignore[misc]
        self._line = made.dup()
        _follow(self._line)
        return made

    def request(self, *args: Any, **kwargs: Any) -> Any:
        _follow(self._line)  # a connection that was kept open
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def close(self) -> None:
        line, self._line = self._line, None
        super().close()  # type: ignore[misc]
        if line is not None:
            line.close()


def _follow(line: socket.socket | None) -> None:
    watch = getattr(_here, "watch", None)
    if watch is not None:
        watch.follow(line)


class _Http(_Watched, HTTPConnection):
    pass


class _Https(_Watched, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http  # type: ignore[assignment]


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https  # type: ignore[assignment]


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
