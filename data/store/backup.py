"""Copy a warehouse file while others read and write it; the copy is complete, or there is none."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from data.errors import WarehouseError, WarehouseReadOnly
from data.store.connection import sqlite_errors
from data.store.reader import Reader

PAGES = 4_096
"""Pages that are copied at a time; writers may come in between."""


def back_up(source: Reader, to: Path) -> int:
    """Copy the file of `source` to `to` by SQLite's online backup; returns the bytes of the copy.

    The copy is made under a temporary name in the same directory, checked, written to disk, and then renamed; it is one
    file without a log. Raises `WarehouseError` where the name exists already or the copy is not sound, `WarehouseFull`
    and `WarehouseReadOnly`; after an error no file is left.
    """
    if to.exists() or to.is_symlink():
        raise WarehouseError(f"{to}: exists already; nothing was copied. Give the copy another name, or move that file")
    if not to.parent.is_dir():
        raise WarehouseError(f"{to.parent}: is not a directory; nothing was copied. Create it, or name another")
    try:
        handle, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.", suffix=".part")
    except OSError as error:
        raise WarehouseReadOnly(
            f"{to.parent}: cannot be written ({error}); check the rights of the directory"
        ) from error
    os.close(handle)
    part = Path(name)
    try:
        with sqlite_errors(part):
            _copy(source, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        _name(part, to)
        return to.stat().st_size
    finally:
        for left in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm", "-journal"))):
            left.unlink(missing_ok=True)


def _copy(source: Reader, part: Path) -> None:
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        source.copy_to(copy, PAGES)
        copy.execute("PRAGMA journal_mode = DELETE")  # a copy is one file; the first writer turns the log on again
        found = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
    finally:
        copy.close()
    if found != ["ok"]:
        raise WarehouseError(
            f"{source.path}: its copy is not sound ({'; '.join(found)}), so neither is the file; "
            "`python -m data verify` says more. No copy was left"
        )


def _name(part: Path, to: Path) -> None:
    """Give the copy its name. Raises `WarehouseError` where the name was taken meanwhile."""
    try:
        os.link(part, to)
    except FileExistsError:
        raise WarehouseError(
            f"{to}: was created by another program meanwhile; the copy was removed. Give it another name"
        ) from None
    except OSError:  # a file system without links
        part.replace(to)
    with contextlib.suppress(OSError):  # not every system opens a directory
        directory = os.open(to.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
