"""SQL that differs in one word only is written once, with the word in braces.

    -- target: fact_lending_{kind}_events
    -- each: kind in borrow, deposit

makes one table for each word. In a file that makes a single table, `-- reads` names a table for each word, and what
stands between two lines is repeated:

    -- each kind, joined by UNION ALL
    SELECT * FROM raw_lending_{kind}_events
    -- end

`{late_after}` stands for rows of VALUES: each table of which something is expected, and the seconds after which it is
late, as its schema says.
"""

from __future__ import annotations

import re

from data.errors import MartFailed
from data.schemas.tables import tables

_EACH = re.compile(r"^-- each: (\w+) in (\w+(?:, \w+)*)\n", re.MULTILINE)
_PART = re.compile(r"^([ \t]*)-- each (\w+), joined by (\w[\w ]*)\n(.*?)^[ \t]*-- end\n", re.MULTILINE | re.DOTALL)
_READS = re.compile(r"^-- reads: .*$", re.MULTILINE)
_TABLE = re.compile(r"[\w{}]+")


def filled(file: str, text: str) -> list[str]:
    """The texts that a file stands for, words filled in. Raises `MartFailed` where a word in braces has no values."""
    text = text.replace("{late_after}", _late_after())
    each = _EACH.search(text)
    texts = [text]
    if each:
        text, mark, words = text.replace(each[0], ""), f"{{{each[1]}}}", each[2].split(", ")
        if mark in text.split("\n", 1)[0]:
            texts = [text.replace(mark, word) for word in words]
        else:
            texts = [_repeated(text, each[1], words)]
    for text in texts:
        if left := re.search(r"\{\w*\}|-- each .*|-- end\b", text):
            raise MartFailed(
                f"data/marts/{file}: {left[0]} is not filled in; expected `-- each: WORD in A, B, ...` in the header, "
                "and {WORD} where each of them stands (data.marts.template)"
            )
    return texts


def _repeated(text: str, name: str, words: list[str]) -> str:
    mark = f"{{{name}}}"

    def part(found: re.Match[str]) -> str:
        indent, repeated, joined_by, lines = found.groups()
        if repeated != name:
            return found[0]
        return f"{indent}{joined_by}\n".join(lines.replace(mark, word) for word in words)

    def each_table(found: re.Match[str]) -> str:
        return ", ".join(dict.fromkeys(found[0].replace(mark, word) for word in words))

    def tables_read(found: re.Match[str]) -> str:
        return _TABLE.sub(each_table, found[0])

    return _PART.sub(part, _READS.sub(tables_read, text))


def _late_after() -> str:
    return ", ".join(f"('{table.name}', {table.late_after})" for table in tables().values() if table.late_after)
