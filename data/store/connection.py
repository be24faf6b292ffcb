"""Open a warehouse file, and turn SQLite's errors into those of `data.errors`. Use a connection in one thread only."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from data.errors import (
    DamagedValue,
    MigrationFailed,
    NotAWarehouse,
    WarehouseError,
    WarehouseFull,
    WarehouseLocked,
    WarehouseMissing,
)
from data.errors import WarehouseReadOnly as ReadOnly
from data.store.layout import SCHEMA_VERSION, identify, is_current

BUSY_TIMEOUT = 10.0
"""Seconds a connection waits for the write lock."""


LEAST_FREE = 2**20
"""Bytes: with less free space than this, an I/O error is reported as a full disk."""


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's errors in this block as errors of `data.errors`, with the file and what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        # Text that is not UTF-8: SQLite stores any bytes, and has no error code for this.
        if "Could not decode to UTF-8" in str(error):
            raise DamagedValue(
                f"{path}: holds text that is not UTF-8 ({str(error)[:200]!r}): it was changed by another program. "
                "Restore the file from a copy, or run the flow that writes the table again"
            ) from error
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise NotAWarehouse(
                f"{path}: is damaged or is not an SQLite file ({error}); restore it from a copy, or move it away and "
                "fill a new one"
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise WarehouseLocked(
                f"{path}: another process holds the write lock; nothing was written in this transaction. "
                "Wait for it to end, then run again"
            ) from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
            raise ReadOnly(
                f"{path}: cannot be written ({error}); check the rights of the file and directory"
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN:
            raise ReadOnly(
                f"{path}: cannot be opened ({error}); check that its directory exists and is writable"
            ) from (error)
        # Without room for its shared memory, SQLite says no more than "disk I/O error".
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _free(path) < LEAST_FREE):
            raise WarehouseFull(
                f"{path}: the disk is full; nothing was written in this transaction, earlier ones are kept. "
                f"{_free(path) / 1e6:,.1f} MB are free in {path.parent}: make room there, or move the file "
                "and set RISK_DB, then run again"
            ) from error
        if code == sqlite3.SQLITE_IOERR:
            raise WarehouseError(f"{path}: cannot be read or written ({error}); check the disk") from error
        raise


def connect_for_writing(path: Path, timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """A connection to a file of the current layout; the file is created or upgraded where needed."""
    with sqlite_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ReadOnly(f"{path.parent}: the directory cannot be created ({error}); set RISK_DB") from error
        if _exists(path) and path.is_dir():
            raise NotAWarehouse(f"{path}: is a directory, expected a file; set RISK_DB to a file name")
        connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
        try:
            version = identify(connection, path)  # before the first write: the file of another program must not change
            older = 0 < version < SCHEMA_VERSION
            if not older:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
            if not is_current(connection, version):
                _migrations().migrate(connection, path)
            if older:  # only now: this writes to a file that had no log, and there is a copy of the old one
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection


def connect_for_reading(path: Path, timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """A read-only connection; an older file is upgraded first. Raises `WarehouseMissing` without a file."""
    if not _exists(path):
        raise WarehouseMissing(
            f"{path}: there is no warehouse yet; run `python -m data.sample` for the built-in sample, or "
            "`python -m flows aave-market` for live data, or set RISK_DB"
        )
    with sqlite_errors(path):
        connection = _open_read_only(path, timeout)
        try:
            version = identify(connection, path)
            current = is_current(connection, version)
            known = current or _migrations().has_layout(connection, version)
        except BaseException:
            connection.close()
            raise
    if current:
        return connection
    connection.close()
    try:
        connect_for_writing(path, timeout).close()
    except ReadOnly as error:
        if known:
            with sqlite_errors(path):
                return _open_read_only(path, timeout)
        raise MigrationFailed(
            f"{path}: has an older layout ({version}; this version needs {SCHEMA_VERSION}) and cannot be upgraded "
            f"because it is read-only; run `python -m data migrate` where it can be written"
        ) from error
    with sqlite_errors(path):
        return _open_read_only(path, timeout)


def _migrations() -> ModuleType:
    # Not at the top: the schemas import pandera (0.6 s), and few files have another layout.
    from data.store import migrations

    return migrations


def _free(path: Path) -> int:
    """Free bytes on the file's disk; 0 where that is unknown."""
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return 0


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ReadOnly(f"{path}: cannot be reached ({error}); check the rights of its directory") from error


def _open_read_only(path: Path, timeout: float) -> sqlite3.Connection:
    uri = path.resolve().as_uri() + "?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        wal = path.with_name(path.name + "-wal")
        unreachable = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if (error.sqlite_errorcode & 0xFF) not in unreachable or (wal.exists() and wal.stat().st_size):
            raise
        # A file in WAL mode in a read-only directory: nobody can write to it, so it may be read without the log.
        return sqlite3.connect(uri + "&immutable=1", uri=True, timeout=timeout, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return connection
