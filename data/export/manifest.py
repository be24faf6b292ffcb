"""The manifest of an export: which tables, how many rows, their checksums, and the layout they follow."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from data.errors import ExportFailed
from data.export.checksum import Checksum
from data.schemas.tables import Table

FORMAT = "aave-liquidation-risk export 1"
"""Marks a target as ours; anything else is never overwritten."""
TABLE = "export_manifest"
"""Name of the manifest's table where the target is a database."""
COLUMNS = (
    ("table_name", "TEXT"),
    ("n_rows", "INTEGER"),
    ("checksum", "TEXT"),
    ("layout", "TEXT"),
    ("newest_batch", "INTEGER"),
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a table: its path below the target, rows, and the SHA-256 of its bytes."""

    path: str
    n_rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Exported:
    """One table: rows, `data.export.checksum` of them, columns with their SQL types, key, and its files, if any."""

    name: str
    n_rows: int
    checksum: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    partitioned_by: str | None = None
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole export. `layout`: fingerprint of all definitions; `newest_batch`: newest write it contains.

    No time and no path of the machine: the same state gives the same manifest.
    """

    layout: str
    newest_batch: int
    tables: tuple[Exported, ...] = field(default=())
    format: str = FORMAT

    def as_json(self) -> str:
        """The manifest as ASCII JSON text with a newline at its end."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=True) + "\n"

    def rows(self) -> list[tuple]:
        """Rows of the table `TABLE`, columns as `COLUMNS`."""
        return [(t.name, t.n_rows, t.checksum, self.layout, self.newest_batch) for t in self.tables]


def verified(table: Table, read: Checksum, written: Checksum, where: str, **more: Any) -> Exported:
    """The entry of a table whose target gives back what was read. Raises `ExportFailed` where it does not."""
    if (read.n_rows, read.text) != (written.n_rows, written.text):
        raise ExportFailed(
            f"{where}: {table.name} reads back as {written.n_rows:,} rows with checksum {written.text[:12]}, expected "
            f"{read.n_rows:,} rows with {read.text[:12]}; the export is given up and the target left as it was"
        )
    columns = tuple((column.name, column.type) for column in table.columns)
    return Exported(table.name, read.n_rows, read.text, columns, table.key, **more)
