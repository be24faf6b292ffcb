"""One DuckDB file with the tables and their manifest, written beside the target and renamed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from data.errors import ExportFailed
from data.export.checksum import Checksum
from data.export.ddl import create_table
from data.export.manifest import COLUMNS, TABLE, Exported, Manifest, verified
from data.export.parquet import record_batch, schema
from data.export.state import CHUNK, WarehouseState
from data.schemas.tables import Table, fingerprint
from data.store.upserts import quoted


def write(path: Path, state: WarehouseState, tables: Sequence[Table]) -> Manifest:
    """Write the file anew in the place of an earlier export. Raises `ExportFailed`."""
    _require_ours(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.exporting")
    log = beside.with_name(beside.name + ".wal")
    for left_over in (beside, log):
        left_over.unlink(missing_ok=True)
    try:
        with duckdb.connect(str(beside)) as connection:
            entries = tuple(_table(connection, state, table) for table in tables)
            manifest = Manifest(fingerprint(), state.newest_batch, entries)
            connection.execute(create_table(TABLE, COLUMNS, (), "duckdb"))
            if entries:
                connection.executemany(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?)", manifest.rows())
            connection.execute("CHECKPOINT")
        beside.replace(path)
    except BaseException:
        for left_over in (beside, log):
            left_over.unlink(missing_ok=True)
        raise
    return manifest


def _table(connection: duckdb.DuckDBPyConnection, state: WarehouseState, table: Table) -> Exported:
    # No primary key: DuckDB keeps its whole index in memory, and the warehouse has checked the keys already.
    columns = [(c.name, c.type + ("" if c.nullable else " NOT NULL")) for c in table.columns]
    connection.execute(create_table(table.name, columns, (), "duckdb"))
    layout = schema(table)
    for rows in state.chunks(table):
        batch = record_batch(rows, layout)
        connection.register("chunk_of_rows", batch)
        connection.execute(f'INSERT INTO "{table.name}" SELECT * FROM chunk_of_rows')
        connection.unregister("chunk_of_rows")
    written = Checksum()
    cursor = connection.execute(f'SELECT {quoted(table.names)} FROM "{table.name}"')
    while rows := cursor.fetchmany(CHUNK):
        written.add(rows)
    return verified(table, state.seen[table.name], written, "duckdb")


def _require_ours(path: Path) -> None:
    if not path.exists():
        return
    if path.is_dir():
        raise ExportFailed(f"{path}: is a folder, expected a file; nothing was exported")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            ours = len(
                connection.execute("SELECT 1 FROM information_schema.tables WHERE table_name = ?", [TABLE]).fetchall()
            )
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise ExportFailed(f"{path}: is open in another process; close it there, then run again") from error
        ours = 0
    except duckdb.Error:
        ours = 0
    if not ours:
        raise ExportFailed(
            f"{path}: is no export of this tool (no DuckDB file with a table {TABLE}); it is left as it was. Name "
            "another file"
        )
