"""The warehouse's own records: which run wrote, what was checked, which layouts the file has had."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import document, integer, name, seconds, sha256, text
from data.schemas.model import Numbered, TableModel


class Runs(TableModel, key=["run_id"]):
    """`fact_run`: one row for each run of a flow."""

    run_id: Series[str] = name("id of the run", "id")
    flow: Series[str] = name("name of the flow")
    params: Series[str] = document("parameters of the run; never a secret")
    started_at: Series[np.int64] = seconds("start")
    finished_at: Series[pd.Int64Dtype] = seconds("end; empty while it runs", nullable=True)
    state: Series[str] = text(
        "running, completed, failed or skipped", isin=["running", "completed", "failed", "skipped"]
    )
    message: Series[str] = text("result of the run, in one line", longest=None)
    code_version: Series[str] = text("version of the code that ran")


class Batches(TableModel, key=["batch"]):
    """`fact_batch`: one row for each write that changed something; what `batch` in other tables refers to."""

    batch: Series[np.int64] = integer("number of the write, rising with time, from 1", "id")
    source: Series[str] = name("source of the rows")
    key: Series[str] = text("block or window of the rows", longest=None)
    run_id: Series[str] = text("run that wrote them (fact_run), or manual", "id")
    payload_sha256: Series[str] = text("digest of the raw answer they were read from, where there is one", "sha256")
    written_at: Series[np.int64] = seconds("when they were written")


class BatchRows(TableModel, key=["batch", "table_name"], indexes=[["table_name", "batch"]]):
    """`fact_batch_rows`: what a write did to each table that it changed."""

    batch: Series[np.int64] = integer("number of the write (fact_batch)", "id")
    table_name: Series[str] = name("the table")
    n_rows: Series[np.int64] = integer("rows that were handed over", "rows")
    n_changed: Series[np.int64] = integer("of these, new or different", "rows")
    n_removed: Series[np.int64] = integer("rows that were there and no longer belong to its scope", "rows")
    newest_at: Series[pd.Int64Dtype] = seconds("newest time in the rows, where they have a time", nullable=True)


class MartStates(TableModel, key=["target"]):
    """`mart_state`: what each table that SQL makes has seen; the next refresh begins there."""

    target: Series[str] = name("table that data/marts makes")
    sql_sha256: Series[str] = sha256("digest of the file that made it")
    watermark: Series[np.int64] = integer("newest batch of its inputs that it has seen (fact_batch)", "id")
    generation: Series[np.int64] = integer("how often it was built anew", "builds")
    removals: Series[np.int64] = integer("how often it lost rows", "refreshes")
    inputs: Series[str] = document("state of each input that SQL makes too; if it changes, the table is built anew")
    refreshed_at: Series[np.int64] = seconds("when it was last brought up to date")


class Validations(TableModel, key=["run_id", "source", "batch_key", "table_name", "check_name", "column_name"]):
    """`fact_validation`: one row for each check that failed in a run."""

    run_id: Series[str] = text("the run", "id")
    source: Series[str] = name("source of the batch")
    batch_key: Series[str] = text("block or window of the batch", longest=None)
    table_name: Series[str] = name("table the rows were meant for")
    check_name: Series[str] = name("the check")
    column_name: Series[str] = text("column, empty for a check of whole rows")
    n_failed: Series[np.int64] = integer("rows that failed it", "rows")
    n_rows: Series[np.int64] = integer("rows of the batch for this table", "rows")
    # The type checker knows a method of pandera by this name.
    example: Series[str] = text("one value that failed", longest=None)  # type: ignore[assignment]
    checked_at: Series[np.int64] = seconds("when it was checked")


class SchemaVersions(TableModel, key=["version", "fingerprint"]):
    """`schema_version`: every layout this file has had."""

    version: Series[np.int64] = integer("layout number", "version")
    fingerprint: Series[str] = sha256("digest of all table definitions")
    applied_at: Series[np.int64] = seconds("when the file reached it")


class Freshness(Numbered, key=["table_name"], optional=["newest_at", "every_s"]):
    """`mart_freshness`: the newest data of each table. The view `freshness` adds its age at the time of the query."""

    table_name: Series[str] = name("the table")
    newest_at: Series[pd.Int64Dtype] = seconds("newest time in its rows, where they have a time", nullable=True)
    written_at: Series[np.int64] = seconds("when a write last changed it")
    n_changed: Series[np.int64] = integer("rows that writes brought or changed, in all", "rows")
    every_s: Series[pd.Int64Dtype] = integer(
        "age above which it is late; empty where none is expected", "s", nullable=True
    )
