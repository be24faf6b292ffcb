"""What was refused: batches with all their rows, and the bad rows one by one with their reasons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import document, flag, integer, name, seconds, sha256, text
from data.schemas.model import TableModel

STATES = ["open", "replayed", "dropped"]


class QuarantineBatches(TableModel, key=["batch_id"]):
    """`quarantine_batch`: batches that were refused, or of which bad rows were put aside. Nothing is ever deleted."""

    batch_id: Series[str] = sha256("digest of source, key and rows: the same refused batch is kept once")
    run_id: Series[str] = text("run that first met it", "id")
    source: Series[str] = name("source of the batch")
    batch_key: Series[str] = text("block or window of the batch", longest=None)
    refused: Series[np.int64] = flag(
        "1: nothing of the batch was written; 0: its good rows were written, the others wait"
    )
    max_bad_share: Series[np.float64] = pa.Field(
        description="share of bad rows a table may have",
        metadata={"unit": "fraction"},
        in_range={"min_value": 0, "max_value": 1},
    )
    scope: Series[str] = document("column values for which the batch is all there is; empty object for none")
    payload_sha256: Series[str] = text("digest of the raw answer it was read from", "sha256")
    n_rows: Series[np.int64] = integer("rows that wait to be written, good and bad", "rows")
    n_bad: Series[np.int64] = integer("rows among them that are bad", "rows")
    pending: Series[str] = document("table to the numbers of the rows that wait; null stands for all of them")
    reason: Series[str] = name("the first thing that is wrong, by table", longest=None)
    newest_batch: Series[np.int64] = integer("newest id of fact_batch when it was refused", "id")
    quarantined_at: Series[np.int64] = seconds("when it was refused")
    state: Series[str] = text("open, replayed or dropped", isin=STATES)
    settled_at: Series[pd.Int64Dtype] = seconds("when it was replayed or dropped", nullable=True)
    settled_by: Series[str] = text("run that replayed or dropped it; empty while it is open", "id")
    note: Series[str] = text("why it was dropped, or what the last replay did", longest=None)


class QuarantineContent(TableModel, key=["batch_id", "table_name", "part"]):
    """`quarantine_content`: the rows of quarantined batches, as they came (data.store.packed)."""

    batch_id: Series[str] = sha256("the batch (quarantine_batch)")
    table_name: Series[str] = name("table the rows were meant for")
    part: Series[np.int64] = integer("number of the part, from 0", "part")
    rows: Series[str] = text("JSON lines, zlib, base64", longest=None)


class Quarantine(TableModel, key=["id"]):
    """`quarantine`: bad rows as they came, with the reason; up to a thousand of a table and batch are listed."""

    id: Series[str] = sha256("digest of batch, table and place: the same bad row of a batch is kept once")
    run_id: Series[str] = text("run that first met it", "id")
    source: Series[str] = name("source of the batch")
    batch_key: Series[str] = text("block or window of the batch", longest=None)
    table_name: Series[str] = name("table it was meant for")
    row: Series[str] = document("the row as it came")
    reason: Series[str] = name("every check it failed when it was last judged", longest=None)
    payload_sha256: Series[str] = text("digest of the raw answer it was read from", "sha256")
    quarantined_at: Series[np.int64] = seconds("when it was refused")
    batch_id: Series[str] = text(
        "its batch (quarantine_batch); empty for rows kept by a version without them", "sha256"
    )
    row_number: Series[np.int64] = integer("its place in the batch's rows for the table, from 0", "row")
    state: Series[str] = text("open, replayed or dropped", isin=STATES)
    settled_at: Series[pd.Int64Dtype] = seconds("when it was replayed or dropped", nullable=True)
    settled_by: Series[str] = text("run that replayed or dropped it; empty while it is open", "id")
