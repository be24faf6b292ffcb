"""Create, alter, index and inspect the tables of a file, with sqlite-utils.

Rows are written by plain `executemany` (`data.store.upserts`): sqlite-utils needs a dict for each row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import lru_cache

from sqlite_utils import Database

from data.schemas.tables import Column, Table
from data.schemas.views import View


def database(connection: sqlite3.Connection) -> Database:
    """sqlite-utils on a given connection. Inside a transaction it joins that transaction and does not commit."""
    return Database(connection, recursive_triggers=False, execute_plugins=False)


@lru_cache(maxsize=1)
def new_file(tables: tuple[Table, ...], views: tuple[View, ...]) -> tuple[str, ...]:
    """The statements that give an empty file these tables, indexes, triggers and views, as SQLite keeps them.

    Worked out once in a process, which takes several times as long as running them.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        db = database(connection)
        for table in tables:
            create_table(db, table)
            create_indexes(db, table)
            create_triggers(db, table)
        for view in views:
            create_view(db, view)
        made: Iterable[tuple[str]] = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        )
        return tuple(sql for (sql,) in made)


def create_table(db: Database, table: Table) -> None:
    """Create a table where it is missing: STRICT, its rows kept in the order of the key.

    sqlite-utils does not support WITHOUT ROWID, so it is added to its statement.
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
    """Create the triggers of a table that are missing; sqlite-utils does not support triggers."""
    for statement in table.trigger_ddl:
        db.execute(statement)


def replace_table(db: Database, table: Table) -> None:
    """Replace a table of an older layout by one of today's with the same rows; its indexes are lost."""
    names, before = ", ".join(f'"{name}"' for name in table.names), f"{table.name}_before"
    db.rename_table(table.name, before)
    create_table(db, table)
    db.execute(f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM "{before}"')
    db.table(before).drop()


def add_column(db: Database, table: str, column: Column, *, filled_with: str | int | None = None) -> None:
    """Add a column to a table; `filled_with`: its value in existing rows, for a column that is not nullable."""
    db.table(table).add_column(column.name, column.type, not_null_default=filled_with)


def key_of(db: Database, table: str) -> tuple[str, ...]:
    """The columns of a table's primary key in the file, in their order; empty without a table."""
    keyed = [column for column in db.table(table).columns if column.is_pk]
    return tuple(column.name for column in sorted(keyed, key=lambda column: column.is_pk))


def columns_of(db: Database, table: str) -> list[str]:
    """The columns of a table in the file; empty without a table."""
    return [column.name for column in db.table(table).columns]


def never_empty(db: Database, table: str) -> set[str]:
    """The columns of a table that are NOT NULL in the file."""
    return {column.name for column in db.table(table).columns if column.notnull}


def drop_views(db: Database) -> None:
    """Remove every view, so that tables below them may change."""
    for name in db.view_names():
        db.view(name).drop()


def create_view(db: Database, view: View) -> None:
    """Create one view, which must not exist yet."""
    db.create_view(view.name, view.sql)
