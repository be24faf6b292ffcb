"""Errors that stop an export, with what to do about them."""

from __future__ import annotations

import errno
import shutil
from importlib.util import find_spec

from data.errors import ExportFailed
from data.export.targets import Kind, Target

PACKAGES: dict[str, tuple[str, ...]] = {
    "parquet": ("pyarrow",),
    "duckdb": ("duckdb", "pyarrow", "sqlglot"),
    "postgres": ("psycopg", "sqlglot"),
    "sqlite": (),
    "ddl": ("sqlglot",),
}
_NO_ROOM = ("no space left", "disk is full", "not enough space")


def require_packages(what: Kind | str) -> None:
    """Raises `ExportFailed` where a package that `what` (a kind of target, or `ddl`) needs is not installed."""
    if missing := [package for package in PACKAGES[what] if find_spec(package) is None]:
        raise ExportFailed(
            f"{what}: {', '.join(missing)} is not installed; run `pip install -r requirements-export.txt`. Nothing was "
            "exported"
        )


def of_files(where: Target, error: Exception) -> ExportFailed:
    """The `ExportFailed` for an error of writing to a folder or file."""
    reason = " ".join(str(error).split())
    if getattr(error, "errno", None) == errno.ENOSPC or any(words in reason.lower() for words in _NO_ROOM):
        folder = next((each for each in where.path.absolute().parents if each.exists()), where.path)
        return ExportFailed(
            f"{where.name}: the disk is full, {shutil.disk_usage(folder).free / 1e6:,.1f} MB are free in {folder}; "
            "what was there is left as it was. Make room (it is built beside the earlier one), or name another target"
        )
    return ExportFailed(
        f"{where.name}: cannot be written ({reason}); what was there is left as it was. Check the rights of its folder"
    )
