"""Where an export goes: a folder of Parquet, a DuckDB or SQLite file, or a PostgreSQL database, by address or path."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from data.errors import ExportFailed

Kind = Literal["parquet", "duckdb", "sqlite", "postgres"]

_SCHEMES: dict[str, Kind] = {
    "parquet": "parquet",
    "file": "parquet",
    "duckdb": "duckdb",
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
}
_SUFFIXES: dict[str, Kind] = {".duckdb": "duckdb", ".sqlite": "sqlite", ".sqlite3": "sqlite"}
_LIBPQ = re.compile(r"(^|\s)(host|user|password|dbname|hostaddr)\s*=", re.IGNORECASE)
"""The key=value form of addresses that PostgreSQL's own tools accept; it is not accepted here."""
_FORMS = "expected a folder, a file.duckdb, or one of parquet:///…, duckdb:///…, sqlite:///…, postgresql://…"


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of target and its path, or its address, which may hold secrets: print `name` and `hidden` texts only."""

    kind: Kind
    name: str
    path: Path = Path()
    url: str = field(default="", repr=False)

    def hidden(self, text: str) -> str:
        """`text` without the secret parts of the address: libraries put them into their errors."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "…")
        return text

    def _secrets(self) -> set[str]:
        if not self.url:
            return set()
        parts = urlsplit(self.url)
        secrets = {self.url, parts.password or "", parts.query}
        # Settings of the connection are not secret, except those with "pass" or "key" in their name.
        secrets |= {value for key, value in parse_qsl(parts.query) if "pass" in key or "key" in key}
        secrets |= {form(value) for value in secrets for form in (unquote, quote)}
        return {value for value in secrets if value}


def target(text: str) -> Target:
    """What `text` (an address or a path) names.

    `scheme:///relative` and `scheme:////absolute` as in SQLAlchemy. Raises `ExportFailed`; the text itself, which may
    hold a password, is not repeated.

    >>> target("duckdb:///build/risk.duckdb").path
    PosixPath('build/risk.duckdb')
    >>> target("postgresql://me:secret@db.example:5433/risk").name
    'postgresql://db.example:5433/risk'
    """
    text = text.strip()
    if not text:
        raise ExportFailed(f"the target is empty; {_FORMS}")
    if "://" not in text:
        _refuse_half_address(text)
        path = Path(text).expanduser()
        return Target(_SUFFIXES.get(path.suffix.lower(), "parquet"), str(path), path)
    scheme, _, rest = text.partition("://")
    kind = _SCHEMES.get(scheme.lower().partition("+")[0])
    if kind is None:
        # A login may stand where the scheme should: `user:pw@postgresql://host`.
        shown = (
            repr(scheme) if scheme.isascii() and scheme.replace("+", "").isalnum() and len(scheme) < 20 else "unknown"
        )
        raise ExportFailed(f"the target has the scheme {shown}; {_FORMS}")
    if kind == "postgres":
        return Target("postgres", _without_secrets(text), url=f"postgresql://{rest}")
    if not rest.startswith("/") or rest == "/":
        raise ExportFailed(f"{scheme}: expected {scheme}:///path, or {scheme}:////path from the root on")
    path = Path(unquote(rest[1:] if scheme != "file" else rest)).expanduser()
    return Target(kind, str(path), path)


def _refuse_half_address(text: str) -> None:
    r"""Raise `ExportFailed` for text that looks like a wrongly written address; it may hold a password.

    Without this check it would be taken for the name of a folder. A path may hold a colon (`C:\\risk`, `a:b/c`), but
    not after the name of a scheme, nor a login before a host.
    """
    scheme, colon, rest = text.partition(":")
    known = scheme.lower().strip().partition("+")[0]
    if colon and known in _SCHEMES:
        raise ExportFailed(f"the target begins with {known}: but not with {known}://, so it is no address; {_FORMS}")
    if "@" in rest or _LIBPQ.search(text):
        raise ExportFailed(f"the target looks like an address with a login but has no scheme://; {_FORMS}")


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        # A login after a third slash, or one with a sign that ends it early, would stand in the name as it is.
        readable = "@" not in parts.path and "@" not in parts.fragment and "@" not in (parts.username or "")
    except ValueError:
        readable = False
    if not readable:
        # Outside the `except`: the library's error holds a part of the address.
        raise ExportFailed(
            "postgresql: the address cannot be read; expected postgresql://user:password@host:port/database, with "
            "signs such as @ and / of the password written as %40 and %2F"
        )
    return f"postgresql://{parts.hostname or ''}{port}{parts.path}"
