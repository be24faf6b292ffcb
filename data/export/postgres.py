"""Tables of a PostgreSQL database, brought to the state of the warehouse in one transaction.

Rows arrive by COPY in a temporary table; then what is gone is deleted and what is new or different is put in by the
key. Rows that did not change are not touched, and views and grants on a table stay: a second export changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString, cast

import psycopg

from data.errors import ExportFailed
from data.export.checksum import Checksum
from data.export.ddl import create_table, ddl
from data.export.manifest import COLUMNS, TABLE, Exported, Manifest, verified
from data.export.state import CHUNK, WarehouseState
from data.export.targets import Target
from data.schemas.tables import Table, fingerprint
from data.store.upserts import quoted

_TYPES = {"TEXT": "text", "INTEGER": "bigint", "REAL": "double precision"}


def write(target: Target, state: WarehouseState, tables: Sequence[Table]) -> Manifest:
    """Bring the database to a warehouse's state, in the first schema of its search path. Raises `ExportFailed`."""
    try:
        with psycopg.connect(target.url, connect_timeout=15) as connection, connection.transaction():
            _require_utf8(connection, target)
            # Two exports into one schema wait for each other.
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s || current_schema(), 0))", ["data.export "]
            )
            known = _manifest_tables(connection, target)
            entries = tuple(_table(connection, state, table, target, table.name in known) for table in tables)
            manifest = Manifest(fingerprint(), state.newest_batch, entries)
            for row in manifest.rows():
                connection.execute(
                    _upsert(TABLE, [name for name, _ in COLUMNS], ["table_name"], "VALUES (%s, %s, %s, %s, %s)"), row
                )
    except psycopg.Error as error:
        # Not chained: the driver's words may hold the password of the address.
        reason = " ".join(target.hidden(str(error)).split())
        raise ExportFailed(f"{target.name}: {reason}; the transaction was rolled back, nothing was changed") from None
    return manifest


def _require_utf8(connection: psycopg.Connection, target: Target) -> None:
    """Raise `ExportFailed` for a database whose encoding does not hold every text.

    SQL_ASCII gives bytes back as they came, so the driver hands on bytes where rows are compared as text, and the check
    after writing would call a whole export damaged. Others (LATIN1) refuse some symbols in the middle of the work.
    """
    (encoding,) = connection.execute("SELECT current_setting('server_encoding')").fetchone() or ("",)
    encoding = encoding.decode("ascii", "replace") if isinstance(encoding, bytes) else encoding
    if encoding != "UTF8":
        raise ExportFailed(
            f"{target.name}: the database has the encoding {encoding}, expected UTF8; nothing was changed. Create "
            "one with `createdb --encoding=UTF8 --template=template0 NAME` and name it"
        )


def _manifest_tables(connection: psycopg.Connection, target: Target) -> set[str]:
    """Names of tables that an earlier export made; the manifest's table is created where there is none."""
    found = _columns(connection, TABLE)
    expected = [(name, _TYPES[kind], True) for name, kind in COLUMNS]
    if not found:
        _run(connection, create_table(TABLE, [(n, f"{t} NOT NULL") for n, t in COLUMNS], ("table_name",), "postgres"))
        return set()
    if found != expected:
        raise ExportFailed(
            f"{target.name}: has a table {TABLE} that is not this tool's; name another database or schema"
        )
    return {name for (name,) in connection.execute(f"SELECT table_name FROM {TABLE}")}


