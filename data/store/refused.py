"""Store refused batches in quarantine: all rows, the reasons for each bad row, and their source."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from data.schemas.tables import tables
from data.store.packed import as_json, lines, pack
from data.store.validation import Judgement

MAX_ROWS_PER_TABLE = 1_000
"""Most bad rows listed for one table of a batch; `quarantine_content` has all rows, `fact_validation` the count."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The source of the rows, and the options of their write (see `Store.write_batch`)."""

    source: str
    key: str
    run_id: str
    payload_sha256: str
    at: int
    max_bad_share: float = 0.0
    scope: Mapping[str, Any] = field(default_factory=dict)


class Settling(Protocol):
    """A replay of quarantined rows; its methods are called inside the transaction that writes them."""

    def passed(self, connection: sqlite3.Connection, now: Batch, verdicts: Sequence[Judgement]) -> None:
        """Called when the good rows were written; the verdicts name the rows that are still bad."""

    def refused(self, connection: sqlite3.Connection, now: Batch, verdicts: Sequence[Judgement]) -> None:
        """Called when nothing was written; the verdicts have the new reasons."""


def record(
    connection: sqlite3.Connection,
    batch: Batch,
    frames: Mapping[str, pd.DataFrame],
    verdicts: Sequence[Judgement],
    *,
    refused: bool,
) -> None:
    """Store the whole batch when it was refused, else its bad rows; and note the failed checks.

    The caller holds the transaction. The same batch is stored once, also when several runs bring it.
    """
    note_failures(connection, batch, verdicts)
    if not refused and not any(verdict.bad for verdict in verdicts):
        return
    frames = {verdict.table: pd.DataFrame(frames[verdict.table]).reset_index(drop=True) for verdict in verdicts}
    if not refused:
        frames = {v.table: frames[v.table].loc[list(v.bad)].reset_index(drop=True) for v in verdicts if v.bad}
    batch_id = _digest(batch, frames)
    newest = connection.execute("SELECT coalesce(max(batch), 0) FROM fact_batch").fetchone()[0]
    kept = connection.execute(
        "INSERT INTO quarantine_batch (batch_id, run_id, source, batch_key, refused, max_bad_share, scope, "
        "payload_sha256, n_rows, n_bad, pending, reason, newest_batch, quarantined_at, state, settled_by, note) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', '', '') ON CONFLICT (batch_id) DO NOTHING",
        (
            batch_id, batch.run_id, batch.source, batch.key, int(refused), batch.max_bad_share,
            as_json(dict(batch.scope)), batch.payload_sha256, sum(map(len, frames.values())),
            sum(len(verdict.bad) for verdict in verdicts), json.dumps(dict.fromkeys(frames)), first_reasons(verdicts),
            newest, batch.at,
        ),
    )  # fmt: skip
    if not kept.rowcount:
        return
    for table, frame in frames.items():
        connection.executemany(
            "INSERT INTO quarantine_content (batch_id, table_name, part, rows) VALUES (?, ?, ?, ?)",
            ((batch_id, table, part, rows) for part, rows in enumerate(pack(frame))),
        )
    for verdict in verdicts:
        if verdict.bad:
            places = list(verdict.bad) if refused else list(range(len(verdict.bad)))
            rows = dict(zip(places, verdict.bad.values(), strict=True))
            list_rows(connection, batch, batch_id, verdict.table, frames[verdict.table], rows)


def list_rows(
    connection: sqlite3.Connection,
    batch: Batch,
    batch_id: str,
    table: str,
    frame: pd.DataFrame,
    bad: Mapping[int, Sequence[str]],
) -> None:
    """List up to a thousand bad rows; known ones get the new reason. `bad`: row number in `frame` -> reasons."""
    listed = list(bad.items())[:MAX_ROWS_PER_TABLE]
    records = frame.loc[[place for place, _ in listed]].astype(object).to_dict("records")
    connection.executemany(
        "INSERT INTO quarantine (id, run_id, source, batch_key, table_name, row, reason, payload_sha256, "
        "quarantined_at, batch_id, row_number, state, settled_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', '') "
        "ON CONFLICT (id) DO UPDATE SET reason = excluded.reason",
        (
            (
                hashlib.sha256(f"{batch_id}\x1f{table}\x1f{place}".encode()).hexdigest(), batch.run_id, batch.source,
                batch.key, table, _shown(content), "; ".join(reasons), batch.payload_sha256, batch.at, batch_id, place,
            )
            for content, (place, reasons) in zip(records, listed, strict=True)
        ),
    )  # fmt: skip


def note_failures(connection: sqlite3.Connection, batch: Batch, verdicts: Iterable[Judgement]) -> None:
    """One row of `fact_validation` for each check that failed."""
    connection.executemany(
        "INSERT OR REPLACE INTO fact_validation (run_id, source, batch_key, table_name, check_name, "
        "column_name, n_failed, n_rows, example, checked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                batch.run_id, batch.source, batch.key, verdict.table, check, column, count, verdict.n_rows, example,
                batch.at,
            )
            for verdict in verdicts
            for (check, column), (count, example) in verdict.failed.items()
        ),
    )  # fmt: skip


def first_reasons(verdicts: Iterable[Judgement]) -> str:
    """One line: the first fault of each table that has one."""
    found = []
    for verdict in verdicts:
        if verdict.problems:
            found.append(f"{verdict.table}: {verdict.problems[0]}")
        elif verdict.bad:
            row, reasons = next(iter(verdict.bad.items()))
            found.append(
                f"{verdict.table}: {len(verdict.bad)} of {verdict.n_rows} rows are bad, the first is row {row}: "
                f"{'; '.join(reasons)}"
            )
    return " | ".join(found)


def _shown(content: dict[str, Any]) -> str:
    return content["unread"] if list(content) == ["unread"] else as_json(content)


def _digest(batch: Batch, frames: Mapping[str, pd.DataFrame]) -> str:
    """Digest of source, key and content, without time and run."""
    digest = hashlib.sha256(f"{batch.source}\x1f{batch.key}".encode())
    for table, frame in frames.items():
        arrival = [column.name for column in tables()[table].columns if column.provenance and column.name in frame]
        digest.update(f"\x1f{table}".encode())
        for line in lines(frame.drop(columns=arrival)):
            digest.update(f"\n{line}".encode())
    return digest.hexdigest()
