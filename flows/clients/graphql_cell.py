"""Typed reading of what a GraphQL answer holds: nothing is guessed from a null, a wrong type or a new enum value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.errors import MalformedAnswer

HEX_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Cell:
    """Typed reading of one row; every refusal names the row, the field, what was expected and what was found."""

    row: Mapping[str, Any]
    where: str

    def value(self, field: str) -> Any:
        """The field as it came; None where it is missing."""
        return self.row.get(field)

    def into(self, field: str) -> Cell:
        """The entity in a field. Raises `MalformedAnswer` for anything else."""
        inner = self.row.get(field)
        if not isinstance(inner, dict):
            raise self.unlike(field, "an entity")
        return Cell(inner, f"{self.where}, {field}")

    def integer(self, field: str) -> int:
        """A whole number of at least 0, which travels as text where it may be large."""
        value = self.row.get(field)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**256:
            raise self.unlike(field, "a whole number of at most 256 bits")
        return value

    def flag(self, field: str) -> bool:
        """The field as true or false. Raises `MalformedAnswer` for anything else."""
        value = self.row.get(field)
        if not isinstance(value, bool):
            raise self.unlike(field, "true or false")
        return value

    def text(self, field: str) -> str:
        """The field as text. Raises `MalformedAnswer` for anything else."""
        value = self.row.get(field)
        if not isinstance(value, str):
            raise self.unlike(field, "text")
        return value

    def one_of(self, field: str, values: tuple[str, ...]) -> str:
        """The field, which is one of `values`. Raises `MalformedAnswer` for anything else."""
        value = self.row.get(field)
        if value not in values:
            raise self.unlike(field, f"one of {', '.join(values)}")
        return str(value)

    def address(self, field: str) -> str:
        """The field as an address in lower case. Raises `MalformedAnswer` for anything else."""
        value = self.row.get(field)
        text = value.lower() if isinstance(value, str) else ""
        if len(text) != 42 or not text.startswith("0x") or not set(text[2:]) <= HEX_DIGITS:
            raise self.unlike(field, "0x and 40 hex digits")
        return text

    def rows(self, field: str) -> list[Mapping[str, Any]]:
        """The field as a list of entities. Raises `MalformedAnswer` for anything else."""
        value = self.row.get(field)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.unlike(field, "a list of entities")
        return value

    def unlike(self, field: str, expected: str) -> MalformedAnswer:
        """The refusal of a field that is not what was `expected`."""
        return MalformedAnswer(
            f"{self.where}: {field}: expected {expected}, found {self.row.get(field)!r:.80}. Nothing was written"
        )
