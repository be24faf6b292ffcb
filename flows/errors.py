"""Errors of flows. A message says what was expected, what was found, where, and what to do.

Each ends in exit code 1 (`WrongOption` in 2), with no half-written rows.
"""

from __future__ import annotations

from typing import Any

from flows.redaction import hidden


class FlowError(Exception):
    """Base of the errors that flows raise on purpose; `python -m flows` prints only the message and exits with 1.

    Secrets that were read from settings are removed from the message: a server may repeat what it was sent.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*(hidden(part) if isinstance(part, str) else part for part in parts))


class ConfigurationError(FlowError):
    """An environment variable or an argument is missing or cannot be used."""


class WrongOption(ConfigurationError, TypeError):
    """An option is unknown, missing, of the wrong kind or out of its bounds; nothing has begun. Exit code 2."""


class SourceUnavailable(FlowError):
    """The source cannot be reached or keeps answering with a temporary error; a later run may succeed."""


class SourceRefused(FlowError):
    """The source understood the request and refused it (unknown block, bad key, range too large)."""


class MalformedAnswer(FlowError):
    """The source answered in a shape that its documentation does not allow; nothing is guessed from it."""


class CrossCheckFailed(FlowError):
    """Two ways of reading the same number disagree; the batch is refused, the message names the number."""
