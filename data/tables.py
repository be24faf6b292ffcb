"""SQL tables derived from the schemas: STRICT, keyed, so that a wrong type is an error and never a silent BLOB."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

from pandera.engines import numpy_engine, pandas_engine

from data.schemas import SCHEMAS


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
        return f'"{self.name}" {self.type}' + ("" if self.nullable else " NOT NULL")


@dataclass(frozen=True, slots=True)
class Table:
    """One table: columns in order, primary key, and whether its rows are sealed (written once, never changed)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sealed: bool

    @property
    def ddl(self) -> str:
        columns = ",\n  ".join(column.sql for column in self.columns)
        key = ", ".join(f'"{name}"' for name in self.key)
        return (
            f'CREATE TABLE IF NOT EXISTS "{self.name}" (\n  {columns},\n  PRIMARY KEY ({key})\n) STRICT, WITHOUT ROWID'
        )

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _sql_type(dtype: object) -> str:
    if isinstance(dtype, (numpy_engine.Int64, pandas_engine.INT64)):
        return "INTEGER"
    if isinstance(dtype, numpy_engine.Float64):
        return "REAL"
    if isinstance(dtype, (pandas_engine.STRING, pandas_engine.NpString)):
        return "TEXT"
    raise TypeError(f"no SQL type for {dtype!r}; use str, int64, Int64 (nullable), float64 or StringDtype (nullable)")


@cache
def tables() -> dict[str, Table]:
    """Every table by name, in the order of creation."""
    found = {}
    for name, model in SCHEMAS.items():
        schema = model.to_schema()
        said = model.__config__.metadata or {}
        optional = set(said.get("optional", ()))
        columns = tuple(
            Column(
                name=column.name, type=_sql_type(column.dtype), nullable=column.nullable,
                optional=column.name in optional, provenance=bool(column.metadata.get("provenance")),
                description=column.description or "", unit=column.metadata["unit"],
            )
            for column in schema.columns.values()
        )  # fmt: skip
        found[name] = Table(
            name=name, columns=columns, key=tuple(schema.unique), sealed=bool(said.get("sealed"))
        )  # fmt: skip
    return found


def fingerprint() -> str:
    """SHA-256 of all table definitions: two files with the same fingerprint have the same layout."""
    return hashlib.sha256("\n".join(table.ddl for table in tables().values()).encode()).hexdigest()
