"""Environment variables, read when they are needed and never at import. Names are listed in `.env.example`."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from flows.errors import ConfigurationError
from flows.redaction import remember


def get(name: str, default: str | None = None) -> str | None:
    """Value of environment variable `name`, else the stripped content of the file named by `NAME_FILE`, else `default`.

    An empty value counts as not set. Raises `ConfigurationError` when `NAME_FILE` names a file that cannot be read.
    """
    value = os.environ.get(name, "").strip()
    if value:
        remember(name, value)
        return value
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not path:
        return default
    try:
        content = Path(path).read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"{name}_FILE: cannot read {path} ({exc.strerror}); fix the path or unset it") from exc
    value = content.decode("utf-8", "replace").strip()
    if "\ufffd" in value:  # a decoding error would carry the file's bytes along
        raise ConfigurationError(f"{name}_FILE: cannot read {path} (it is not UTF-8 text); write it as plain text")
    if value:
        remember(name, value)
    return value or default


def require(name: str, why: str) -> str:
    """Like `get`, but raises `ConfigurationError` that says `why` the value is needed."""
    value = get(name)
    if value is None:
        raise ConfigurationError(f"{name} is not set (nor {name}_FILE); {why}")
    return value


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """A setting that is a whole number from `least` to `most`. Raises `ConfigurationError`."""
    value = get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal()) or not least <= int(value) <= most:
        raise ConfigurationError(f"{name}: expected a whole number from {least} to {most}, found {value!r:.40}")
    return int(value)


def redacted(url: str) -> str:
    """Scheme and host of a URL, for messages: paths, queries and user names often hold keys.

    >>> redacted("https://user:pw@node.example:8545/v3/SECRET?key=1")
    'https://node.example:8545'
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable URL)"
    return f"{parts.scheme or '?'}://{parts.hostname or '?'}{port}"
