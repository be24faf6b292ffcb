"""When a copy of a warehouse file is the copy that is there already: same rows, whatever lies on unused pages."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from data.store.upgrade_copy import _same


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with unused pages."""
    path = tmp_path / "one.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    connection.executemany("INSERT INTO t (b) VALUES (?)", [("x" * 500,)] * 400)
    connection.commit()
    connection.execute("DELETE FROM t WHERE a > 100")
    connection.commit()
    connection.close()
    return path


def test_other_bytes_on_an_unused_page_are_no_other_content(file: Path, tmp_path: Path) -> None:
    """Where a write is rolled back, SQLite leaves what it wrote on pages that were unused before."""
    other = tmp_path / "two.sqlite"
    held = bytearray(file.read_bytes())
    size = int.from_bytes(held[16:18], "big")
    trunk = (int.from_bytes(held[32:36], "big") - 1) * size  # the first page of the list of unused pages
    leaf = (int.from_bytes(held[trunk + 8 : trunk + 12], "big") - 1) * size
    held[leaf : leaf + size] = bytes(reversed(range(256))) * (size // 256)
    other.write_bytes(held)

    assert other.read_bytes() != file.read_bytes()
    assert sqlite3.connect(other).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert _same(file, other)


@pytest.mark.parametrize(
    "change",
    ["UPDATE t SET b = 'y' || substr(b, 2) WHERE a = 7", "PRAGMA user_version = 9", "ALTER TABLE t RENAME TO u"],
)
def test_another_row_version_or_layout_is_another_content(file: Path, tmp_path: Path, change: str) -> None:
    other = tmp_path / "two.sqlite"
    shutil.copy(file, other)
    connection = sqlite3.connect(other)
    connection.execute(change)
    connection.commit()
    connection.close()
    assert other.stat().st_size == file.stat().st_size
    assert not _same(file, other)
    assert _same(file, file)
