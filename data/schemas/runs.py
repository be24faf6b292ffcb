"""The warehouse's own books: who wrote, what was checked, which layouts the file has had."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import document, integer, name, seconds, sha256, text


class Runs(pa.DataFrameModel):
    """`fact_run`: one row for each run of a flow."""

    run_id: Series[str] = name("id of the run", "id")
    flow: Series[str] = name("name of the flow")
    params: Series[str] = document("parameters of the run; never a secret")
    started_at: Series[np.int64] = seconds("start")
    finished_at: Series[pd.Int64Dtype] = seconds("end; empty while it runs", nullable=True)
    state: Series[str] = text(
        "running, completed, failed or skipped", isin=["running", "completed", "failed", "skipped"]
    )
    message: Series[str] = text("what came of it, in one line")
    code_version: Series[str] = text("version of the code that ran")

    class Config:
        strict = True
        coerce = True
        unique = ["run_id"]  # noqa: RUF012


class Batches(pa.DataFrameModel):
    """`fact_batch`: one row for each write that changed something; what `batch` in other tables refers to."""

    batch: Series[np.int64] = integer("number of the write, rising with time, from 1", "id")
    source: Series[str] = name("source of the rows")
    key: Series[str] = text("block or window of the rows")
    run_id: Series[str] = text("run that wrote them (fact_run), or manual", "id")
    payload_sha256: Series[str] = text("digest of the raw answer they were read from, where there is one", "sha256")
    written_at: Series[np.int64] = seconds("when they were written")

    class Config:
        strict = True
        coerce = True
        unique = ["batch"]  # noqa: RUF012


class BatchRows(pa.DataFrameModel):
    """`fact_batch_rows`: what a write did to each table that it changed."""

    batch: Series[np.int64] = integer("number of the write (fact_batch)", "id")
    table_name: Series[str] = name("the table")
    n_rows: Series[np.int64] = integer("rows that were handed over", "rows")
    n_changed: Series[np.int64] = integer("of these, new or different", "rows")
    n_removed: Series[np.int64] = integer("rows that were there and no longer belong to its scope", "rows")
    newest_at: Series[pd.Int64Dtype] = seconds("newest time the rows speak of, where they speak of one", nullable=True)

    class Config:
        strict = True
        coerce = True
        unique = ["batch", "table_name"]  # noqa: RUF012
        metadata = {"indexes": [["table_name", "batch"]]}  # noqa: RUF012


class MartStates(pa.DataFrameModel):
    """`mart_state`: what each table that SQL makes has seen; the next refresh begins there."""

    target: Series[str] = name("table that data/marts makes")
    sql_sha256: Series[str] = sha256("digest of the file that made it")
    watermark: Series[np.int64] = integer("newest batch of its inputs that it has seen (fact_batch)", "id")
    generation: Series[np.int64] = integer("how often it was built anew", "builds")
    removals: Series[np.int64] = integer("how often it lost rows", "refreshes")
    inputs: Series[str] = document("state of each input that SQL makes too; another one means to build anew")
    refreshed_at: Series[np.int64] = seconds("when it was last brought up to date")

    class Config:
        strict = True
        coerce = True
        unique = ["target"]  # noqa: RUF012


class Validations(pa.DataFrameModel):
    """`fact_validation`: one row for each check that failed in a run."""

    run_id: Series[str] = text("the run", "id")
    source: Series[str] = name("source of the batch")
    batch_key: Series[str] = text("block or window of the batch")
    table_name: Series[str] = name("table the rows were meant for")
    check_name: Series[str] = name("the check")
    column_name: Series[str] = text("column, empty for a check of whole rows")
    n_failed: Series[np.int64] = integer("rows that failed it", "rows")
    n_rows: Series[np.int64] = integer("rows of the batch for this table", "rows")
    example: Series[str] = text("one value that failed")
    checked_at: Series[np.int64] = seconds("when it was checked")

    class Config:
        strict = True
        coerce = True
        unique = [  # noqa: RUF012
            "run_id", "source", "batch_key", "table_name", "check_name", "column_name",
        ]  # fmt: skip


class SchemaVersions(pa.DataFrameModel):
    """`schema_version`: every layout this file has had."""

    version: Series[np.int64] = integer("layout number", "version")
    fingerprint: Series[str] = sha256("digest of all table definitions")
    applied_at: Series[np.int64] = seconds("when the file reached it")

    class Config:
        strict = True
        coerce = True
        unique = ["version", "fingerprint"]  # noqa: RUF012
