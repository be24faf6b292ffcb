"""Write a quarantined batch after its cause was fixed, or drop it with a reason. Neither deletes anything."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from data.chain import RAW, STAGED
from data.errors import NotInQuarantine, ReplayRefused
from data.schemas.tables import tables
from data.snapshot.saving import save_snapshot
from data.store.packed import unpack
from data.store.refused import Batch, first_reasons, list_rows, note_failures
from data.store.store import Store
from data.store.validation import Judgement

FLOW = "quarantine-replay"
"""Name under which `fact_run` has replays."""

WHOLE_BLOCKS = {*RAW, *STAGED}
"""Tables in which a block of a chain is replaced as a whole."""
MADE_BY_SQL = "data.marts"
"""Source of rows that `data.marts` made: they are made anew, not replayed."""

Mend = Callable[[str, pd.DataFrame], pd.DataFrame]
"""Table and its rows as they came -> the rows as they should have come."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One quarantined batch. `pending`: table to the places of its rows that wait, None for all of them."""

    batch_id: str
    batch: Batch
    refused: bool
    state: str
    pending: dict[str, list[int] | None]
    newest_batch: int
    note: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: rows written and changed by table, rows that a later batch has, rows that still fail."""

    batch_id: str
    run_id: str
    rows: dict[str, int]
    changed: dict[str, int]
    superseded: int
    still_bad: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What `Store.write_batch` needs to note in its own transaction that it writes a quarantined batch (`Settling`).

    `places`: for each table, the place in the kept rows of each row of the frame that is written.
    """

    kept: Kept
    frames: Mapping[str, pd.DataFrame]
    places: Mapping[str, Sequence[int]]
    superseded: int = 0
    still_bad: list[int] = field(default_factory=lambda: [0])

    def passed(self, connection: sqlite3.Connection, now: Batch, verdicts: Sequence[Judgement]) -> None:
        """Mark as replayed what was written; rows that fail stay, with the new reason."""
        pending: dict[str, list[int]] = {}
        for verdict in verdicts:
            if verdict.bad:
                pending[verdict.table] = sorted(self.places[verdict.table][row] for row in verdict.bad)
        self._judged_again(connection, now, verdicts)
        waiting = sum(map(len, pending.values()))
        self.still_bad[0] = waiting
        note = f"{sum(len(verdict.good) for verdict in verdicts)} rows written"
        note += f", {self.superseded} left out: later batches have them" if self.superseded else ""
        note += f", {waiting} still bad" if waiting else ""
        marked = connection.execute(
            "UPDATE quarantine_batch SET refused = 0, state = ?, settled_at = ?, settled_by = ?, note = ?, "
            "pending = ?, n_rows = ?, n_bad = ?, reason = CASE ? WHEN 0 THEN reason ELSE ? END "
            "WHERE batch_id = ? AND state = 'open' AND refused = ? AND pending = ?",
            (
                "open" if waiting else "replayed", now.at, now.run_id, note, json.dumps(pending), waiting, waiting,
                waiting, first_reasons(verdicts), self.kept.batch_id, int(self.kept.refused),
                json.dumps(self.kept.pending),
            ),
        )  # fmt: skip
        if marked.rowcount != 1:
            raise ReplayRefused(
                f"batch {self.kept.batch_id[:12]} is being settled by another process; nothing was done"
            )
        marks = {(table, place) for table, places in pending.items() for place in places}
        for table, place in connection.execute(
            "SELECT table_name, row_number FROM quarantine WHERE batch_id = ? AND state = 'open'", (self.kept.batch_id,)
        ).fetchall():
            if (table, place) not in marks:
                connection.execute(
                    "UPDATE quarantine SET state = 'replayed', settled_at = ?, settled_by = ? "
                    "WHERE batch_id = ? AND table_name = ? AND row_number = ?",
                    (now.at, now.run_id, self.kept.batch_id, table, place),
                )

    def refused(self, connection: sqlite3.Connection, now: Batch, verdicts: Sequence[Judgement]) -> None:
        """Keep all of it as it is, with the new reasons."""
        self._judged_again(connection, now, verdicts)
        connection.execute(
            "UPDATE quarantine_batch SET n_bad = ?, reason = ?, note = ? WHERE batch_id = ?",
            (
                sum(len(verdict.bad) for verdict in verdicts),
                first_reasons(verdicts),
                f"replay {now.run_id} was refused again",
                self.kept.batch_id,
            ),
        )

    def _judged_again(self, connection: sqlite3.Connection, now: Batch, verdicts: Sequence[Judgement]) -> None:
        note_failures(connection, now, verdicts)
        for verdict in verdicts:
            places = self.places[verdict.table]
            rows = {places[row]: reasons for row, reasons in verdict.bad.items()}
            list_rows(connection, self.kept.batch, self.kept.batch_id, verdict.table, self.frames[verdict.table], rows)


