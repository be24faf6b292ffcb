"""The tables in the SQL of other warehouses: CREATE TABLE of every schema, written by SQLGlot.

Integers are 64 bits, reals are doubles, and uint256 stays decimal text everywhere; names keep their case, in quotes.
BigQuery and Snowflake do not enforce the keys that are declared.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from data.schemas.tables import Table

DIALECTS = ("postgres", "duckdb", "bigquery", "snowflake", "clickhouse")
EXECUTED = ("postgres", "duckdb")
"""Dialects whose SQL the tests run on the engine itself; the SQL of the others is only parsed back."""

_TYPES = {"TEXT": "TEXT", "INTEGER": "BIGINT", "REAL": "DOUBLE"}


def create_table(name: str, columns: Sequence[tuple[str, str]], key: Sequence[str], dialect: str) -> str:
    """CREATE TABLE of columns with the warehouse's types (`TEXT`, `INTEGER NOT NULL`, ...) and a key, if any."""
    if dialect not in DIALECTS:
        raise ValueError(f"expected one of {', '.join(DIALECTS)}, found {dialect!r}")
    parts: list[exp.Expr] = [_column(column, *kind.split(" ", 1), dialect=dialect) for column, kind in columns]
    names = [exp.to_identifier(column, quoted=True) for column in key]
    properties = None
    if dialect == "clickhouse":
        # Sorted by the key. MergeTree does not replace rows of the same key: load a table once, or empty it first.
        columns_of_key = [exp.column(column) for column in names]
        order = exp.Tuple(expressions=columns_of_key) if len(names) > 1 else exp.Paren(this=columns_of_key[0])
        properties = exp.Properties(
            expressions=[exp.EngineProperty(this=exp.var("MergeTree")), exp.Order(expressions=[order])]
        )
    elif key:
        options = ["NOT ENFORCED"] if dialect == "bigquery" else []
        parts.append(exp.PrimaryKey(expressions=names, options=options))
    table = exp.Schema(this=exp.to_table(name, quoted=True), expressions=parts)
    table.this.set("this", exp.to_identifier(name, quoted=True))
    return exp.Create(this=table, kind="TABLE", properties=properties).sql(dialect, pretty=True, identify=True)


def _column(name: str, kind: str, constraint: str = "", *, dialect: str) -> exp.ColumnDef:
    required = constraint == "NOT NULL"
    # ClickHouse says in the type whether NULL is allowed.
    data_type = exp.DataType.build(_TYPES[kind])
    if dialect == "clickhouse":
        data_type.set("nullable", not required)
    constraints = []
    if required and dialect != "clickhouse":
        constraints = [exp.ColumnConstraint(kind=exp.NotNullColumnConstraint())]
    return exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=data_type, constraints=constraints)


def ddl(table: Table, dialect: str) -> str:
    """CREATE TABLE of one table in a dialect of `DIALECTS`, key included."""
    columns = [(c.name, c.type + ("" if c.nullable else " NOT NULL")) for c in table.columns]
    return create_table(table.name, columns, table.key, dialect)
