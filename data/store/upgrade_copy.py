"""The copy of a warehouse file as it was before an upgrade: whole and on the disk before the file is changed."""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from data import settings

PAGES = 4_096
"""Pages that are copied at a time."""
_CHUNK = 2**20
_COUNTERS = ((24, 28), (92, 100))
"""Bytes of SQLite's file header that count writes: they differ between copies of one content."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The copy; `is_new`: it was made now, and is not of an earlier try that ended before the file was changed."""

    path: Path
    is_new: bool


def keep_copy(path: Path, version: int) -> Kept | None:
    """Copy the file beside itself, under a name with its layout; None where `RISK_UPGRADE_COPY` is "no".

    For a caller that has the file's write lock and has not changed it yet. No file is replaced: where the name is taken
    by another content, the next free one is used. A copy that a killed process left unfinished is removed. Raises the
    errors of SQLite and `OSError`; no copy is left then.
    """
    if not settings.upgrade_copy():
        return None
    name = f"{path.name}.layout-{version}"
    part = path.with_name(f".{name}.part")
    _remove_parts(part)
    try:
        _copy(path, part)
        before = None
        for to in (path.with_name(name), *(path.with_name(f"{name}.{n}") for n in range(2, 1_000))):
            if not to.exists():
                break
            before = to
        if before is not None and _same(part, before):
            return Kept(before, False)
        part.replace(to)
        _write_out(path.parent)
        return Kept(to, True)
    finally:
        _remove_parts(part)


def _copy(path: Path, part: Path) -> None:
    # Another connection: SQLite does not copy from one that has the write lock. It sees what was last committed.
    source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    copy = sqlite3.connect(part)
    try:
        source.backup(copy, pages=PAGES)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log
    finally:
        copy.close()
        source.close()
    _write_out(part)


def _write_out(path: Path) -> None:
    """Wait until a file or the names in a directory are on the disk."""
    with contextlib.suppress(OSError):  # not every system opens a directory
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _same(one: Path, other: Path) -> bool:
    """Whether two database files have the same content, whatever their counters of writes say."""
    return one.stat().st_size == other.stat().st_size and (_same_bytes(one, other) or _same_rows(one, other))


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        first, second = (bytearray(file.read(_CHUNK)) for file in (a, b))
        for start, end in _COUNTERS:
            first[start:end] = second[start:end] = bytes(end - start)
        while first == second:
            if not first:
                return True
            first, second = bytearray(a.read(_CHUNK)), bytearray(b.read(_CHUNK))
    return False


def _same_rows(one: Path, other: Path) -> bool:
    """The layout and every row. A rolled-back write may leave other bytes on free pages, which SQLite does not log."""
    listing = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    with contextlib.ExitStack() as opened:
        both = [
            opened.enter_context(contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)))
            for path in (one, other)
        ]
        for connection in both:
            connection.text_factory = bytes
        layouts = [connection.execute(listing).fetchall() for connection in both]
        versions = {connection.execute("PRAGMA user_version").fetchone() for connection in both}
        if layouts[0] != layouts[1] or len(versions) > 1:
            return False
        for kind, name, *_ in layouts[0]:
            if kind != b"table":
                continue
            table = '"' + name.decode().replace('"', '""') + '"'
            rows = (connection.execute(f"SELECT * FROM {table}") for connection in both)
            if any(first != second for first, second in zip_longest(*rows)):
                return False
    return True


def _remove_parts(part: Path) -> None:
    for left in glob.glob(f"{glob.escape(str(part))}*"):
        Path(left).unlink(missing_ok=True)
