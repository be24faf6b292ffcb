"""Write validated batches to the warehouse, and read rows and frames from it.

    with Store.open() as store:
        run = store.start_run("market-prices", {"days": 120})
        store.write_batch("binance", "ETHUSDT:1h", {"dim_prices": frame}, run_id=run)
        store.finish_run(run, "completed", "2,880 rows")

A batch is written whole or not at all; writing it again changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self

import pandas as pd

from data import settings
from data.errors import BatchRefused, WarehouseError
from data.schemas.tables import tables
from data.store import validity
from data.store.announcements import News, announce, of_write
from data.store.batches import Effect, next_batch, note_batch
from data.store.connection import BUSY_TIMEOUT, connect_for_writing, sqlite_errors
from data.store.parts import Parts, Replacing
from data.store.reader import Reader
from data.store.refused import Batch, Settling, first_reasons, record
from data.store.upserts import remove_others, upsert
from data.store.validation import Judgement, judge
from data.store.validity import Kept, Moment

MANUAL_RUN = "manual"
"""Run id of rows that were written outside any flow."""


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What a batch did: good rows by table, rows that were new or different by table, quarantined rows."""

    rows: dict[str, int]
    changed: dict[str, int]
    quarantined: int


class Store(Reader):
    """A connection to one warehouse file that may write. Use it in the thread that opened it, and close it."""

    @classmethod
    def open(cls, path: Path | str | None = None, *, readonly: bool = False, timeout: float = BUSY_TIMEOUT) -> Self:
        """Open `path` (`RISK_DB` when None); for writing it is created or upgraded where needed.

        `timeout`: seconds to wait for another writer. Raises `WarehouseError` for a file that is missing (for reading),
        damaged, of another program, newer than this package, or not writable.
        """
        if readonly:
            return super().open(path, timeout=timeout)
        where = settings.risk_db() if path is None else Path(path)
        return cls(where, connect_for_writing(where, timeout), readonly=False)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end of the block, rolled back if an error is raised."""
        with sqlite_errors(self.path):
            # IMMEDIATE: a transaction that begins by reading cannot be upgraded after another writer's commit.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def write_batch(
        self,
        source: str,
        key: str,
        frames: Mapping[str, pd.DataFrame],
        run_id: str | None = None,
        *,
        max_bad_share: float = 0.0,
        payload_sha256: str | None = None,
        scope: Mapping[str, Any] | None = None,
        settles: Settling | None = None,
        news: Sequence[News] = (),
        moment: Moment | None = None,
        carried: Mapping[str, Sequence[Kept]] | None = None,
        parts: Parts | None = None,
    ) -> WriteReport:
        """Validate `frames` (table name to rows) and write the good rows in one transaction.

        A row with a known key replaces the old one only if its content differs, so a re-run changes nothing; in an
        append-only table it is added beside the old one. Bad rows go to quarantine with their reasons. When more
        than `max_bad_share` of the rows of any table are bad, the whole batch goes there, nothing else is written and
        `BatchRefused` is raised. Columns about the arrival of a row (`ingested_at`, `run_id`, `payload_sha256`)
        are filled in when a frame leaves them out; `batch` and `content_sha256` always. A batch that changed anything
        has a row in `fact_batch`, with the number in `batch` of its rows.

        `scope`: column values for which this batch has all rows, such as `{"market": m, "block": b}`: rows of
        its tables with these values that are not in the batch are removed in the same transaction. `settles`: the
        quarantined batch that these rows come from, marked in the same transaction (`data.quarantine.replay`). `news`:
        events beside the one that every change of a raw table gives (`data.events`), written if anything changed.
        `moment`: the block at which rows of tables with validity hold (`data.store.validity`); stored rows that hold
        there and are not in the batch end. `carried`: further rows of such tables, (subject, value) of plain values,
        which come from stored rows and are not validated again. `parts`: parts of tables of which this batch has all
        rows, such as the blocks that were read; other rows of them are removed in the same transaction
        (`data.store.parts`).
        """

        now = int(time.time())
        run = run_id or MANUAL_RUN
        filled_in = {
            "ingested_at": now,
            "created_at": now,
            "sealed_at": now,
            "run_id": run,
            "flow_run_id": run,
            "payload_sha256": payload_sha256,
        }
        carried = carried or {}
        if moment is None and (dated := [name for name in frames if tables()[name].validity]):
            raise ValueError(
                f"write_batch: rows of {dated[0]} hold from a block on; expected `moment` (that block), found None"
            )
        verdicts = [judge(table, frame, filled_in) for table, frame in frames.items()]
        refused = [verdict for verdict in verdicts if verdict.problems or verdict.bad_share > max_bad_share]
        batch = Batch(source, key, run, payload_sha256 or "", now, max_bad_share, scope or {})
        quarantined = sum(len(verdict.bad) for verdict in verdicts)
        if refused:
            with self.transaction() as connection:
                if settles:
                    settles.refused(connection, batch, verdicts)
                else:
                    record(connection, batch, frames, verdicts, refused=True)
            raise BatchRefused(
                _refusal(source, key, refused, max_bad_share), {v.table: len(v.bad) or v.n_rows for v in refused}
            )
        effects: list[Effect] = []
        with self.transaction() as connection:
            number = next_batch(connection)
            good = {verdict.table: verdict.good for verdict in verdicts}
            replacing = Replacing(connection, parts) if parts else None
            gone = (
                {name: replacing.remove_others(name, good.get(name)) for name in parts.tables}
                if parts and replacing
                else {}
            )
            for verdict in verdicts:
                rows, layout = verdict.good, tables()[verdict.table]
                further = carried.get(verdict.table, ())
                if layout.validity and moment:
                    holding = chain(validity.of_frame(layout, rows, moment), further)
                    changed, removed = validity.put(connection, layout, holding, number, moment)
                else:
                    changed = upsert(connection, verdict.table, _numbered(rows, number))
                    removed = remove_others(connection, verdict.table, rows, scope) if scope else 0
                removed += gone.pop(verdict.table, 0)
                n = len(rows) + len(further)
                effects.append(Effect(verdict.table, n, changed, removed, _newest(verdict.table, rows)))
            effects += [Effect(name, 0, 0, removed, None) for name, removed in gone.items() if removed]
            if parts and replacing:
                touched = replacing.finish(number)
                effects = [replace(e, changed=e.changed + touched) if e.table == parts.head else e for e in effects]
            if any(effect.changed or effect.removed for effect in effects):
                sha256 = payload_sha256 or ""
                note_batch(connection, number, source, key, run_id=run, payload_sha256=sha256, at=now, effects=effects)
                announce(connection, [*of_write(number, source, key, effects), *news], now)
            if settles:
                settles.passed(connection, batch, verdicts)
            else:
                record(connection, batch, frames, verdicts, refused=False)
        return WriteReport(
            {effect.table: effect.rows for effect in effects},
            {effect.table: effect.changed + effect.removed for effect in effects},
            quarantined,
        )

    def vacuum(self) -> None:
        """Rewrite the file without unused pages. Raises `WarehouseError`: another writer, or a full disk."""
        with sqlite_errors(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # Records of runs

    def start_run(self, flow: str, params: Mapping[str, Any] | None = None, code_version: str = "") -> str:
        """Note the start of a flow's run; returns its id. `params` must hold no secret."""
        run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:12]}"
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO fact_run (run_id, flow, params, started_at, state, message, code_version) "
                "VALUES (?, ?, ?, ?, 'running', '', ?)",
                (run_id, flow, json.dumps(params or {}, sort_keys=True, default=str), int(time.time()), code_version),
            )
        return run_id

    def finish_run(self, run_id: str, state: str, message: str = "") -> None:
        """Note the end of a run: `state` is completed, failed or skipped."""
        if state not in ("completed", "failed", "skipped"):
            raise ValueError(f"finish_run: state must be completed, failed or skipped, found {state!r}")
        with self.transaction() as connection:
            done = connection.execute(
                "UPDATE fact_run SET state = ?, message = ?, finished_at = ? WHERE run_id = ?",
                (state, message, int(time.time()), run_id),
            )
            if done.rowcount != 1:
                raise WarehouseError(f"{self.path}: fact_run has no run {run_id}")


def _newest(table: str, frame: pd.DataFrame) -> int | None:
    """The newest time in validated rows, None where they have no time."""
    time_column = tables()[table].time
    newest = frame[time_column].max() if time_column and len(frame) else None
    return None if newest is None or newest != newest else int(newest)  # NaN is not equal to itself


def _numbered(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    return frame.assign(batch=number) if "batch" in frame.columns else frame


def _refusal(source: str, key: str, refused: Sequence[Judgement], max_bad_share: float) -> str:
    return (
        f"batch {source} {key} refused, nothing of it was written (at most {max_bad_share:.1%} bad rows are allowed): "
        f"{first_reasons(refused)}. See `python -m data quarantine`"
    )
