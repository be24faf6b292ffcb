"""A folder of Parquet files: `<table>/part-0.parquet`, or `<table>/market=<market>/part-0.parquet`, and manifest.json.

The folders are those of Hive, which DuckDB, Spark, Polars and Arrow read; the column they name is in the files as well,
so a file can be read alone. Characters other than letters, digits and `_.-` are percent-encoded in names of folders.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as parquet

from data.errors import ExportFailed
from data.export.checksum import Checksum
from data.export.manifest import FORMAT, Exported, File, Manifest, verified
from data.export.selection import partitioned_by
from data.export.state import CHUNK, WarehouseState
from data.schemas.tables import Table, fingerprint

MANIFEST = "manifest.json"


def write(folder: Path, state: WarehouseState, tables: Sequence[Table], newest_batch: int) -> Manifest:
    """Write the folder anew and put it in the place of an earlier export. Raises `ExportFailed`."""
    beside = folder.with_name(f".{folder.name}.exporting")
    before = folder.with_name(f".{folder.name}.before")
    if before.exists() and not folder.exists():  # killed between the two renames
        before.rename(folder)
    require_ours(folder)
    for left_over in (beside, before):
        shutil.rmtree(left_over, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        entries = tuple(_table(beside, state, table) for table in tables)
        manifest = Manifest(fingerprint(), newest_batch, entries)
        (beside / MANIFEST).write_text(manifest.as_json(), encoding="utf-8")
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(before)
    beside.rename(folder)
    shutil.rmtree(before, ignore_errors=True)
    return manifest


def require_ours(folder: Path) -> None:
    """Raises `ExportFailed` where `folder` holds anything but an export."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExportFailed(f"{folder}: is a file, expected a folder; nothing was exported")
    if not any(folder.iterdir()):
        return
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        ours = isinstance(found, dict) and found.get("format") == FORMAT
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise ExportFailed(
            f"{folder}: is not empty and is no export of this tool (no {MANIFEST} of the form {FORMAT!r}); it is left "
            "as it was. Name another folder"
        )


def schema(table: Table) -> pa.Schema:
    """Columns of the files: string, int64, double; NULL only where the table allows it."""
    types = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}
    return pa.schema([pa.field(c.name, types[c.type], c.nullable) for c in table.columns])


def record_batch(rows: Sequence[tuple], layout: pa.Schema) -> pa.RecordBatch:
    """Rows as columns of exactly these types; a value of another type is an error."""
    arrays = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), layout, strict=True)]
    return pa.record_batch(arrays, layout)


def read(path: Path) -> Iterator[list[tuple]]:
    """Rows of one file as plain Python values, a chunk at a time."""
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(CHUNK):
            yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _table(root: Path, state: WarehouseState, table: Table) -> Exported:
    by, layout = partitioned_by(table), schema(table)
    place = table.names.index(by) if by else None
    paths: list[Path] = []
    writer: parquet.ParquetWriter | None = None

    def open_file(path: Path) -> parquet.ParquetWriter:
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.append(path)
        return parquet.ParquetWriter(path, layout, compression="zstd")

    try:
        for rows in state.chunks(table, by):
            for value, group in groupby(rows, key=lambda row: None if place is None else row[place]):
                path = root / table.name / _folder(by, value) / "part-0.parquet"
                if writer is None or path != paths[-1]:
                    if writer is not None:
                        writer.close()
                    writer = open_file(path)
                writer.write_batch(record_batch(list(group), layout))
        if writer is None:  # a table without rows has a file as well: its columns are known
            writer = open_file(root / table.name / "part-0.parquet")
    finally:
        if writer is not None:
            writer.close()
    written, files = Checksum(), []
    for path in paths:
        n_before = written.n_rows
        for rows in read(path):
            written.add(rows)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(File(path.relative_to(root).as_posix(), written.n_rows - n_before, sha256))
    return verified(
        table, state.seen[table.name], written, f"{root.name}/{table.name}", partitioned_by=by, files=tuple(files)
    )


def _folder(by: str | None, value: object) -> str:
    if by is None:
        return ""
    # The name that Hive gives to a value that is missing.
    return f"{by}=" + ("__HIVE_DEFAULT_PARTITION__" if value is None else quote(str(value), safe=""))
