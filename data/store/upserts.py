"""Write validated rows: replace those whose content differs, or add them where the table is append-only.

Each function works inside the transaction of its caller (`data.store`), and returns how many rows it changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from data.schemas.tables import Table, tables
from data.store.content import column_digests

LOOKED_UP_ONE_BY_ONE = 1_000
"""Rows of an append-only batch from which whole key ranges are looked up; smaller batches row by row."""


def plain_rows(frame: pd.DataFrame) -> Iterator[tuple]:
    """Rows of plain Python values: SQLite would store a numpy integer as a BLOB, without an error, and has no NaN."""
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
    """Insert rows, or replace those of the same key whose content differs; returns how many rows changed.

    `frame` has every column of the table, already validated. Rows of a sealed table, or of a table without columns
    beside its key, are never replaced. In an append-only table a row is added unless the newest one of its
    natural key has the same content.
    """
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
    """Which rows of `frame` are in key ranges where an append-only table has no rows; these need no look-up.

    Rows are grouped by leading key columns, as many as leave groups of some size. One query for each group: is there
    any row between the least and the greatest value of the next key column?
    """
    key = list(layout.natural_key)
    if len(frame) < LOOKED_UP_ONE_BY_ONE:
        return np.zeros(len(frame), dtype=bool)
    depth = max((depth for depth in range(1, len(key)) if not _many_groups(frame, key[:depth])), default=0)
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
    """A plain Python value: SQLite takes a numpy integer as a BLOB, which equals no stored integer."""
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
    """The statement that adds a row to an append-only table, unless the newest row of its key has the same content."""
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


def _with_digests(layout: Table, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(content_sha256=column_digests(layout.content, plain_columns(frame[list(layout.content)])))


def remove_others(connection: sqlite3.Connection, table: str, frame: pd.DataFrame, scope: Mapping[str, Any]) -> int:
    """Delete rows of `table` inside `scope` whose key is not in `frame`; returns how many."""
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
