"""Bring the tables of this folder up to date: what is new by batch, one transaction a table."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import MartFailed
from data.marts.target import FOLDER, Target, targets, with_inputs
from data.store import MANUAL_RUN, Store, quoted, upsert_sql
from data.tables import BATCH, Table, tables
from data.validation import Judgement, judge

CHECKED_ROWS = 500_000
"""New rows of one refresh that are held against their schema one by one. Beyond it the first ones are, and for the
rest the table itself speaks: key unique, nothing missing, every value of its type."""
CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of one table.

    `selected`: rows its SELECT gave; `changed`: of these, new or different (all of them when `rebuilt`); `removed`:
    rows that are gone; `checked`: rows held against the schema; `watermark`: newest batch it has seen now.
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
    sql_sha256: str
    watermark: int
    generation: int
    removals: int
    inputs: str


class _BadRows(Exception):
    """Rows that their schema refuses; carried out of the transaction so that they can be put aside."""

    def __init__(self, verdict: Judgement, rows: list[tuple]) -> None:
        self.verdict, self.rows = verdict, rows


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
    done = {}
    for name in with_inputs(named, known):
        try:
            done[name] = _one(store, known[name], known, full and name in named)
        except _BadRows as bad:
            raise _put_aside(store, known[name], bad, run_id or MANUAL_RUN) from None
    return done


def _one(store: Store, target: Target, known: Mapping[str, Target], full: bool) -> Refreshed:
    start = time.perf_counter()
    with store.one_state():  # a look without the write lock: mostly there is nothing to do
        rebuild, state, watermark, _ = _due(store, target, known, full)
    if not rebuild and state is not None and state.watermark == watermark:
        return Refreshed(target.name, False, 0, 0, 0, 0, watermark, time.perf_counter() - start)
    with store.transaction() as connection:
        rebuild, state, watermark, inputs = _due(store, target, known, full)
        layout = tables()[target.name]
        columns = _columns(connection, target, layout)
        try:
            if rebuild:
                counts = _build(connection, target, layout, columns)
            else:
                counts = _update(connection, target, layout, columns, state.watermark if state else 0)
        except sqlite3.IntegrityError as error:
            raise MartFailed(
                f"data/marts/{target.file}: gives a row that {target.name} refuses ({error}); the key is "
                f"{', '.join(layout.key)}. {target.name} is left as it was"
            ) from error
        selected, changed, removed, checked = counts
        connection.execute(
            "INSERT OR REPLACE INTO mart_state (target, sql_sha256, watermark, generation, removals, inputs, "
            "refreshed_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                target.name, target.sha256, watermark, (state.generation if state else 0) + rebuild,
                (state.removals if state else 0) + (removed > 0), inputs, int(time.time()),
            ),
        )  # fmt: skip
    return Refreshed(target.name, rebuild, selected, changed, removed, checked, watermark, time.perf_counter() - start)


def _due(store: Store, target: Target, known: Mapping[str, Target], full: bool) -> tuple[bool, _State | None, int, str]:
    """Whether to build anew, the state so far, the batch that will have been seen, and the state of the inputs."""
    states = {
        row[0]: _State(*row[1:])
        for row in store.rows("SELECT target, sql_sha256, watermark, generation, removals, inputs FROM mart_state")
    }
    made = [name for name in target.reads if name in known and name != target.name]
    newest = store.rows("SELECT coalesce(max(batch), 0) FROM fact_batch")[0][0]
    # An input that SQL makes has seen no more than its own watermark; rows of later batches come with its next turn.
    seen = [states[name].watermark for name in made]
    watermark = min([newest, *seen])
    inputs = json.dumps(
        {name: [states[name].generation, *([] if target.scope else [states[name].removals])] for name in sorted(made)}
    )
    state = states.get(target.name)
    rebuild = full or state is None or state.sql_sha256 != target.sha256 or state.inputs != inputs
    if not rebuild and state is not None and not target.scope:
        rebuild = _lost_rows(store, [name for name in target.reads if name not in made], state.watermark)
    return rebuild, state, watermark, inputs


def _lost_rows(store: Store, names: Iterable[str], since: int) -> bool:
    """Whether a write since then removed rows from one of the tables."""
    lost = store.rows("SELECT removed_from FROM fact_batch WHERE batch > ? AND removed_from <> ''", (since,))
    return any(set(names) & set(removed.split(",")) for (removed,) in lost)


def _columns(connection: sqlite3.Connection, target: Target, layout: Table) -> str:
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
    made = connection.execute(f'INSERT INTO "{layout.name}" ({quoted(layout.names)}) {select}', {"since": 0}).rowcount
    checked = _check(connection, f'"{layout.name}"', layout)
    return made, made, max(0, before - made), checked


def _update(
    connection: sqlite3.Connection, target: Target, layout: Table, select: str, since: int
) -> tuple[int, int, int, int]:
    """Put in what is new, and take out what its scope no longer holds."""
    connection.execute(f"CREATE TEMP TABLE mart_new {layout.body}")  # gone with the transaction when anything fails
    selected = connection.execute(
        f"INSERT INTO temp.mart_new ({quoted(layout.names)}) {select}", {"since": since}
    ).rowcount
    checked = _check(connection, "temp.mart_new", layout)
    # The batch has a part in it here: a row that is the same but rests on newer input says so, as when built anew.
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
        f'(SELECT {quoted(scope.columns)} FROM "{scope.table}" WHERE batch > ?) '
        f"AND NOT EXISTS (SELECT 1 FROM temp.mart_new AS new WHERE {same})",
        (since,),
    )
    return gone.rowcount


def _check(connection: sqlite3.Connection, relation: str, layout: Table) -> int:
    """Hold rows against their schema; returns how many. Raises `_BadRows`."""
    import pandas as pd

    total = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()[0]
    limit = total if total <= CHECKED_ROWS else CHUNK
    cursor = connection.execute(f"SELECT {quoted(layout.names)} FROM {relation} LIMIT {limit}")
    while rows := cursor.fetchmany(CHUNK):
        verdict = judge(layout.name, pd.DataFrame(rows, columns=list(layout.names)))
        if verdict.bad or verdict.problems:
            raise _BadRows(verdict, rows)
    return limit


def _put_aside(store: Store, target: Target, bad: _BadRows, run_id: str) -> MartFailed:
    """Keep refused rows in `quarantine`, as those of a source; gives the error to raise."""
    import pandas as pd

    from data.quarantine.record import Batch, record

    verdict, frame = bad.verdict, pd.DataFrame(bad.rows, columns=list(tables()[target.name].names))
    with store.transaction() as connection:
        batch = Batch("data.marts", target.file, run_id, "", int(time.time()))
        record(connection, batch, {target.name: frame}, [verdict], refused=False)
    reason = verdict.problems[0] if verdict.problems else "; ".join(next(iter(verdict.bad.values())))
    return MartFailed(
        f"data/marts/{target.file}: {len(verdict.bad)} of its rows are refused by the schema of {target.name}, the "
        f"first: {reason}. {target.name} is left as it was; see `python -m data quarantine`"
    )
