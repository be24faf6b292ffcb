"""A file's tables are those of the schemas, whoever writes the statement."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from data.schemas.tables import tables
from data.store import shape

TABLES = list(tables().values())


def looked_into(connection: sqlite3.Connection, name: str) -> list[list[tuple]]:
    """All that SQLite says of a table: columns, STRICT and WITHOUT ROWID, indexes with their columns."""
    indexes = connection.execute(f'SELECT * FROM pragma_index_list("{name}") ORDER BY name').fetchall()
    return [
        connection.execute(f'PRAGMA table_xinfo("{name}")').fetchall(),
        connection.execute("SELECT type, ncol, wr, strict FROM pragma_table_list WHERE name = ?", (name,)).fetchall(),
        [index[1:] for index in indexes],
        *(connection.execute(f'PRAGMA index_xinfo("{index[1]}")').fetchall() for index in indexes),
    ]


def empty() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_is_the_one_that_its_schema_defines(table):
    ours, theirs = empty(), empty()
    db = shape.database(ours)
    shape.create_table(db, table)
    shape.create_indexes(db, table)
    for sql in (table.ddl, *table.index_ddl):
        theirs.execute(sql)

    assert looked_into(ours, table.name) == looked_into(theirs, table.name)
    assert shape.key_of(db, table.name) == table.key
    assert shape.columns_of(db, table.name) == list(table.names)
    assert shape.never_empty(db, table.name) == {column.name for column in table.columns if not column.nullable}


def test_what_is_there_stays():
    db = shape.database(empty())
    table = tables()["ingest_checkpoint"]
    for _ in range(2):
        shape.create_table(db, table)
        shape.create_indexes(db, table)
        db.execute("INSERT OR IGNORE INTO ingest_checkpoint VALUES ('s', 'k', '{}', 1)")

    assert db.table("ingest_checkpoint").count == 1


def test_a_replaced_table_has_today_s_layout_and_its_rows():
    db = shape.database(empty())
    table = tables()["raw_aave_holders"]
    column = table.columns[-1]
    shape.create_table(db, table)
    db.execute("INSERT INTO raw_aave_holders VALUES ('m', 't', 'a', 7)")
    shape.replace_table(db, replace(table, columns=(*table.columns[:-1], replace(column, nullable=True))))

    assert column.name not in shape.never_empty(db, table.name)
    assert db.execute("SELECT * FROM raw_aave_holders").fetchall() == [("m", "t", "a", 7)]
    assert db.table_names() == ["raw_aave_holders"]


def test_a_transaction_of_ours_stays_whole():
    connection = empty()
    connection.execute("BEGIN")
    db = shape.database(connection)
    shape.create_table(db, tables()["fact_batch"])
    shape.create_indexes(db, tables()["fact_batch"])
    db.create_view("v", "SELECT 1 AS one")
    shape.add_column(db, "fact_batch", tables()["quarantine"].column("state"), filled_with="open")
    shape.drop_views(db)

    assert connection.in_transaction
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
