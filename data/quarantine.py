"""Keep what was refused: the row as it came, every reason, the batch and run it came with."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from data.validation import Judgement

if TYPE_CHECKING:
    from data.store import Store

MAX_ROWS_PER_TABLE = 1_000
"""Bad rows kept of one table of one batch; `fact_validation` has the full count."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Where the rows come from."""

    source: str
    key: str
    run_id: str
    payload_sha256: str
    at: int


def record(
    connection: sqlite3.Connection,
    batch: Batch,
    frames: Mapping[str, pd.DataFrame],
    verdicts: Iterable[Judgement],
) -> None:
    """Write the bad rows of a batch to `quarantine` and the failed checks to `fact_validation`.

    The caller holds the transaction. The same bad row of the same batch is kept once, whatever the run.
    """
    for verdict in verdicts:
        frame = pd.DataFrame(frames[verdict.table]).reset_index(drop=True)
        kept = list(verdict.bad.items())[:MAX_ROWS_PER_TABLE]
        records = frame.loc[[row for row, _ in kept]].astype(object).to_dict("records")
        for content, (_, reasons) in zip(records, kept, strict=True):
            row, reason = json.dumps(content, sort_keys=True, default=str), "; ".join(reasons)
            connection.execute(
                "INSERT OR IGNORE INTO quarantine "
                "(id, run_id, source, batch_key, table_name, row, reason, payload_sha256, quarantined_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    _digest(batch.source, batch.key, verdict.table, row, reason), batch.run_id, batch.source, batch.key,
                    verdict.table, row, reason, batch.payload_sha256, batch.at,
                ),
            )  # fmt: skip
        for (check, column), (count, example) in verdict.failed.items():
            connection.execute(
                "INSERT OR REPLACE INTO fact_validation (run_id, source, batch_key, table_name, check_name, "
                "column_name, n_failed, n_rows, example, checked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch.run_id, batch.source, batch.key, verdict.table, check, column, count, verdict.n_rows, example,
                    batch.at,
                ),
            )  # fmt: skip


def put_aside(store: Store, source: str, key: str, run_id: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Keep rows that a source could not make sense of before they had the shape of a table's rows.

    `rows`: the table they were meant for, the row as JSON text, the reason. The same row of a batch is kept once.
    """
    now = int(time.time())
    with store.transaction() as connection:
        connection.executemany(
            "INSERT OR IGNORE INTO quarantine "
            "(id, run_id, source, batch_key, table_name, row, reason, payload_sha256, quarantined_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, '', ?)",
            [
                (_digest(source, key, table, row, reason), run_id, source, key, table, row, reason, now)
                for table, row, reason in rows[:MAX_ROWS_PER_TABLE]
            ],
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
