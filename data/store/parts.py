"""Parts of tables that are replaced as a whole: a batch that names a part holds all rows of it.

A block that is read again is such a part of all tables that hold blocks: rows that the new reading no longer has go, in
the transaction that brings the others. `Store.write_batch` takes the parts of a batch as one `Parts`.
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
    """`values` of `columns`, which every one of `tables` has in its key: one tuple for each part.

    `head` is the table with one row for each part that is stored. Where anything of a stored part changes, in whichever
    table, its row of `head` takes the number of the batch: whoever looks there for what is new need not look elsewhere.
    """

    columns: tuple[str, ...]
    values: Sequence[tuple[Any, ...]]
    tables: tuple[str, ...]
    head: str


class Replacing:
    """The parts of one batch that are stored already, inside the transaction of `Store.write_batch`."""

    def __init__(self, connection: sqlite3.Connection, parts: Parts) -> None:
        self._connection, self._parts = connection, parts
        self._layouts = {name: tables()[name] for name in (*parts.tables, parts.head)}
        for layout in self._layouts.values():
            if not set(parts.columns) <= set(layout.key) or layout.append:
                raise ValueError(
                    f"{layout.name}: parts need {', '.join(parts.columns)} in its key, and rows that may go"
                )
        columns = quoted(parts.columns)
        # The name of a column alone takes over no type: values compare as they are.
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

        A row whose time (`Table.time`) is another one now goes too, and comes again as new: a table that is made of
        this one by the hour learns in this way that an hour lost something.
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
                ours = frame.loc[[key in self.known for key in keys], list(same)]
                self._connection.executemany(
                    f"INSERT INTO temp.kept VALUES ({', '.join('?' * len(same))})", plain_rows(ours)
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
        """Give the number of the batch to the head of every stored part that changed; returns how many took it now."""
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
