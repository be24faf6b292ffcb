"""The parts of a brief: sentences of words and numbers; every number names its rows of the warehouse."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.brief.words import utc
from data.errors import DamagedValue

CHANGE, STATE, MISSING = "change", "state", "missing"
KINDS = (CHANGE, STATE, MISSING)
"""change: compared with the day before. state: the value now. missing: data that is not stored, with the command."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The source of a number: a table, and the column values that select its row (or rows, for a count or a sum)."""

    table: str
    key: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Table and key in one line."""
        return f"{self.table} " + " ".join(f"{name}={value}" for name, value in self.key.items())


@dataclass(frozen=True, slots=True)
class Number:
    """A number as text, with its unit and its subject, and the rows it comes from."""

    text: str
    refs: tuple[Ref, ...]

    def __post_init__(self) -> None:
        if not self.refs:
            raise ValueError(f"the number {self.text!r} has no row behind it")


Part = str | Number
"""A piece of a sentence."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence. parts: words, which have no digit, and numbers. command: fetches missing data.

    Raises `ValueError` for a claim without a row: words with a digit, or a sentence without a number that is not of
    the kind "missing".
    """

    topic: str
    kind: str
    parts: tuple[Part, ...]
    command: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, found {self.kind!r:.40}")
        words = "".join(part for part in self.parts if isinstance(part, str))
        if re.search(r"\d", words):
            raise ValueError(f"{self.topic}: the words {words!r:.80} hold a number without a row")
        if self.kind != MISSING and not self.numbers:
            raise ValueError(f"{self.topic}: expected a number with its row, found words alone")

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numbers, in order."""
        return tuple(part for part in self.parts if isinstance(part, Number))

    @property
    def text(self) -> str:
        """The sentence as plain text."""
        text = "".join(part if isinstance(part, str) else part.text for part in self.parts)
        return f"{text} Run `{self.command}`." if self.command else text

    def record(self) -> str:
        """`parts` as JSON, the same text for the same sentence."""
        parts = [
            part
            if isinstance(part, str)
            else {"text": part.text, "refs": [{"table": ref.table, "key": dict(ref.key)} for ref in part.refs]}
            for part in self.parts
        ]
        return json.dumps(parts)

    @classmethod
    def of_record(cls, topic: str, kind: str, record: str, command: str) -> Sentence:
        """The sentence of a stored row. Raises `DamagedValue`."""
        try:
            parts = tuple(
                part
                if isinstance(part, str)
                else Number(str(part["text"]), tuple(Ref(str(ref["table"]), dict(ref["key"])) for ref in part["refs"]))
                for part in json.loads(record)
            )
            return cls(topic, kind, parts, command)
        except (TypeError, KeyError, ValueError) as error:
            raise DamagedValue(f"mart_daily_brief: {topic}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """The brief of a market at the time of its newest snapshot, compared with the day before."""

    market: str
    block: int
    block_time: int
    synthetic: bool
    before_block: int | None
    sentences: tuple[Sentence, ...]

    def plain(self) -> str:
        """Plain text: one line for each sentence, numbers marked [1], then the rows of the marks."""
        rows: dict[str, int] = {}
        lines = []
        for sentence in self.sentences:
            words = []
            for part in sentence.parts:
                if isinstance(part, str):
                    words.append(part)
                    continue
                marks = ", ".join(str(rows.setdefault(ref.text, len(rows) + 1)) for ref in part.refs)
                words.append(f"{part.text} [{marks}]")
            tail = f" Run `{sentence.command}`." if sentence.command else ""
            lines.append(f"- {''.join(words)}{tail}")
        return "\n".join([self.title, *lines, "", "Rows:", *(f"[{n}] {text}" for text, n in rows.items())])

    @property
    def title(self) -> str:
        """What it is about."""
        sample = " (SAMPLE: synthetic data)" if self.synthetic else ""
        return f"Daily brief of {self.market}{sample}, block {self.block:,} of {utc(self.block_time)}"


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts without empty words."""
    return tuple(part for part in parts if part != "")
