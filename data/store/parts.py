"""Parts of tables that are replaced as a whole: a batch that names a part has all rows of it.

Example: a block that is read again is a part of all tables of blocks. Rows that the new reading lacks are removed in
the transaction that writes the others. `Store.write_batch` takes the parts of a batch as one `Parts`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data.schemas.tables import Table, tables
from data.store.upserts import plain_rows, quoted


@dataclass(frozen=True, slots=True)
class Parts:
    """`values` of `columns`, which each of `tables` has in its key: one tuple for each part.

    `head`: the table with one row for each stored part. When a row of a stored part changes in any table, its row of
    `head` gets the number of the batch, so that a reader finds every change there.
    """

    columns: tuple[str, ...]
    values: Sequence[tuple[Any, ...]]
    tables: tuple[str, ...]
    head: str


class Replacing:
    """The parts of one batch that are stored already; used inside the transaction of `Store.write_batch`."""

    def __init__(self, connection: sqlite3.Connection, parts: Parts) -> None:
        self._connection, self._parts = connection, parts
        self._layouts = {name: tables()[name] for name in (*parts.tables, parts.head)}
        for layout in self._layouts.values():
            if not set(parts.columns) <= set(layout.key) or layout.append:
                raise ValueError(
                    f"{layout.name}: parts need {', '.join(parts.columns)} in its key, and rows that may go"
                )
        columns = quoted(parts.columns)
        # A column without a type has no affinity: values are compared as they are.
        connection.execute(f"CREATE TEMP TABLE parts ({columns}, changed INTEGER, PRIMARY KEY ({columns}))")
        marks = ", ".join(f"?{place}" for place in range(1, len(parts.columns) + 1))
        where = " AND ".join(f'"{name}" = ?{place}' for place, name in enumerate(parts.columns, start=1))
        connection.executemany(
            f"INSERT OR IGNORE INTO temp.parts SELECT {marks}, 0 "
            f'WHERE EXISTS (SELECT 1 FROM "{parts.head}" WHERE {where})',
            parts.values,
        )
        self.known: frozenset[tuple[Any, ...]] = frozenset(
            connection.execute(f"SELECT {columns} FROM temp.parts").fetchall()
        )

    def remove_others(self, table: str, frame: pd.DataFrame | None) -> int:
        """Delete rows of the stored parts that `frame` does not have; returns how many.

        A row whose time (`Table.time`) differs is deleted too and written again as new, so that hourly tables made from
        this one are told that the old hour lost a row.
        """
        layout = self._layouts.get(table)
        if layout is None or not self.known:
            return 0
        same = self._same_row(layout)
        columns = quoted(self._parts.columns)
        names = quoted(same)
        self._connection.execute(f'CREATE TEMP TABLE kept AS SELECT {names} FROM "{table}" WHERE 0')
        try:
            if frame is not None and len(frame):
                keys = zip(*(frame[name].tolist() for name in self._parts.columns), strict=True)
                stored = frame.loc[[key in self.known for key in keys], list(same)]
                self._connection.executemany(
                    f"INSERT INTO temp.kept VALUES ({', '.join('?' * len(same))})", plain_rows(stored)
                )
            gone = (
                f"({columns}) IN (SELECT {columns} FROM temp.parts) "
                f"AND ({names}) NOT IN (SELECT {names} FROM temp.kept)"
            )
            self._connection.execute(
                f'UPDATE temp.parts SET changed = 1 WHERE ({columns}) IN (SELECT {columns} FROM "{table}" WHERE {gone})'
            )
            return self._connection.execute(f'DELETE FROM "{table}" WHERE {gone}').rowcount
        finally:
            self._connection.execute("DROP TABLE temp.kept")

    def finish(self, number: int) -> int:
        """Set the number of the batch in the head row of every stored part that changed; returns how many rows."""
        parts = self._parts
        changed = 0
        if self.known:
            columns = quoted(parts.columns)
            for table in parts.tables:
                mine = " AND ".join(f't."{name}" = parts."{name}"' for name in parts.columns)
                self._connection.execute(
                    f'UPDATE temp.parts SET changed = 1 WHERE NOT changed AND EXISTS (SELECT 1 FROM "{table}" AS t '
                    f"WHERE {mine} AND t.batch = ?)",
                    (number,),
                )
            changed = self._connection.execute(
                f'UPDATE "{parts.head}" SET batch = ? WHERE batch <> ? AND ({columns}) IN '
                f"(SELECT {columns} FROM temp.parts WHERE changed)",
                (number, number),
            ).rowcount
        self._connection.execute("DROP TABLE temp.parts")
        return changed

    @staticmethod
    def _same_row(layout: Table) -> tuple[str, ...]:
        time = layout.time
        if time is None or time in layout.key or layout.column(time).nullable:
            return layout.key
        return (*layout.key, time)
