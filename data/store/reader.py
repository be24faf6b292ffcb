"""Read the warehouse: rows and frames of any query, without pandera, which validates writes.

with Reader.open() as reader:
    reader.rows("SELECT count(*) FROM fact_snapshot")
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from data import settings
from data.errors import WarehouseError
from data.store.connection import BUSY_TIMEOUT, connect_for_reading, sqlite_errors

if TYPE_CHECKING:
    import pandas as pd


class Reader:
    """A connection to one warehouse file. Use it in the thread that opened it, and close it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly
        self._connection = connection

    @classmethod
    def open(cls, path: Path | str | None = None, *, timeout: float = BUSY_TIMEOUT) -> Self:
        """Open `path` (`RISK_DB` when None) for reading; a file of an older layout is upgraded first.

        `timeout`: seconds to wait for another program's lock. Raises `WarehouseError` for a file that is missing,
        damaged, of another program, or newer than this package.
        """
        where = settings.risk_db() if path is None else Path(path)
        return cls(where, connect_for_reading(where, timeout), readonly=True)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def rows(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple]:
        """All rows of a query as tuples of plain Python values."""
        with sqlite_errors(self.path):
            try:
                return self._connection.execute(sql, params).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error) or "no such column" in str(error):
                    raise WarehouseError(
                        f"{self.path}: {error}; run `python -m data migrate` to bring the file up to date"
                    ) from error
                raise

    def parts(
        self, sql: str, params: Sequence[Any] | Mapping[str, Any] = (), size: int = 10_000
    ) -> Iterator[list[tuple]]:
        """The rows of a query, `size` at a time, for tables that are larger than memory."""
        with sqlite_errors(self.path):
            cursor = self._connection.execute(sql, params)
            while rows := cursor.fetchmany(size):
                yield rows

    def copy_to(self, target: sqlite3.Connection, pages: int) -> None:
        """SQLite's online backup of the whole file into `target`, `pages` at a time."""
        with sqlite_errors(self.path):
            self._connection.backup(target, pages=pages)

    def read(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> pd.DataFrame:
        """The rows of a query as a frame; uint256 values stay text."""
        # Not at the top: pandas takes 0.4 s to import, and `load_market` does not need it.
        import pandas as pd

        with sqlite_errors(self.path):
            cursor = self._connection.execute(sql, params)
            return pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])

    @contextmanager
    def one_state(self) -> Iterator[sqlite3.Connection]:
        """All queries in this block see the same state of the file, whatever a writer commits meanwhile."""
        with sqlite_errors(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def checkpoint(self, source: str, key: str) -> Any | None:
        """The state that a scan saved last, or None."""
        found = self.rows("SELECT value FROM ingest_checkpoint WHERE source = ? AND key = ?", (source, key))
        return json.loads(found[0][0]) if found else None
