"""The one door to the warehouse: validated batches in, frames out.

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
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from data import settings
from data.batches import Effect, next_batch, note_batch
from data.connection import BUSY_TIMEOUT, connect_for_reading, connect_for_writing, sqlite_errors
from data.errors import BatchRefused, WarehouseError
from data.events import News, announce, of_write

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from data.quarantine.replay import Settlement
    from data.tables import Table
    from data.validation import Judgement

LOOKED_UP_ONE_BY_ONE = 1_000
"""Rows of an append-only batch from which whole ranges may be known to be new; fewer are looked up one by one."""
MANUAL_RUN = "manual"
"""Run id of rows that were written outside any flow."""


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What a batch did: good rows by table, rows that were new or different by table, rows put aside."""

    rows: dict[str, int]
    changed: dict[str, int]
    quarantined: int


class Store:
    """A connection to one warehouse file. Use it in the thread that opened it, and close it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly
        self._connection = connection

    @classmethod
    def open(cls, path: Path | str | None = None, *, readonly: bool = False, timeout: float = BUSY_TIMEOUT) -> Store:
        """Open `path` (`RISK_DB` when None); for writing it is created or upgraded where needed.

        `timeout`: seconds to wait for another writer. Raises `WarehouseError`: missing (reading), damaged, another
        program's, newer than this package, not writable.
        """
        where = settings.risk_db() if path is None else Path(path)
        connect = connect_for_reading if readonly else connect_for_writing
        return cls(where, connect(where, timeout), readonly=readonly)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Reading

    def rows(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple]:
        """All rows of a query as tuples of plain Python values."""
        with sqlite_errors(self.path):
            try:
                return self._connection.execute(sql, params).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error) or "no such column" in str(error):
                    raise WarehouseError(
                        f"{self.path}: {error}; run `python -m data migrate` to bring the file up to date"
                    ) from error
                raise

    def read(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> pd.DataFrame:
        """A query's rows as a frame; uint256 values stay text."""
        import pandas as pd  # a second, which `load_market` does not need

        with sqlite_errors(self.path):
            cursor = self._connection.execute(sql, params)
            return pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])

    @contextmanager
    def one_state(self) -> Iterator[sqlite3.Connection]:
        """Every query inside sees the same state of the file, whatever a writer commits meanwhile."""
        with sqlite_errors(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    # Writing

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is kept whole, or not at all when anything is raised."""
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
        settles: Settlement | None = None,
        news: Sequence[News] = (),
    ) -> WriteReport:
        """Validate `frames` (table name to rows) and write the good rows in one transaction.

        A row with a known key replaces the old one only if its content differs, so a re-run changes nothing; in an
        append-only table it is added beside the old one. Bad rows go to quarantine with their reasons. When more
        than `max_bad_share` of the rows of any table are bad, the whole batch goes there, nothing else is written and
        `BatchRefused` is raised. Columns that tell how a row arrived (`ingested_at`, `run_id`, `payload_sha256`)
        are filled in when a frame leaves them out; `batch` and `content_sha256` always. A batch that changed anything
        leaves a row in `fact_batch`, under the number that its rows carry.

        `scope`: column values for which this batch is all there is, such as `{"market": m, "block": b}`: rows of
        its tables with these values that are not in the batch are removed in the same transaction. `settles`: the
        quarantined batch that these rows come from, marked in the same transaction (`data.quarantine.replay`). `news`:
        events beside the one that every change of a raw table gives (`data.events`), written if anything changed.
        """
        from data.quarantine.record import Batch, record  # pandera takes half a second, and readers do not need it
        from data.validation import judge

        now = int(time.time())
        run = run_id or MANUAL_RUN
        filled_in = {
            "ingested_at": now, "created_at": now, "sealed_at": now,
            "run_id": run, "flow_run_id": run, "payload_sha256": payload_sha256,
        }  # fmt: skip
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
        effects = []
        with self.transaction() as connection:
            number = next_batch(connection)
            for verdict in verdicts:
                rows = verdict.good
                changed = upsert(connection, verdict.table, _numbered(rows, number))
                removed = _remove_others(connection, verdict.table, rows, scope) if scope else 0
                effects.append(Effect(verdict.table, len(rows), changed, removed, _newest(verdict.table, rows)))
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

    # The run's own books

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

    def checkpoint(self, source: str, key: str) -> Any | None:
        """State a scan saved last, None for none."""
        found = self.rows("SELECT value FROM ingest_checkpoint WHERE source = ? AND key = ?", (source, key))
        return json.loads(found[0][0]) if found else None


def plain_rows(frame: pd.DataFrame) -> Iterator[tuple]:
    """Rows of plain Python values: SQLite stores a numpy integer as a BLOB without a word, and knows no NaN."""
    return zip(*plain_columns(frame), strict=True)


def plain_columns(frame: pd.DataFrame) -> list[list[Any]]:
    """The columns of a frame as lists of plain Python values, None for what is missing."""
    columns = []
    for name in frame.columns:
        series = frame[name]
        if series.isna().any():
            columns.append(
                [None if gone else value for value, gone in zip(series.tolist(), series.isna(), strict=True)]
            )
        else:
            columns.append(series.tolist())
    return columns


def upsert(connection: sqlite3.Connection, table: str, frame: pd.DataFrame) -> int:
    """Insert rows, or replace those of the same key whose content differs; returns how many that were.

    `frame` has every column of the table, already validated. Rows of a table that is declared sealed, or that has no
    content beside its key, are never replaced. In an append-only table a row is added unless the newest one of its
    natural key has the same content.
    """
    from data.tables import tables

    layout = tables()[table]
    values = f"VALUES ({', '.join('?' * len(layout.names))})"
    before = connection.total_changes
    if not layout.append:
        connection.executemany(upsert_sql(layout, values, layout.content), plain_rows(frame[list(layout.names)]))
        return connection.total_changes - before
    frame = _with_digests(layout, frame)[list(layout.names)]
    new = _of_new_ranges(connection, layout, frame)
    if new.any():
        sql = f'INSERT INTO "{table}" ({quoted(layout.names)}) {values}'
        connection.executemany(sql, plain_rows(frame if new.all() else frame[new]))
    if not new.all():
        connection.executemany(append_sql(layout), plain_rows(frame[~new]))
    return connection.total_changes - before


def _of_new_ranges(connection: sqlite3.Connection, layout: Table, frame: pd.DataFrame) -> np.ndarray:
    """Which rows of `frame` lie where an append-only table has nothing yet, so that they need not be looked up.

    Rows are grouped by as many leading key columns as leave groups of some size, and each group is one question: is
    there any row between the least and the greatest value of the next key column?
    """
    import numpy as np

    key = list(layout.natural_key)
    if len(frame) < LOOKED_UP_ONE_BY_ONE:
        return np.zeros(len(frame), dtype=bool)
    depth = max(
        (depth for depth in range(1, len(key)) if not _many_groups(frame, key[:depth])), default=0
    )  # fmt: skip
    ordered = key[depth]
    groups = frame.groupby(key[:depth], sort=False)[ordered] if depth else None
    numbers = groups.ngroup().to_numpy() if groups is not None else np.zeros(len(frame), dtype=np.int64)
    firsts = frame[key[:depth]].drop_duplicates().itertuples(index=False, name=None) if depth else iter([()])
    low = groups.min().tolist() if groups is not None else [frame[ordered].min()]
    high = groups.max().tolist() if groups is not None else [frame[ordered].max()]
    where = " AND ".join([*(f'"{name}" = ?' for name in key[:depth]), f'"{ordered}" BETWEEN ? AND ?'])
    sql = f'SELECT EXISTS (SELECT 1 FROM "{layout.name}" WHERE {where})'
    empty = [
        not connection.execute(sql, (*map(_plain, first), _plain(least), _plain(most))).fetchone()[0]
        for first, least, most in zip(firsts, low, high, strict=True)
    ]
    return np.array(empty, dtype=bool)[numbers]


def _many_groups(frame: pd.DataFrame, names: list[str]) -> bool:
    return len(frame.drop_duplicates(names)) > max(1, len(frame) // 50)


def _plain(value: Any) -> Any:
    """A Python value: SQLite would store a numpy integer as a BLOB, and find nothing by it."""
    return value.item() if hasattr(value, "item") else value


def upsert_sql(layout: Table, rows: str, content: Sequence[str]) -> str:
    """The statement that puts `rows` (VALUES or a SELECT, all columns in order) into a table.

    A row of a known key replaces the old one where one of the columns `content` differs.
    """
    content = [name for name in content if name not in layout.key]
    action = "NOTHING"
    if content and not layout.sealed:
        others = [name for name in layout.names if name not in layout.key]
        differs = " OR ".join(f'"{layout.name}"."{name}" IS NOT excluded."{name}"' for name in content)
        action = "UPDATE SET " + ", ".join(f'"{name}" = excluded."{name}"' for name in others) + f" WHERE {differs}"
    return f'INSERT INTO "{layout.name}" ({quoted(layout.names)}) {rows} ON CONFLICT ({quoted(layout.key)}) DO {action}'


def append_sql(layout: Table) -> str:
    """The statement that adds a row to an append-only table, unless the newest row of its natural key says the same."""
    place = {name: f"?{number}" for number, name in enumerate(layout.names, start=1)}
    same_key = " AND ".join(f'"{name}" = {place[name]}' for name in layout.natural_key)
    return (
        f'INSERT INTO "{layout.name}" ({quoted(layout.names)}) SELECT {", ".join(place.values())} '
        f'WHERE {place["content_sha256"]} IS NOT (SELECT content_sha256 FROM "{layout.name}" WHERE {same_key} '
        "ORDER BY batch DESC LIMIT 1)"
    )


def quoted(names: Sequence[str]) -> str:
    """Column names as SQL takes them."""
    return ", ".join(f'"{name}"' for name in names)


def _newest(table: str, frame: pd.DataFrame) -> int | None:
    """The newest time that validated rows speak of, None where they speak of none."""
    from data.tables import tables

    time_column = tables()[table].time
    newest = frame[time_column].max() if time_column and len(frame) else None
    return None if newest is None or newest != newest else int(newest)  # NaN is the one value unlike itself


def _numbered(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    return frame.assign(batch=number) if "batch" in frame.columns else frame


def _with_digests(layout: Table, frame: pd.DataFrame) -> pd.DataFrame:
    from data.content import column_digests

    return frame.assign(content_sha256=column_digests(layout.content, plain_columns(frame[list(layout.content)])))


def _remove_others(connection: sqlite3.Connection, table: str, frame: pd.DataFrame, scope: Mapping[str, Any]) -> int:
    """Delete rows of `table` inside `scope` whose key is not in `frame`; returns how many."""
    from data.tables import tables

    layout = tables()[table]
    inside = {name: value for name, value in scope.items() if name in layout.key}
    if not inside or layout.sealed or layout.append:
        return 0
    where = " AND ".join(f'"{name}" = ?' for name in inside)
    stored = connection.execute(f'SELECT count(*) FROM "{table}" WHERE {where}', tuple(inside.values())).fetchone()[0]
    if stored == len(frame):
        return 0
    key = ", ".join(f'"{name}"' for name in layout.key)
    connection.execute(f'CREATE TEMP TABLE kept AS SELECT {key} FROM "{table}" WHERE 0')
    try:
        marks = ", ".join("?" * len(layout.key))
        connection.executemany(f"INSERT INTO kept VALUES ({marks})", plain_rows(frame[list(layout.key)]))
        gone = connection.execute(
            f'DELETE FROM "{table}" WHERE {where} AND ({key}) NOT IN (SELECT {key} FROM kept)', tuple(inside.values())
        )
        return gone.rowcount
    finally:
        connection.execute("DROP TABLE kept")


def _refusal(source: str, key: str, refused: Sequence[Judgement], max_bad_share: float) -> str:
    from data.quarantine.record import first_reasons

    return (
        f"batch {source} {key} refused, nothing of it was written (at most {max_bad_share:.1%} bad rows are allowed): "
        f"{first_reasons(refused)}. See `python -m data quarantine`"
    )
