"""The web server: where it listens, how long a request may take to arrive, how many connections it holds.

waitress closes a connection that is silent. A client that sends a byte now and then is never silent, so each request
also has a deadline, from its first byte to its last. Where there are too many connections, the one that has waited
longest without a complete request is closed.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer

from dashboard.guard import SETTING, is_loopback

REQUEST_SECONDS = 10.0
"""Most seconds from the first byte of a request to its last, headers and body together."""
SILENT_SECONDS = 30
"""Seconds after which a connection without a request and without traffic is closed."""
CONNECTIONS = 200
"""Most open connections; above it, the one that waits longest without a request is closed."""
THREADS = 8
"""Requests answered at the same time. Simulations run in a thread of their own and occupy none of these."""
BODY_BYTES = 2_000_000
HEADER_BYTES = 32_768


def address() -> tuple[str, int]:
    """HOST and PORT of the environment. Raises `ValueError` when PORT is not a port."""
    host, text = os.environ.get("HOST", "").strip() or "127.0.0.1", os.environ.get("PORT", "").strip() or "8050"
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 65_536:
        raise ValueError(f"PORT={text}: expected a number from 1 to 65535")
    return host, int(text)


def open_socket(host: str, port: int) -> socket.socket:
    """A bound socket, opened before anything slow so that a port in use is reported at once. Raises `OSError`."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere this option would let two servers share a port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def open_notice(host: str, port: int) -> str:
    """One line when other machines can reach the server, else an empty text."""
    if is_loopback(host.lower()):
        return ""
    return (
        f"Open to other machines: HOST={host} lets everybody who reaches port {port} read these figures, without a "
        f"password. Leave HOST unset to keep it to this machine; {SETTING} lists its other names."
    )


class Channel(HTTPChannel):
    """A connection that knows since when it waits for the rest of a request."""

    waiting_since: float | None = None
    """When the first byte of an unfinished request came; None between requests."""

    def received(self, data: bytes) -> bool:
        """As `HTTPChannel.received`; the clock of a request starts with its first byte and stops with its last."""
        done = len(self.requests)
        taken = super().received(data)
        if self.request is None:
            self.waiting_since = None
        elif self.waiting_since is None or len(self.requests) > done:
            self.waiting_since = time.time()
        return taken


class Server(TcpWSGIServer):
    """waitress on one socket, with the deadlines and limits above."""

    channel_class = Channel

    def __init__(self, application: Any, sock: socket.socket) -> None:
        adjustments = Adjustments(
            sockets=[sock], threads=THREADS, channel_timeout=SILENT_SECONDS, cleanup_interval=1,
            # Above ours, so that waitress never stops accepting; poll, because select ends at descriptor 1,023.
            connection_limit=4 * CONNECTIONS, asyncore_use_poll=hasattr(select, "poll"), backlog=256,
            max_request_body_size=BODY_BYTES, max_request_header_size=HEADER_BYTES, ident=None,
        )  # fmt: skip
        at = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(application, {}, True, sock, adj=adjustments, bind_socket=False, sockinfo=at)

    def maintenance(self, now: float) -> None:
        """Close what is silent, and what is past the deadline of its request."""
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            since = channel.waiting_since
            if since is not None and not channel.requests and now - since > REQUEST_SECONDS:
                channel.will_close = True

    def handle_accept(self) -> None:
        """Accept a connection; where there are too many, first close the one that waits longest without a request."""
        if len(self.active_channels) >= CONNECTIONS:
            idle = [c for c in list(self.active_channels.values()) if not c.requests]
            if idle:
                min(idle, key=lambda c: c.waiting_since or c.last_activity).handle_close()
        super().handle_accept()
