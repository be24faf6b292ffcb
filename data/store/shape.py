"""The tables of a file: created, altered, indexed and looked into, all by sqlite-utils.

Rows are written by plain `executemany` (`data.store.upserts`): sqlite-utils takes a dict a row.
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database

from data.schemas.tables import Column, Table
from data.schemas.views import View


def database(connection: sqlite3.Connection) -> Database:
    """sqlite-utils over a connection of ours. Inside a transaction it takes part in that one and commits nothing."""
    return Database(connection, recursive_triggers=False, execute_plugins=False)


def create_table(db: Database, table: Table) -> None:
    """Create a table where it is missing: STRICT, its rows kept in the order of the key.

    sqlite-utils has no word for WITHOUT ROWID, so this one is added to its statement.
    """
    sql = db.create_table_sql(
        table.name,
        {column.name: column.type for column in table.columns},
        pk=table.key,
        not_null=[column.name for column in table.columns if not column.nullable],
        if_not_exists=True,
        strict=True,
    )
    db.execute(f"{sql.strip().rstrip(';')}, WITHOUT ROWID")


def create_indexes(db: Database, table: Table) -> None:
    """Create the indexes of a table that are missing."""
    for columns in table.indexes:
        db.table(table.name).create_index(columns, table.index_name(columns), if_not_exists=True)


def create_triggers(db: Database, table: Table) -> None:
    """Create the triggers of a table that are missing; sqlite-utils has no word for them."""
    for statement in table.trigger_ddl:
        db.execute(statement)


def replace_table(db: Database, table: Table) -> None:
    """Give a table of an older layout today's, its rows kept; its indexes are gone then."""
    names, before = ", ".join(f'"{name}"' for name in table.names), f"{table.name}_before"
    db.rename_table(table.name, before)
    create_table(db, table)
    db.execute(f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM "{before}"')
    db.table(before).drop()


def add_column(db: Database, table: str, column: Column, *, filled_with: str | int | None = None) -> None:
    """Add a column to a table; `filled_with`: value of all rows that are there, for a column that may not be empty."""
    db.table(table).add_column(column.name, column.type, not_null_default=filled_with)


def key_of(db: Database, table: str) -> tuple[str, ...]:
    """The columns of a table's primary key as the file has them, in their order; empty without a table."""
    keyed = [column for column in db.table(table).columns if column.is_pk]
    return tuple(column.name for column in sorted(keyed, key=lambda column: column.is_pk))


def columns_of(db: Database, table: str) -> list[str]:
    """The columns of a table as the file has them; empty without a table."""
    return [column.name for column in db.table(table).columns]


def never_empty(db: Database, table: str) -> set[str]:
    """The columns of a table that the file keeps from being empty."""
    return {column.name for column in db.table(table).columns if column.notnull}


def drop_views(db: Database) -> None:
    """Remove every view, so that tables below them may change."""
    for name in db.view_names():
        db.view(name).drop()


def create_view(db: Database, view: View) -> None:
    """Create one view, which must not be there."""
    db.create_view(view.name, view.sql)