def find(store: Store, batch_id: str) -> Kept:
    """The batch whose id begins with `batch_id`. Raises `NotInQuarantine` for none, or more than one."""
    found = store.rows(
        "SELECT batch_id, source, batch_key, run_id, payload_sha256, quarantined_at, max_bad_share, scope, refused, "
        "state, pending, newest_batch, note FROM quarantine_batch WHERE substr(batch_id, 1, ?) = ? LIMIT 2",
        (len(batch_id), batch_id),
    )
    if len(found) != 1 or not batch_id:
        how_many = "no batch" if not found else "more than one batch"
        raise NotInQuarantine(
            f"{store.path}: {how_many} in quarantine has an id that begins with {batch_id!r}; "
            "`python -m data quarantine` lists them"
        )
    identity, source, key, run, payload, at, share, scope, refused, state, pending, newest, note = found[0]
    batch = Batch(source, key, run, payload, at, share, json.loads(scope))
    return Kept(identity, batch, bool(refused), state, json.loads(pending), newest, note)


def content(store: Store, batch_id: str) -> dict[str, pd.DataFrame]:
    """Every row that was kept of a batch, by table, as it came."""
    parts: dict[str, list[str]] = {}
    for table, rows in store.rows(
        "SELECT table_name, rows FROM quarantine_content WHERE batch_id = ? ORDER BY table_name, part", (batch_id,)
    ):
        parts.setdefault(table, []).append(rows)
    return {table: unpack(found) for table, found in parts.items()}


def replay(
    store: Store, batch_id: str, *, mend: Mend | None = None, params: Mapping[str, Any] | None = None
) -> Replayed:
    """Judge the waiting rows of a batch again and write those that now pass, in one transaction with the marks.

    A batch that was refused as a whole is written under the same terms as then (`max_bad_share`, `scope`); of a batch
    whose good rows were written already, the rows that now pass are added. `mend` corrects the rows first, where the
    source's mapping was wrong and not the schema; `params` describes the correction in `fact_run`. Rows that a later
    batch has written since are left out: a replay never puts an older value over a newer one.

    Raises `NotInQuarantine`; `ReplayRefused` when it is settled already or was written since; `BatchRefused` when it
    still fails, and then the reasons are the new ones.
    """
    kept = find(store, batch_id)
    _require_open(store, kept)
    frames = content(store, kept.batch_id)
    places = {
        table: list(range(len(frames[table]))) if chosen is None else chosen for table, chosen in kept.pending.items()
    }
    waiting = {table: frames[table].iloc[chosen].reset_index(drop=True) for table, chosen in places.items()}
    if mend is not None:
        waiting = {table: mend(table, rows) for table, rows in waiting.items()}
    superseded = 0
    for table in waiting:
        later = _written_later(store, table, waiting[table], kept.newest_batch)
        if later:
            superseded += len(later)
            places[table] = [place for row, place in enumerate(places[table]) if row not in later]
            waiting[table] = waiting[table].drop(index=list(later)).reset_index(drop=True)
    settlement = Settlement(kept, frames, places, superseded)
    run = store.start_run(
        FLOW, {"batch_id": kept.batch_id, "source": kept.batch.source, "key": kept.batch.key} | dict(params or {})
    )
    try:
        report = _write(store, settlement, waiting, run)
    except BaseException as error:
        store.finish_run(run, "failed", f"{type(error).__name__}: {error}")
        raise
    done = Replayed(kept.batch_id, run, report.rows, report.changed, superseded, settlement.still_bad[0])
    store.finish_run(run, "completed", f"{sum(done.rows.values())} rows written, {done.still_bad} still bad")
    return done


