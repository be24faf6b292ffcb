"""Block numbers on the command line: what every flow that reads at a block takes."""

from __future__ import annotations

from argparse import ArgumentTypeError


def block(text: str) -> str | int:
    """latest, safe, finalized, or a number. Raises `ArgumentTypeError`."""
    if text in ("latest", "safe", "finalized"):
        return text
    try:
        return number(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"expected latest, safe, finalized or a block number, found {text!r}") from None


def number(text: str) -> int:
    """A whole number; 21_400_000 and 21,400,000 are read too. Raises `ArgumentTypeError`."""
    digits = text.replace("_", "").replace(",", "")
    if not digits.isdigit():
        raise ArgumentTypeError(f"expected a number, found {text!r}")
    return int(digits)
