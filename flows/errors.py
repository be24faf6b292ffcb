"""What a flow says when it refuses: expected, found, where, what to do.

Each ends in exit code 1 (`WrongOption` in 2), with no half-written rows.
"""

from __future__ import annotations

from typing import Any

from flows.redaction import hidden


class FlowError(Exception):
    """Base of every refusal of a flow; `python -m flows` prints the message alone and exits with 1.

    Secrets that were read from settings are cut out of the message: a server may repeat what it was sent.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*(hidden(part) if isinstance(part, str) else part for part in parts))


class ConfigurationError(FlowError):
    """An environment variable or an argument is missing or cannot be used."""


class WrongOption(ConfigurationError, TypeError):
    """An option is unknown, missing, of the wrong kind or out of its bounds; nothing has begun. Exit code 2."""


class SourceUnavailable(FlowError):
    """The other side cannot be reached or keeps answering with a temporary error; a later run may succeed."""


class SourceRefused(FlowError):
    """The other side understood the request and refused it (unknown block, bad key, range too large)."""


class MalformedAnswer(FlowError):
    """The other side answered in a shape that its documentation does not allow; nothing is guessed from it."""


class CrossCheckFailed(FlowError):
    """Two ways of reading the same number disagree; the batch is refused, the message names the number."""
