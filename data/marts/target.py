"""The SQL files of this folder: what each makes, from what, and the order in which they run."""

from __future__ import annotations

import graphlib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import MartFailed
from data.marts.template import filled
from data.schemas.tables import BATCH, tables

FOLDER = Path(__file__).resolve().parent

_HEADER = re.compile(r"--\s*(target|reads|scope|engine)\s*:\s*(.*?)\s*$", re.IGNORECASE)
_SCOPE = re.compile(r"(?P<columns>\w+(?:\s*,\s*\w+)*)\s+from\s+(?P<rows>\w+|\(SELECT .*\))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scope:
    """The file's SELECT returns all rows for the values of `columns` in new rows of `rows`, a table or a SELECT."""

    columns: tuple[str, ...]
    rows: str

    def tables(self, reads: Iterable[str]) -> tuple[str, ...]:
        """Those of `reads` that `rows` names."""
        return tuple(name for name in reads if re.search(rf"\b{name}\b", self.rows))


@dataclass(frozen=True, slots=True)
class Target:
    """What a file makes: the table, the tables it reads, its SELECT, and one line on what it is.

    `everywhere`: false where the SELECT needs 256-bit integers, which only `data.marts.functions` has: other engines
    take the rows of such a table as they are.
    """

    name: str
    reads: tuple[str, ...]
    scope: Scope | None
    about: str
    sql: str
    file: str
    everywhere: bool = True

    @property
    def sha256(self) -> str:
        """Digest of all that makes the table: another one builds the table anew."""
        text = f"{self.name}|{','.join(self.reads)}|{self.scope}|{self.sql}"
        return hashlib.sha256(text.encode()).hexdigest()


def targets(folder: Path = FOLDER) -> dict[str, Target]:
    """Every target by name, inputs before what reads them. Raises `MartFailed` for an incomplete header."""
    found: dict[str, Target] = {}
    for path in sorted(folder.glob("*/*.sql"), key=lambda path: path.name):
        if path.parent.name == "views":
            continue
        file = path.relative_to(folder).as_posix()
        for text in filled(file, path.read_text(encoding="utf-8")):
            target = parse(file, text)
            if target.name in found:
                raise MartFailed(f"{file}: makes {target.name}, which {found[target.name].file} makes already")
            found[target.name] = target
    graph = {name: sorted(set(target.reads) & set(found) - {name}) for name, target in found.items()}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        raise MartFailed(f"data/marts: tables read each other in a circle: {' <- '.join(error.args[1])}") from error
    return {name: found[name] for name in order}


def with_inputs(names: list[str], known: Mapping[str, Target]) -> list[str]:
    """`names` and every target they are made from, in the order of `known`. Raises `MartFailed` for an unknown one."""
    wanted, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in known:
            raise MartFailed(f"there is no table {name} in data/marts; there are {', '.join(known) or 'none'}")
        if name not in wanted:
            wanted.add(name)
            left += [table for table in known[name].reads if table in known and table != name]
    return [name for name in known if name in wanted]


def parse(file: str, text: str) -> Target:
    """One text. Raises `MartFailed` when its header is incomplete or names a table that has no schema."""
    headers: dict[str, str] = {}
    about, lines = [], text.splitlines()
    while lines and (not lines[0].strip() or lines[0].startswith("--")):
        line = lines.pop(0)
        if header := _HEADER.match(line):
            headers[header[1].lower()] = header[2]
        elif line.strip("- "):
            about.append(line.strip("- "))
    sql = "\n".join(lines).strip().rstrip(";")
    for part, found in (
        ("-- target: TABLE", headers.get("target")),
        ("-- reads: TABLE, ...", headers.get("reads")),
        ("a comment that says what it is", about),
        ("one SELECT", sql),
    ):
        if not found:
            raise MartFailed(f"data/marts/{file}: lacks {part}")
    reads = tuple(name.strip() for name in headers["reads"].split(",") if name.strip())
    if headers.get("engine", "sqlite") != "sqlite":
        raise MartFailed(
            f"data/marts/{file}: expected `-- engine: sqlite` or no such line, found {headers['engine']!r}"
        )
    scope = None
    if "scope" in headers:
        match = _SCOPE.fullmatch(headers["scope"])
        if not match:
            raise MartFailed(
                f"data/marts/{file}: expected `-- scope: COLUMN, ... from ROWS`, found {headers['scope']!r}"
            )
        scope = Scope(tuple(re.split(r"\s*,\s*", match["columns"])), match["rows"])
    target = Target(headers["target"], reads, scope, " ".join(about), sql, file, "engine" not in headers)
    _require_known(target)
    return target


def _require_known(target: Target) -> None:
    known = tables()
    for name in (target.name, *target.reads):
        if name not in known:
            raise MartFailed(f"data/marts/{target.file}: table {name} has no schema in data/schemas")
    if BATCH not in known[target.name].names:
        raise MartFailed(
            f"data/marts/{target.file}: {target.name} needs the column {BATCH} (data.schemas.fields.batch)"
        )
    scope = target.scope
    if scope and not set(scope.columns) <= set(known[target.name].names):
        raise MartFailed(
            f"data/marts/{target.file}: the scope must name columns of {target.name}, found {', '.join(scope.columns)}"
        )
    if scope and not scope.tables(target.reads):
        raise MartFailed(
            f"data/marts/{target.file}: the scope must come from one of the tables it reads, found {scope.rows}"
        )
