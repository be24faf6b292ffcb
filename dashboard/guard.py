"""Which requests are answered (host names, origins) and what a page may load (content security policy).

A page of another site can make a browser call this server: after the page was loaded, the site's name may be pointed at
127.0.0.1 (DNS rebinding). Such a request still carries the other site's name in `Host`, so names are checked before any
route runs, Dash's own included.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, request

SETTING = "DASHBOARD_HOSTS"
"""Environment variable: more names of this server, separated by commas, such as `risk.example.org`."""
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?)(:\d{1,5})?")


def name_of(host: str) -> str | None:
    """The name in a `Host` header, lower case, without port, brackets and final dot; None when it is malformed.

    >>> name_of("LocalHost:8050"), name_of("[::1]:8050"), name_of("localhost@evil.example")
    ('localhost', '::1', None)
    """
    found = _HOST.fullmatch(host.lower())
    return found["name"].strip("[]").removesuffix(".") if found else None


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_loopback(name: str) -> bool:
    """True for a name or address that never leaves this machine."""
    ip = _ip(name)
    return name == "localhost" if ip is None else ip.is_loopback


@dataclass(frozen=True, slots=True)
class Names:
    """The names that this server answers to, beside those of the loopback."""

    extra: frozenset[str] = frozenset()
    any_address: bool = False
    """True: requests to a plain IP address are answered too. Rebinding needs a name, so they never come from another
    site."""

    @classmethod
    def of_environment(cls) -> Names:
        """From `HOST` (where the server listens) and `DASHBOARD_HOSTS`. Raises `ValueError` for a malformed name."""
        listening = os.environ.get("HOST", "").strip()
        given = [text.strip() for text in os.environ.get("DASHBOARD_HOSTS", "").split(",") if text.strip()]
        for text in given:
            if name_of(text) is None:
                raise ValueError(f"{SETTING}={text}: expected names such as risk.example.org, separated by commas")
        names = {name for text in given if (name := name_of(text))}
        own = name_of(f"[{listening}]" if ":" in listening else listening) if listening else None
        if own is not None and _ip(own) is None:
            names.add(own)
        return cls(frozenset(names), any_address=bool(own) and not is_loopback(own))

    def known(self, host: str | None) -> bool:
        """True when a `Host` header names this server."""
        name = name_of(host or "")
        if name is None:
            return False
        return is_loopback(name) or name in self.extra or (self.any_address and _ip(name) is not None)


def script_hash(script: str) -> str:
    """The expression that allows one inline script in a content security policy: `'sha256-...'`."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def policy(script_hashes: Iterable[str]) -> str:
    """The content security policy: our own files and the inline scripts with these hashes, nothing from other sites.

    Inline styles are allowed, because plotly sets them while it draws.
    """
    scripts = " ".join(["'self'", *script_hashes])
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )


def _refused(words: str, status: int) -> Response:
    return Response(words + "\n", status, content_type="text/plain; charset=utf-8")


def protect(server: Flask, names: Names, content_policy: str) -> None:
    """Check host and origin before every route, and send the policy with every answer, refusals included."""

    @server.before_request
    def check() -> Response | None:
        if not names.known(request.headers.get("Host")):
            return _refused(
                "The Host header does not name this server. Open it as http://127.0.0.1 with its port, "
                f"or add the name to {SETTING} and start again.",
                400,
            )
        origin = request.headers.get("Origin")
        if origin is not None and not _same_origin(origin, request.headers["Host"], names):
            return _refused("The request comes from a page of another site.", 403)
        return None

    @server.after_request
    def headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", content_policy)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response


def _same_origin(origin: str, host: str, names: Names) -> bool:
    """True for a page of this server. Behind a proxy `Host` may be an internal name and the origin an extra name."""
    try:
        at = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return at == host.lower() or name_of(at) in names.extra
