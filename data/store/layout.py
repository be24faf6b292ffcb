"""Read the layout of a warehouse file, without the schemas; refuse files that are newer or of another program."""

from __future__ import annotations

import functools
import hashlib
import sqlite3
from pathlib import Path

from data.errors import NotAWarehouse, SchemaTooNew

APPLICATION_ID = 0x4C615221
"""Application id of a warehouse file in the SQLite header ("LaR!")."""

SCHEMA_VERSION = 6
"""Layout of this version of the package (`PRAGMA user_version`)."""

STEPS = ("balances.py", "layout.py", "migrations.py", "shape.py")
"""Files of this folder that define the layout."""


def identify(connection: sqlite3.Connection, path: Path) -> int:
    """Layout number of an open file; 0 for an empty one. Raises `NotAWarehouse`, `SchemaTooNew`."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        holds = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 3")]
        if application or version or holds:
            raise NotAWarehouse(
                f"{path}: is a database of another program (application id {application}, tables "
                f"{', '.join(holds) or 'none'}); name another file in RISK_DB"
            )
        return 0
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{path}: has layout {version}, this version of the package knows layouts up to {SCHEMA_VERSION}; "
            "upgrade the package, or name another file in RISK_DB. The file was not changed"
        )
    return version


@functools.cache
def definitions_digest() -> str:
    """SHA-256 of the files that define the layout: equal files make an equal layout.

    A reader compares this digest: the fingerprint of the layout itself needs pandera, which takes 0.5 s to import.
    """
    root = Path(__file__).parents[1]
    files = [*root.glob("schemas/**/*.py"), *root.glob("marts/views/**/*.sql"), *map(Path(__file__).with_name, STEPS)]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def is_current(connection: sqlite3.Connection, version: int) -> bool:
    """True for a file that has had the layout that this package defines."""
    return version == SCHEMA_VERSION and definitions_digest() in applied(connection)


def applied(connection: sqlite3.Connection) -> set[str]:
    """Fingerprints of all layouts the file has had. Tables only gain columns, so any match means nothing is missing."""
    try:
        rows = connection.execute("SELECT fingerprint FROM schema_version").fetchall()
    except sqlite3.OperationalError:
        return set()
    return {row[0] for row in rows}