def _table(connection: psycopg.Connection, state: WarehouseState, table: Table, target: Target, ours: bool) -> Exported:
    _prepare(connection, table, target, ours)
    _run(connection, f'CREATE TEMP TABLE "staged_rows" (LIKE "{table.name}") ON COMMIT DROP')
    _copy(connection, state, table, target)
    _run(connection, 'ANALYZE "staged_rows"')
    same = " AND ".join(f's."{name}" = t."{name}"' for name in table.key)
    gone = f'NOT EXISTS (SELECT 1 FROM "staged_rows" AS s WHERE {same})'
    _run(connection, f'DELETE FROM "{table.name}" AS t WHERE {gone}')
    _run(connection, _upsert(table.name, table.names, table.key, f'SELECT {quoted(table.names)} FROM "staged_rows"'))
    _run(connection, 'DROP TABLE "staged_rows"')
    written = Checksum()
    with connection.cursor(f"read_back_{table.name}") as cursor:  # a named cursor stays on the server
        cursor.execute(cast(LiteralString, f'SELECT {quoted(table.names)} FROM "{table.name}"'))
        while rows := cursor.fetchmany(CHUNK):
            written.add(rows)
    return verified(table, state.seen[table.name], written, target.name)


def _prepare(connection: psycopg.Connection, table: Table, target: Target, ours: bool) -> None:
    """Make sure that the table has the current layout. Raises `ExportFailed` for a table that no export made."""
    present = _columns(connection, table.name)
    if present and not ours:
        raise ExportFailed(
            f"{target.name}: has a table {table.name} that no export made; nothing was changed. Drop it, or name "
            "another database or schema (?options=-csearch_path%3Dname)"
        )
    expected = [(c.name, _TYPES[c.type], not c.nullable) for c in table.columns]
    if present == expected and _key(connection, table.name) == sorted(table.key):
        return
    if present:
        try:
            _run(connection, f'DROP TABLE "{table.name}"')
        except psycopg.errors.DependentObjectsStillExist as error:
            raise ExportFailed(
                f"{target.name}: the layout of {table.name} changed, and the table cannot be made anew because others "
                f"depend on it ({error.diag.message_detail}); drop those, then run again. Nothing was changed"
            ) from None
    _run(connection, ddl(table, "postgres"))


def _copy(connection: psycopg.Connection, state: WarehouseState, table: Table, target: Target) -> None:
    """Copy all rows to the staging table. Raises `ExportFailed` for a value that PostgreSQL cannot hold."""
    into = cast(LiteralString, f'COPY "staged_rows" ({quoted(table.names)}) FROM STDIN')
    try:
        with connection.cursor() as cursor, cursor.copy(into) as copy:
            for rows in state.chunks(table):
                for row in rows:
                    copy.write_row(row)
    except psycopg.DataError as error:
        raise ExportFailed(
            f"{target.name}: {table.name} has a value that PostgreSQL cannot hold ({' '.join(str(error).split())}); "
            "nothing was changed. `data.export` to Parquet or DuckDB can"
        ) from None


def _upsert(name: str, columns: Sequence[str], key: Sequence[str], rows: str) -> str:
    """SQL that inserts `rows`, or updates those whose key exists and whose values differ."""
    others = [column for column in columns if column not in key]
    then = "DO NOTHING"
    if others:
        values = ", ".join(f'"{column}" = excluded."{column}"' for column in others)
        old, new = (", ".join(f'{which}."{column}"' for column in others) for which in ("t", "excluded"))
        then = f"DO UPDATE SET {values} WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
    return f'INSERT INTO "{name}" AS t ({quoted(columns)}) {rows} ON CONFLICT ({quoted(key)}) {then}'


def _columns(connection: psycopg.Connection, name: str) -> list[tuple[str, str, bool]]:
    """Name, type and whether NULL is refused of each column of a relation of the current schema; empty for none."""
    return connection.execute(
        "SELECT column_name, data_type, is_nullable = 'NO' FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position",
        [name],
    ).fetchall()


def _key(connection: psycopg.Connection, name: str) -> list[str]:
    found = connection.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey) "
        "WHERE i.indisprimary AND c.relnamespace = current_schema()::regnamespace AND c.relname = %s",
        [name],
    )
    return sorted(column for (column,) in found)


def _run(connection: psycopg.Connection, sql: str) -> None:
    connection.execute(cast(LiteralString, sql))
