"""SQL tables derived from the schemas: STRICT, keyed, so that a wrong type is an error and never a silent BLOB."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from pandera.engines import numpy_engine, pandas_engine

from data.schemas import SCHEMAS
from data.schemas.model import TableModel
from data.schemas.views import View, views

BATCH = "batch"
"""Column with the number of the write a row came with (`fact_batch`)."""
CONTENT_SHA256 = "content_sha256"
"""Column with the digest of a row's content."""

TIMES = ("ts", "block_time", "block_timestamp", "timestamp", "updated_at", "close_time", "fetched_at", "as_of_ts")
"""Columns that hold the time a row is about, in order of preference."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: SQL type (INTEGER, REAL, TEXT), whether NULL is allowed, and how a frame may treat it."""

    name: str
    type: str
    nullable: bool
    optional: bool
    provenance: bool
    description: str
    unit: str

    @property
    def sql(self) -> str:
        """The column's line in `CREATE TABLE`."""
        return f'"{self.name}" {self.type}' + ("" if self.nullable else " NOT NULL")


@dataclass(frozen=True, slots=True)
class Table:
    """One table: columns in order, primary key, further indexes, and what may happen to its rows.

    `sealed`: written once, never changed. `append`: only ever added to; the key is then the natural key and `batch`.
    `time`: column with the time a row speaks of, None for none. `late_after`: seconds after which it is late, None
    where nothing is expected of it. `validity`: a row holds from one block until another (`data.schemas.model.Valid`).
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sealed: bool
    append: bool
    time: str | None
    indexes: tuple[tuple[str, ...], ...]
    late_after: int | None = None
    validity: bool = False

    @property
    def ddl(self) -> str:
        """The `CREATE TABLE` statement."""
        return f'CREATE TABLE IF NOT EXISTS "{self.name}" {self.body}'

    @property
    def body(self) -> str:
        """What follows the name in CREATE TABLE."""
        columns = ",\n  ".join(column.sql for column in self.columns)
        key = ", ".join(f'"{name}"' for name in self.key)
        return f"(\n  {columns},\n  PRIMARY KEY ({key})\n) STRICT, WITHOUT ROWID"

    @property
    def index_ddl(self) -> tuple[str, ...]:
        """One `CREATE INDEX` statement for each index."""
        return tuple(
            f'CREATE INDEX IF NOT EXISTS "{self.index_name(index)}" ON "{self.name}" '
            f"({', '.join(f'{chr(34)}{name}{chr(34)}' for name in index)})"
            for index in self.indexes
        )

    @property
    def trigger_ddl(self) -> tuple[str, ...]:
        """`CREATE TRIGGER` statements of a table with validity: at one block, one row of a key holds."""
        if not self.validity:
            return ()
        same = " AND ".join(f'"{name}" = NEW."{name}"' for name in self.subject)
        meets = (
            f'SELECT 1 FROM "{self.name}" WHERE {same} AND (NEW.valid_to IS NULL OR valid_from < NEW.valid_to) '
            "AND (valid_to IS NULL OR valid_to > NEW.valid_from)"
        )
        refuse = f"SELECT RAISE(ABORT, '{self.name}: two rows of one key would hold at one block')"
        empty = "NEW.valid_to <= NEW.valid_from"
        return (
            f'CREATE TRIGGER IF NOT EXISTS "{self.name}_one_row_added" BEFORE INSERT ON "{self.name}" '
            f"WHEN {empty} OR EXISTS ({meets}) BEGIN {refuse}; END",
            f'CREATE TRIGGER IF NOT EXISTS "{self.name}_one_row_changed" BEFORE UPDATE ON "{self.name}" '
            f"WHEN {empty} OR EXISTS ({meets} AND valid_from <> OLD.valid_from) BEGIN {refuse}; END",
        )

    def index_name(self, columns: Iterable[str]) -> str:
        """Name of the index over these columns."""
        return f"{self.name}_by_{'_'.join(columns)}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in their stored order."""
        return tuple(column.name for column in self.columns)

    @property
    def subject(self) -> tuple[str, ...]:
        """What a row of a table with validity is about: the key without the block from which it holds."""
        return tuple(name for name in self.key if name != "valid_from")

    @property
    def natural_key(self) -> tuple[str, ...]:
        """What a row is about: the key without the number of the write."""
        return tuple(name for name in self.key if name != BATCH) if self.append else self.key

    @property
    def content(self) -> tuple[str, ...]:
        """Columns of the content, without those that tell how the row arrived."""
        return tuple(column.name for column in self.columns if not column.provenance)

    def column(self, name: str) -> Column:
        """The column of this name."""
        return next(column for column in self.columns if column.name == name)


def _sql_type(dtype: object) -> str:
    if isinstance(dtype, (numpy_engine.Int64, pandas_engine.INT64)):
        return "INTEGER"
    if isinstance(dtype, numpy_engine.Float64):
        return "REAL"
    if isinstance(dtype, (pandas_engine.STRING, pandas_engine.NpString)):
        return "TEXT"
    raise TypeError(f"no SQL type for {dtype!r}; use str, int64, Int64 (nullable), float64 or StringDtype (nullable)")


def _content_first(model: type[TableModel], columns: Iterable[str]) -> list[str]:
    """Columns in order: those that the table declares itself, then those of its base that tell how a row arrived."""
    arrival = model.arrival()
    return [*(name for name in columns if name not in arrival), *arrival]


@cache
def tables() -> dict[str, Table]:
    """Every table by name, in the order of creation."""
    found = {}
    for name, model in SCHEMAS.items():
        schema = model.to_schema()
        metadata = getattr(model.Config, "metadata", {})
        optional = set(metadata.get("optional", ()))
        columns = tuple(
            Column(
                name=column.name,
                type=_sql_type(column.dtype),
                nullable=column.nullable,
                optional=column.name in optional,
                provenance=bool(column.metadata.get("provenance")),
                description=column.description or "",
                unit=column.metadata["unit"],
            )
            for column in schema.columns.values()
        )
        append = bool(metadata.get("append"))
        indexes = [tuple(index) for index in metadata.get("indexes", ())]
        if append and (BATCH,) not in indexes:
            indexes.append((BATCH,))
        key = (*schema.unique, *([BATCH] if append else []))
        # The key first, as WITHOUT ROWID lays it down: where it is not, integrity_check of SQLite 3.40 sees NULLs.
        order = list(dict.fromkeys([*key, *_content_first(model, schema.columns)]))
        columns = tuple(sorted(columns, key=lambda column: order.index(column.name)))
        found[name] = Table(
            name=name,
            columns=columns,
            key=key,
            sealed=bool(metadata.get("sealed")),
            append=append,
            indexes=tuple(indexes),
            time=metadata.get("time") or next((name for name in TIMES if name in schema.columns), None),
            late_after=metadata.get("late_after"),
            validity=bool(metadata.get("validity")),
        )
    return found


def fingerprint() -> str:
    """SHA-256 of all definitions: two files with the same fingerprint have the same tables, indexes and views."""
    return _fingerprint(tuple(tables().values()), tuple(views().values()))


@lru_cache(maxsize=1)
def _fingerprint(tables: tuple[Table, ...], views: tuple[View, ...]) -> str:
    definitions = [sql for table in tables for sql in (table.ddl, *table.index_ddl, *table.trigger_ddl)]
    definitions += [view.ddl for view in views]
    return hashlib.sha256("\n".join(definitions).encode()).hexdigest()
