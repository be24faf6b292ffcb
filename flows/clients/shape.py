"""A part of a JSON answer with its path, so that an error names the field, what was expected and what was found.

pool = Shape("DefiLlama (https://…)", "/pools", body).field("data").items()[0]
pool.field("tvlUsd").number()       # MalformedAnswer: … /pools.data[0].tvlUsd: expected a number, found 'n/a' …
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.errors import MalformedAnswer


@dataclass(frozen=True, slots=True)
class Shape:
    """One value of the answer of `source`; `where` is the path to it. Every method raises `MalformedAnswer`."""

    source: str
    where: str
    value: Any

    def field(self, name: str) -> Shape:
        """The value of a field that must be there (null counts as a value)."""
        body = self._is(dict, "an object")
        if name not in body:
            known = ", ".join(map(str, list(body)[:12])) or "none"
            raise self._refusal(f"{self.where}.{name}", "this field", f"it absent; there are: {known}")
        return Shape(self.source, f"{self.where}.{name}", body[name])

    def maybe(self, name: str) -> Shape | None:
        """The value of a field, None where it is absent or null."""
        value = self._is(dict, "an object").get(name)
        return None if value is None else Shape(self.source, f"{self.where}.{name}", value)

    def items(self) -> list[Shape]:
        """The elements of a list."""
        return [
            Shape(self.source, f"{self.where}[{number}]", each) for number, each in enumerate(self._is(list, "a list"))
        ]

    def entries(self) -> dict[str, Shape]:
        """The fields of an object whose names are data, such as chains or coins."""
        body: Mapping[str, Any] = self._is(dict, "an object")
        return {name: Shape(self.source, f"{self.where}[{name!r}]", each) for name, each in body.items()}

    def text(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self._refusal(self.where, "a text", None)
        return self.value

    def number(self) -> float:
        """A finite number; a text that holds one is accepted, too, as these services send both."""
        value = self.value
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._refusal(self.where, "a number", None)
        return float(value)

    def whole(self) -> int:
        """A whole number."""
        number = self.number()
        if number != int(number):
            raise self._refusal(self.where, "a whole number", None)
        return int(number)

    def seconds(self) -> int:
        """A time in UTC seconds; milliseconds (the year 5000 and later) are refused. Fractions are cut."""
        number = self.number()
        if not 0 < number < 1e11:
            raise self._refusal(self.where, "a time in UTC seconds", None)
        return int(number)

    def document(self) -> str:
        """The value as JSON, keys sorted."""
        return json.dumps(self.value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def _is(self, kind: type, name: str) -> Any:
        if not isinstance(self.value, kind):
            raise self._refusal(self.where, name, None)
        return self.value

    def _refusal(self, where: str, expected: str, found: str | None) -> MalformedAnswer:
        shown = f"{self.value!r:.80}" if found is None else found
        return MalformedAnswer(
            f"{self.source}: {where}: expected {expected}, found {shown}. The source changed its shape; nothing of "
            "this answer was written"
        )
