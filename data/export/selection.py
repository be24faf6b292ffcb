"""What is exported: the served tables, all of them, or those that are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from data.errors import ExportFailed
from data.schemas.tables import Table, tables

SERVED = ("dim_", "fact_", "mart_")
"""Beginnings of the names of tables that are meant for readers; `raw_` and `stg_` come with `everything`."""

BOOKS = {
    "fact_batch", "fact_batch_rows", "fact_pipeline_event", "fact_run", "fact_validation", "ingest_checkpoint",
    "mart_freshness", "mart_state", "pipeline_offset", "quarantine", "quarantine_batch", "quarantine_content",
    "schema_version",
}  # fmt: skip
"""Tables about reading and writing, not about markets."""
ARRIVAL = {"created_at", "flow_run_id", "sealed_at"}
"""Columns that are content of their table, but differ between two warehouses that hold the same data."""


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


def content(chosen: Iterable[Table]) -> list[Table]:
    """The tables without the columns that say how their rows arrived.

    The same content then gives the same export, whoever wrote it, when, and in how many attempts. Tables that hold
    nothing else (runs, batches, checkpoints) are left out.
    """
    return [
        replace(table, columns=tuple(c for c in table.columns if not c.provenance and c.name not in ARRIVAL))
        for table in chosen
        if table.name not in BOOKS
    ]


def partitioned_by(table: Table) -> str | None:
    """Column that says in which folder of a Parquet export a row goes: `market`, else `day`, else None.

    Dimensions stay in one file: a folder for each of their rows would only be slow to read.
    """
    if table.name.startswith("dim_"):
        return None
    return next((name for name in ("market", "day") if name in table.names), None)