def drop(store: Store, batch_id: str, reason: str) -> Kept:
    """Settle an open batch without writing it; the rows and `reason` are kept. Raises as `replay` does."""
    if not reason.strip():
        raise ReplayRefused("drop: expected a reason, found none; say why these rows are not wanted")
    kept = find(store, batch_id)
    run = store.start_run("quarantine-drop", {"batch_id": kept.batch_id, "reason": reason})
    try:
        _require_open(store, kept, dropping=True)
        now = int(time.time())
        with store.transaction() as connection:
            connection.execute(
                "UPDATE quarantine_batch SET state = 'dropped', settled_at = ?, settled_by = ?, note = ? "
                "WHERE batch_id = ? AND state = 'open'",
                (now, run, reason.strip(), kept.batch_id),
            )
            connection.execute(
                "UPDATE quarantine SET state = 'dropped', settled_at = ?, settled_by = ? "
                "WHERE batch_id = ? AND state = 'open'",
                (now, run, kept.batch_id),
            )
    except BaseException as error:
        store.finish_run(run, "failed", f"{type(error).__name__}: {error}")
        raise
    store.finish_run(run, "completed", reason.strip())
    return kept


def _require_open(store: Store, kept: Kept, *, dropping: bool = False) -> None:
    named = f"batch {kept.batch_id[:12]} ({kept.batch.source} {kept.batch.key})"
    if kept.batch.source == MADE_BY_SQL and not dropping:
        raise ReplayRefused(
            f"{named} was made by SQL from other tables; fix the SQL or the rows it reads, run `python -m data "
            "refresh`, then drop this batch"
        )
    if kept.state != "open":
        raise ReplayRefused(f"{named} is {kept.state} already ({kept.note}); nothing was done")
    since = store.rows(
        "SELECT batch, run_id FROM fact_batch WHERE source = ? AND key = ? AND batch > ? ORDER BY batch DESC LIMIT 1",
        (kept.batch.source, kept.batch.key, kept.newest_batch),
    )
    if since and kept.refused and not dropping:
        raise ReplayRefused(
            f"{named} was written since by run {since[0][1]} (batch {since[0][0]}); replaying the older rows would "
            f"undo that. Nothing was done; `python -m data quarantine drop {kept.batch_id[:12]} --reason ...`"
        )


def _written_later(store: Store, table: str, rows: pd.DataFrame, newest_batch: int) -> set[int]:
    """Numbers of the rows whose key a batch later than `newest_batch` has written."""
    layout = tables()[table]
    names = layout.natural_key
    if not any(column.name == "batch" for column in layout.columns) or not set(names) <= set(rows.columns):
        return set()
    held = table
    if table in WHOLE_BLOCKS:
        # A block is replaced as a whole: once a later batch has the block, all its older rows are outdated.
        held, names = "stg_chain_blocks", ("chain_id", "block_number", "block_hash")
    where = " AND ".join(f'"{name}" = ?' for name in names)
    sql = f'SELECT 1 FROM "{held}" WHERE {where} AND batch > ? LIMIT 1'
    if not store.rows(f'SELECT 1 FROM "{held}" WHERE batch > ? LIMIT 1', (newest_batch,)):
        return set()
    found = set()
    for number, key in enumerate(rows[list(names)].itertuples(index=False, name=None)):
        if all(isinstance(value, str | int | float) for value in key) and store.rows(sql, (*key, newest_batch)):
            found.add(number)
    return found


def _write(store: Store, settlement: Settlement, frames: Mapping[str, pd.DataFrame], run: str) -> Any:
    kept = settlement.kept
    source, key = kept.batch.source, kept.batch.key
    terms: dict[str, Any] = {"payload_sha256": kept.batch.payload_sha256 or None, "settles": settlement}
    if kept.refused and "fact_snapshot" in frames:
        # The snapshot's counts and digest are computed again from the rows.
        return save_snapshot(store, source, frames, run, **terms)
    share = kept.batch.max_bad_share if kept.refused else 1.0
    scope = kept.batch.scope if kept.refused else None
    return store.write_batch(source, key, frames, run, max_bad_share=share, scope=scope, **terms)
