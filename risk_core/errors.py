"""Errors of the engine. A message says what was expected, what was found, where, and what to do."""


class RiskCoreError(Exception):
    """Base of every error that the engine raises on purpose."""


class InputError(RiskCoreError, ValueError):
    """An argument breaks a rule; the message names the field, the index and the rule."""


class UnknownRevision(InputError):
    """The pool runs a protocol revision whose rules are not implemented; they are never guessed."""


class Cancelled(RiskCoreError):
    """A running simulation was stopped by its caller; no partial result exists."""
