"""Views: our tables under names that people and other tools know. One file each in `data/marts/views`.

A file is one SELECT under a header like those of `data.marts`:

    -- view: chainlink_prices
    -- reads: stg_chainlink_prices
    -- What it is, in one line.

Views are made anew whenever a file is brought to the layout of this version; nothing is stored in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data.schemas import SCHEMAS

FOLDER = Path(__file__).resolve().parents[1] / "marts" / "views"

_HEADER = re.compile(r"--\s*(view|reads)\s*:\s*(.*?)\s*$")


@dataclass(frozen=True, slots=True)
class View:
    """One view: its name, the tables it reads, one line on what it is, and its SELECT."""

    name: str
    reads: tuple[str, ...]
    about: str
    sql: str

    @property
    def ddl(self) -> str:
        """The `CREATE VIEW` statement."""
        return f'CREATE VIEW "{self.name}" AS\n{self.sql}'


@cache
def views(folder: Path = FOLDER) -> dict[str, View]:
    """Every view by name. Raises `ValueError` for an incomplete header or a table without a schema."""
    found = {}
    for path in sorted(folder.glob("*.sql")):
        headers: dict[str, str] = {}
        about, lines = [], path.read_text(encoding="utf-8").splitlines()
        while lines and lines[0].startswith("--"):
            line = lines.pop(0)
            if header := _HEADER.match(line):
                headers[header[1]] = header[2]
            else:
                about.append(line.strip("- "))
        reads = tuple(re.findall(r"\w+", headers.get("reads", "")))
        sql = "\n".join(lines).strip().rstrip(";")
        if headers.get("view") != path.stem or not reads or not about or not sql:
            raise ValueError(
                f"data/marts/views/{path.name}: expected `-- view: {path.stem}`, `-- reads: TABLE, ...`, a line on "
                "what it is, and one SELECT"
            )
        for table in reads:
            if table not in SCHEMAS:
                raise ValueError(f"data/marts/views/{path.name}: table {table} has no schema in data/schemas")
        found[path.stem] = View(path.stem, reads, " ".join(about), sql)
    return found
