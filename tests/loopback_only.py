"""Pytest plugin: a test that reaches for another machine fails, whatever the code under test makes of the error.

The attempt raises inside the code (an `OSError`, as a dead network would) and fails the test at its end, so that an
`except OSError` cannot hide it. Child processes are not guarded.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest

_attempts: list[str] = []
_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


class NetworkForbidden(OSError):
    """A test asked for a host that is not this machine."""


def is_loopback(host: object) -> bool:
    """True for loopback addresses, `localhost`, this machine's own name, and the wildcard of a listening socket."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost", "ip6-localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _check(host: object) -> None:
    if not is_loopback(host):
        message = (
            f"expected a loopback address, found {host!r}: tests reach no other machine. "
            "Serve the answer on loopback (pytest-httpserver) and name it by its environment variable"
        )
        _attempts.append(message)
        raise NetworkForbidden(message)


def _is_internet(sock: socket.socket) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6)


def _guarded_connect(self: socket.socket, address: Any) -> None:
    if _is_internet(self):
        _check(address[0])
    return _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address: Any) -> int:
    if _is_internet(self):
        _check(address[0])
    return _connect_ex(self, address)


def _guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    _check(host)
    return _getaddrinfo(host, *args, **kwargs)


def pytest_configure() -> None:
    socket.socket.connect = _guarded_connect
    socket.socket.connect_ex = _guarded_connect_ex
    socket.getaddrinfo = _guarded_getaddrinfo


def pytest_unconfigure() -> None:
    socket.socket.connect = _connect
    socket.socket.connect_ex = _connect_ex
    socket.getaddrinfo = _getaddrinfo


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    _attempts.clear()
    yield
    if _attempts:
        pytest.fail("; ".join(_attempts), pytrace=False)
