"""The warehouse as an export reads it: one state of the file, in chunks of rows, with a checksum of each table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data.export.checksum import Checksum
from data.schemas.tables import Table
from data.store.connection import sqlite_errors
from data.store.store import Store
from data.store.upserts import quoted

CHUNK = 20_000
"""Rows held at once, and rows of a Parquet row group at most."""


class WarehouseState:
    """Rows of one state of a warehouse; `seen` has the checksum of each table that was read to its end."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self.tick: Callable[[int], object] = lambda n_rows: None
        self.seen: dict[str, Checksum] = {}

    @property
    def newest_batch(self) -> int:
        """The newest write (`fact_batch`) of the state; 0 for none."""
        return self._connection.execute("SELECT coalesce(max(batch), 0) FROM fact_batch").fetchone()[0]

    def n_rows(self, tables: Sequence[Table]) -> int:
        """Rows of these tables together."""
        return sum(self._connection.execute(f'SELECT count(*) FROM "{t.name}"').fetchone()[0] for t in tables)

    def chunks(self, table: Table, first_by: str | None = None) -> Iterator[list[tuple]]:
        """All rows in the order of the key, those with the same `first_by` together; columns as `table.names`."""
        order = (first_by, *(name for name in table.key if name != first_by)) if first_by else table.key
        cursor = self._connection.execute(f'SELECT {quoted(table.names)} FROM "{table.name}" ORDER BY {quoted(order)}')
        checksum = Checksum()
        while True:
            with sqlite_errors(self._path):  # not around the target's work: its errors are not the warehouse's
                rows = cursor.fetchmany(CHUNK)
            if not rows:
                break
            checksum.add(rows)
            yield rows
            self.tick(len(rows))
        self.seen[table.name] = checksum


@contextmanager
def one_state(path: Path | None) -> Iterator[WarehouseState]:
    """The state that the warehouse `path` (`RISK_DB` when None) has now."""
    with Store.open(path, readonly=True) as store, store.one_state() as connection:
        yield WarehouseState(connection, store.path)
