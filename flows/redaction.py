"""Remove secrets from errors and their causes, run parameters, and log lines of the network libraries.

In errors and logs, control characters that would control a terminal are written as escapes (`data.foreign_text`),
because Prefect prints both.

Sources show only the host of an address. This module removes the rest: servers repeat what they were sent, libraries
put whole addresses into their exceptions, and a traceback prints every cause. `flows.settings` reports each value it
reads.
"""

from __future__ import annotations

import base64
import logging
import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from data.foreign_text import printed

HIDDEN = "…"
SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
"""Settings with one of these in their name are secret as a whole; of an address, all but scheme, host and port is."""
SHORTEST = 5
"""Least characters of a part of an address that counts as a secret; `v3` and `eth` do not."""
TELLING, BEGINNING = 12, 8
"""Of a secret of at least `TELLING` characters, the first `BEGINNING` are hidden, too: answers may be quoted cut."""
CHATTY = (
    "urllib3.connectionpool",
    "urllib3.connection",
    "urllib3.util.retry",
    "websockets.client",
    "gql.client",
    "gql.transport.requests",
    "web3.providers.HTTPProvider",
)
"""Loggers that write whole addresses, or what was sent to a server."""

_secrets: dict[str, None] = {}


def remember(name: str, value: str) -> None:
    """Remove the secret parts of setting `name` from all messages from now on."""
    for part in _secret_parts(name, value):
        for form in (part, quote(part, safe=""), quote(part), unquote(part)):
            if len(form) >= SHORTEST:
                _secrets[form] = None


def hidden(text: str) -> str:
    """`text` without the secrets that were read so far, nor the beginning of one.

    >>> remember("EXAMPLE_KEY", "correct-horse-battery")
    >>> hidden("403: no such key correct-horse-battery (correct-horse-b")
    '403: no such key … (…'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
        # Not for a secret that is a whole address: its beginning is that of every address.
        if len(secret) >= TELLING and "://" not in secret[:BEGINNING] and secret[:BEGINNING] in text:
            text = re.sub(re.escape(secret[:BEGINNING]) + r"[^\s\"'<>&/?…)]*", HIDDEN, text)
    return text


def hidden_values(values: Any) -> Any:
    """`hidden` for every text inside dictionaries, lists and tuples."""
    if isinstance(values, str):
        return hidden(values)
    if isinstance(values, dict):
        return {key: hidden_values(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [hidden_values(value) for value in values]
    return values


def _harmless(text: str) -> str:
    return printed(hidden(text))


def clean(error: BaseException) -> None:
    """Remove secrets and terminal control characters from an exception, in place.

    Its causes and contexts are cleaned too, because tracebacks print all of them.
    """
    waiting, done = [error], set()
    while waiting:
        current = waiting.pop()
        if id(current) in done:
            continue
        done.add(id(current))
        text = str(current)
        if _harmless(text) != text or any(_harmless(str(part)) != str(part) for part in current.args):
            current.args = tuple(part if isinstance(part, int) else _harmless(str(part)) for part in current.args)
            if _harmless(str(current)) != str(current):  # its text does not come from its arguments
                current.args = (_harmless(text),)
        if notes := getattr(current, "__notes__", None):
            current.__notes__ = [_harmless(note) for note in notes]
        waiting += [cause for cause in (current.__cause__, current.__context__) if cause is not None]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


class _Hiding(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _harmless(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            clean(record.exc_info[1])
        return True


def quiet_libraries() -> None:
    """Let the loggers of `CHATTY` write without secrets; calling it again changes nothing."""
    for name in CHATTY:
        logger = logging.getLogger(name)
        if not any(isinstance(present, _Hiding) for present in logger.filters):
            logger.addFilter(_Hiding())


def _secret_parts(name: str, value: str) -> list[str]:
    parts = [value] if any(word in name for word in SECRET_NAMES) else []
    if "://" not in value:
        # A login without a scheme, or after one with a missing slash: a server may repeat text that no parser can read.
        login, at, _ = value.rpartition("@")
        return [*parts, value, login.partition(":/")[2], login.rpartition(":")[2]] if at and ":" in login else parts
    try:
        address = urlsplit(value)
        user, password = address.username or "", address.password or ""
    except ValueError:
        return [*parts, value]
    login = f"{unquote(user)}:{unquote(password)}"
    parts += [user, password, base64.b64encode(login.encode()).decode() if user or password else ""]
    parts += [part for part in address.path.split("/") if "{" not in part]
    for pair in (*address.query.split("&"), *address.fragment.split("&")):
        parts.append(pair.partition("=")[2] or pair)
    return parts
