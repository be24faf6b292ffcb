"""One SQLite file with the exported tables alone: STRICT, keyed, indexed, as in the warehouse they come from."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from data.errors import ExportFailed
from data.export.checksum import Checksum
from data.export.manifest import COLUMNS, TABLE, Exported, Manifest, verified
from data.export.state import CHUNK, WarehouseState
from data.schemas.tables import Table, fingerprint
from data.store.upserts import quoted


def write(path: Path, state: WarehouseState, tables: Sequence[Table]) -> Manifest:
    """Write the file anew in the place of an earlier export. Raises `ExportFailed`."""
    _require_ours(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.exporting")
    beside.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(beside, isolation_level=None)) as connection:
            # Nobody reads it yet, and a file that was not finished is thrown away.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("BEGIN")
            entries = tuple(_table(connection, state, table) for table in tables)
            manifest = Manifest(fingerprint(), state.newest_batch, entries)
            connection.execute(f"CREATE TABLE {TABLE} ({', '.join(f'{n} {t} NOT NULL' for n, t in COLUMNS)}) STRICT")
            connection.executemany(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?)", manifest.rows())
            connection.execute("COMMIT")
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return manifest


def _table(connection: sqlite3.Connection, state: WarehouseState, table: Table) -> Exported:
    connection.execute(table.ddl)
    marks = ", ".join("?" * len(table.columns))
    for rows in state.chunks(table):
        connection.executemany(f'INSERT INTO "{table.name}" ({quoted(table.names)}) VALUES ({marks})', rows)
    for index in table.index_ddl:
        connection.execute(index)
    written = Checksum()
    cursor = connection.execute(f'SELECT {quoted(table.names)} FROM "{table.name}"')
    while rows := cursor.fetchmany(CHUNK):
        written.add(rows)
    return verified(table, state.seen[table.name], written, "sqlite")


def _require_ours(path: Path) -> None:
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)) as connection:
            ours = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", [TABLE]).fetchone()[0]
    except sqlite3.Error:
        ours = 0
    if not ours:
        raise ExportFailed(
            f"{path}: is no export of this tool (no SQLite file with a table {TABLE}); it is left as it was. Name "
            "another file"
        )
