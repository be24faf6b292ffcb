"""Bring the tables of this folder up to date: only what newer batches changed, one transaction for each table."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data.errors import MartFailed
from data.events import UPDATED_AGGREGATED_DATASET, News, announce
from data.marts.functions import register
from data.marts.target import FOLDER, Target, targets, with_inputs
from data.schemas.tables import BATCH, Table, tables
from data.store.refused import Batch, record
from data.store.store import MANUAL_RUN, Store
from data.store.upserts import quoted, upsert_sql
from data.store.validation import Judgement, judge

CHECKED_ROWS = 500_000
"""New rows of one refresh that are checked against their schema one by one. With more, only the first are; the table's
own constraints check the rest: a unique key, nothing missing, every value of its type."""
CHUNK = 50_000
BOOKS = {"fact_batch", "fact_batch_rows"}
"""Tables that every write changes without being named in `fact_batch_rows`."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of one table.

    `selected`: rows its SELECT gave; `changed`: of these, new or different (all of them when `rebuilt`); `removed`:
    rows that are gone; `checked`: rows checked against the schema; `watermark`: newest batch it has seen now.
    """

    target: str
    rebuilt: bool
    selected: int
    changed: int
    removed: int
    checked: int
    watermark: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _State:
    """Row of `mart_state`; the defaults stand for a table that was never made."""

    sql_sha256: str = ""
    watermark: int = 0
    generation: int = 0
    removals: int = 0
    inputs: str = ""


class _BadRows(Exception):
    """Rows that their schema refuses; raised, so that they can be put aside after the transaction is undone."""

    def __init__(self, target: Target, verdict: Judgement, rows: list[tuple]) -> None:
        self.target, self.verdict, self.rows = target, verdict, rows


def refresh(
    store: Store,
    names: Sequence[str] | None = None,
    full: bool = False,
    *,
    run_id: str | None = None,
    folder: Path = FOLDER,
) -> dict[str, Refreshed]:
    """Bring the tables `names` (None: all) and what they are made from up to date; a report for each, in order.

    `full` builds the named tables anew, whatever they hold. `folder`: where the SQL files are. Raises `MartFailed`
    with the file and the reason; tables that came before it keep their new state, it and later ones their old.
    """
    known = targets(folder)
    named = list(known if names is None else names)
    with store.one_state() as connection:
        register(connection)
    done = {}
    for name in with_inputs(named, known):
        try:
            done[name] = _one(store, known, name, full and name in named)
        except _BadRows as bad:
            raise _put_aside(store, bad, run_id or MANUAL_RUN) from None
    return done


def _one(store: Store, known: Mapping[str, Target], name: str, full: bool) -> Refreshed:
    with store.one_state() as connection:  # a look without the write lock: mostly there is nothing to do
        if not full and not _due(connection, known, name)[0]:
            return _untouched(connection, name)
    with store.transaction() as connection:
        # A source may have written since the inputs were brought up to date: all of them must be of one state.
        for earlier in with_inputs([name], known)[:-1]:
            _bring(connection, known, earlier, False)
        return _bring(connection, known, name, full)


def _bring(connection: sqlite3.Connection, known: Mapping[str, Target], name: str, full: bool) -> Refreshed:
    """Bring one table up to date inside the caller's transaction; its inputs already are."""
    start = time.perf_counter()
    due, rebuild, state, inputs = _due(connection, known, name)
    rebuild = rebuild or full
    if not due and not full:
        return _untouched(connection, name)
    target, layout, newest = known[name], tables()[name], _newest(connection)
    select = _in_order(connection, target, layout)
    try:
        if rebuild:
            selected, changed, removed, checked = _build(connection, target, layout, select)
        else:
            selected, changed, removed, checked = _update(connection, target, layout, select, state.watermark)
    except sqlite3.IntegrityError as error:
        raise MartFailed(
            f"data/marts/{target.file}: gives a row that {name} refuses ({error}); the key is {', '.join(layout.key)}. "
            f"{name} is left as it was"
        ) from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # locked, full, unreadable: not the file's fault
            raise
        raise MartFailed(f"data/marts/{target.file}: {error}; {name} is left as it was") from error
    now = int(time.time())
    if changed or removed:
        payload = {"batch": newest, "rebuilt": rebuild, "changed": changed, "removed": removed}
        announce(connection, [News(name, UPDATED_AGGREGATED_DATASET, payload)], now)
    connection.execute(
        "INSERT OR REPLACE INTO mart_state (target, sql_sha256, watermark, generation, removals, inputs, refreshed_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            target.sha256,
            newest,
            state.generation + rebuild,
            state.removals + (removed > 0),
            inputs,
            now,
        ),
    )
    return Refreshed(name, rebuild, selected, changed, removed, checked, newest, time.perf_counter() - start)


def _due(connection: sqlite3.Connection, known: Mapping[str, Target], name: str) -> tuple[bool, bool, _State, str]:
    """(whether there may be anything to do, whether to build anew, the state so far, that of the inputs as text)."""
    target = known[name]
    made = sorted(table for table in target.reads if table in known)
    states = {table: _state(connection, table) for table in (name, *made)}
    state = states[name]
    # With a scope the SELECT shows which rows are gone; without one, a table is built anew when an input lost rows.
    inputs = json.dumps(
        {t: [states[t].generation, 0 if target.scope else states[t].removals] for t in made}, sort_keys=True
    )
    rebuild = state.sql_sha256 != target.sha256 or state.inputs != inputs
    if not rebuild:
        # The scope does not see rows that its own tables have lost.
        telling = target.scope.tables(target.reads) if target.scope else target.reads
        rebuild = _written(connection, telling, state.watermark, "n_removed > 0")
    sources = {table for each in with_inputs([name], known) for table in known[each].reads}
    due = rebuild or _written(connection, sorted(sources), state.watermark)
    if not due and sources & BOOKS:
        due = state.watermark < _newest(connection)
    return due, rebuild, state, inputs


