"""The SQL files of one dialect: the definitions of all tables."""

from __future__ import annotations

from data.errors import ExportFailed
from data.export.ddl import DIALECTS, ddl
from data.export.failures import require_packages
from data.tables import tables


def scripts(dialect: str) -> dict[str, str]:
    """File name to text. Raises `ExportFailed`: unknown dialect, SQLGlot missing."""
    if dialect not in DIALECTS:
        raise ExportFailed(f"--dialect: expected one of {', '.join(DIALECTS)}, found {dialect!r}")
    require_packages("ddl")
    return {"tables.sql": "\n\n".join(ddl(table, dialect) + ";" for table in tables().values()) + "\n"}
