"""What is exported: the served tables, all of them, or those that are named."""

from __future__ import annotations

from collections.abc import Sequence

from data.errors import ExportFailed
from data.tables import Table, tables

SERVED = ("dim_", "fact_", "mart_")
"""Beginnings of the names of tables that are meant for readers; `raw_` and `stg_` come with `everything`."""


def selected(names: Sequence[str] | None = None, everything: bool = False) -> list[Table]:
    """The tables `names`, in the order of creation; None: the served ones, or all. Raises `ExportFailed`."""
    known = tables()
    if names is None:
        return [table for table in known.values() if everything or table.name.startswith(SERVED)]
    if unknown := sorted(set(names) - set(known)):
        raise ExportFailed(
            f"--tables: there is no table {', '.join(unknown)}; `python -m data tables` lists them. Nothing was done"
        )
    if not names:
        raise ExportFailed("--tables: expected at least one table, found none; leave it out for all that are served")
    return [table for table in known.values() if table.name in set(names)]


def partitioned_by(table: Table) -> str | None:
    """Column that says in which folder of a Parquet export a row goes: `market`, else `day`, else None.

    Dimensions stay in one file: a folder for each of their rows would only be slow to read.
    """
    if table.name.startswith("dim_"):
        return None
    return next((name for name in ("market", "day") if name in table.names), None)