def _state(connection: sqlite3.Connection, name: str) -> _State:
    found = connection.execute(
        "SELECT sql_sha256, watermark, generation, removals, inputs FROM mart_state WHERE target = ?", (name,)
    ).fetchone()
    return _State(*found) if found else _State()


def _newest(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(max(batch), 0) FROM fact_batch").fetchone()[0]


def _written(connection: sqlite3.Connection, names: Sequence[str], since: int, how: str = "true") -> bool:
    """Whether a write since then changed one of the tables (in the way `how` says)."""
    marks = ", ".join("?" * len(names))
    sql = f"SELECT 1 FROM fact_batch_rows WHERE table_name IN ({marks}) AND batch > ? AND {how} LIMIT 1"
    return connection.execute(sql, (*names, since)).fetchone() is not None


def _untouched(connection: sqlite3.Connection, name: str) -> Refreshed:
    return Refreshed(name, False, 0, 0, 0, 0, _state(connection, name).watermark, 0.0)


def _in_order(connection: sqlite3.Connection, target: Target, layout: Table) -> str:
    """The SELECT with its columns in the table's order. Raises `MartFailed` where the two do not fit."""
    try:
        given = [c[0] for c in connection.execute(f"SELECT * FROM ({target.sql}) LIMIT 0", {"since": 0}).description]
    except sqlite3.OperationalError as error:
        raise MartFailed(f"data/marts/{target.file}: {error}; {target.name} is left as it was") from error
    if sorted(given) != sorted(layout.names):
        lacks, extra = set(layout.names) - set(given), set(given) - set(layout.names)
        raise MartFailed(
            f"data/marts/{target.file}: expected the columns of {target.name}, found {', '.join(given)}"
            + (f"; missing {', '.join(sorted(lacks))}" if lacks else "")
            + (f"; not in the schema {', '.join(sorted(extra))}" if extra else "")
        )
    return f"SELECT {quoted(layout.names)} FROM ({target.sql})"


def _build(connection: sqlite3.Connection, target: Target, layout: Table, select: str) -> tuple[int, int, int, int]:
    """Make the whole table anew."""
    before = connection.execute(f'SELECT count(*) FROM "{layout.name}"').fetchone()[0]
    connection.execute(f'DELETE FROM "{layout.name}"')
    into = f'INSERT INTO "{layout.name}" ({quoted(layout.names)}) {select}'
    made = connection.execute(into, {"since": 0}).rowcount
    checked = _check(connection, f'"{layout.name}"', target, layout)
    return made, made, max(0, before - made), checked


def _update(
    connection: sqlite3.Connection, target: Target, layout: Table, select: str, since: int
) -> tuple[int, int, int, int]:
    """Put in what is new, and take out what its scope no longer holds."""
    connection.execute(f"CREATE TEMP TABLE mart_new {layout.body}")  # gone with the transaction when anything fails
    into = f"INSERT INTO temp.mart_new ({quoted(layout.names)}) {select}"
    selected = connection.execute(into, {"since": since}).rowcount
    checked = _check(connection, "temp.mart_new", target, layout)
    # `batch` is compared too: a row of the same content that rests on newer input gets the newer batch, as when built
    # anew.
    changed = connection.execute(
        upsert_sql(layout, "SELECT * FROM temp.mart_new WHERE true", [*layout.content, BATCH])
    ).rowcount
    removed = _remove_others(connection, target, layout, since) if target.scope else 0
    connection.execute("DROP TABLE temp.mart_new")
    return selected, changed, removed, checked


def _remove_others(connection: sqlite3.Connection, target: Target, layout: Table, since: int) -> int:
    scope = target.scope
    assert scope is not None
    same = " AND ".join(f'new."{name}" = "{layout.name}"."{name}"' for name in layout.key)
    gone = connection.execute(
        f'DELETE FROM "{layout.name}" WHERE ({quoted(scope.columns)}) IN '
        f"(SELECT {quoted(scope.columns)} FROM {scope.rows} WHERE batch > ?) "
        f"AND NOT EXISTS (SELECT 1 FROM temp.mart_new AS new WHERE {same})",
        (since,),
    )
    return gone.rowcount


def _check(connection: sqlite3.Connection, relation: str, target: Target, layout: Table) -> int:
    """Check rows against their schema; returns how many were checked. Raises `_BadRows`."""
    total = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()[0]
    limit = total if total <= CHECKED_ROWS else CHUNK
    cursor = connection.execute(f"SELECT {quoted(layout.names)} FROM {relation} LIMIT {limit}")
    while rows := cursor.fetchmany(CHUNK):
        verdict = judge(layout.name, pd.DataFrame(rows, columns=list(layout.names)))
        if verdict.bad or verdict.problems:
            raise _BadRows(target, verdict, rows)
    return limit


def _put_aside(store: Store, bad: _BadRows, run_id: str) -> MartFailed:
    """Keep refused rows in `quarantine`, as those of a source; returns the error to raise."""
    target, verdict = bad.target, bad.verdict
    frame = pd.DataFrame(bad.rows, columns=list(tables()[target.name].names))
    with store.transaction() as connection:
        batch = Batch("data.marts", target.file, run_id, "", int(time.time()))
        record(connection, batch, {target.name: frame}, [verdict], refused=False)
    reason = verdict.problems[0] if verdict.problems else "; ".join(next(iter(verdict.bad.values())))
    return MartFailed(
        f"data/marts/{target.file}: {len(verdict.bad)} of its rows are refused by the schema of {target.name}, the "
        f"first: {reason}. {target.name} is left as it was; see `python -m data quarantine`"
    )
