"""One export from beginning to end: choose the tables, read one state of the warehouse, write, report errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from data.errors import ExportFailed
from data.export import sqlite_file
from data.export.failures import of_files, require_packages
from data.export.manifest import Manifest
from data.export.selection import content as without_arrival
from data.export.selection import selected
from data.export.state import WarehouseState, one_state
from data.export.targets import Target, target
from data.schemas.tables import Table


def export(
    to: str,
    names: Sequence[str] | None = None,
    everything: bool = False,
    *,
    content: bool = False,
    path: Path | None = None,
    progress: bool = False,
) -> Manifest:
    """Export the tables `names` (None: the served ones; with `everything`: all) of the warehouse `path` (`RISK_DB`).

    `to`: see `data.export.targets`. An earlier export at the target is replaced by exactly these tables; in a
    PostgreSQL database other tables stay. `content`: leave out how rows arrived, so that two warehouses of the same
    content give the same bytes (into a folder only). `progress`: draw a bar on the standard error where that is a
    terminal. Raises `ExportFailed` with the target as it was, or another `WarehouseError` where the warehouse cannot be
    read.
    """
    where, tables = target(to), selected(names, everything)
    if content:
        if where.kind != "parquet":
            raise ExportFailed(f"--content: expected a folder, found {where.name}; nothing was exported")
        tables = without_arrival(tables)
    require_packages(where.kind)
    with (
        one_state(path) as state,
        tqdm(
            total=state.n_rows(tables),
            desc=where.name[-40:],
            unit=" rows",
            unit_scale=True,
            disable=None if progress else True,
        ) as bar,
    ):
        state.tick = bar.update
        try:
            return _write(where, state, tables, 0 if content else state.newest_batch)
        except _errors(where) as error:
            raise of_files(where, error) from error


def _write(where: Target, state: WarehouseState, tables: Sequence[Table], newest_batch: int) -> Manifest:
    # Imported where it is used: only the packages of the chosen target need to be installed (requirements-export.txt).
    if where.kind == "postgres":
        from data.export import postgres

        return postgres.write(where, state, tables)
    if where.kind == "parquet":
        from data.export import parquet

        return parquet.write(where.path, state, tables, newest_batch)
    if where.kind == "duckdb":
        from data.export import duckdb_file

        return duckdb_file.write(where.path, state, tables)
    return sqlite_file.write(where.path, state, tables)


def _errors(where: Target) -> tuple[type[Exception], ...]:
    if where.kind == "sqlite":
        return (OSError, sqlite3.Error)
    if where.kind == "duckdb":
        import duckdb  # here, for the same reason

        return (OSError, duckdb.Error)
    return (OSError,)
