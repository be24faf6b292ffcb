"""Rows that come from rows which are stored already: they were validated then, and are written without being so again.

Given as columns of plain values, one list for each column of the table but `batch`. STRICT tables still refuse a wrong
type, and a key that comes twice ends the transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from data.schemas.tables import BATCH, Table, tables

Columns = Mapping[str, Sequence[Any]]
"""Column name to plain values, one for each row."""


def n_rows(columns: Columns) -> int:
    """Rows of a batch of columns, which are equally long."""
    return len(next(iter(columns.values()), ()))


def require_whole(carried: Mapping[str, Columns]) -> None:
    """Raise `ValueError` unless there is exactly one column for each of its table, all of one length."""
    for table, columns in carried.items():
        _require_whole(tables()[table], columns)


def _require_whole(layout: Table, columns: Columns) -> None:
    if layout.append or set(columns) != set(layout.names) - {BATCH}:
        raise ValueError(
            f"{layout.name}: carried rows need the columns {', '.join(n for n in layout.names if n != BATCH)} and a "
            f"table that is not append-only; found {', '.join(columns)}"
        )
    if len({len(values) for values in columns.values()}) > 1:
        raise ValueError(f"{layout.name}: carried columns differ in length")


def put(connection: sqlite3.Connection, layout: Table, columns: Columns, number: int, sql: str) -> int:
    """Run the statement `sql` (all columns in order) for each row, under the number of the write; returns changes."""
    given = [repeat(number) if name == BATCH else columns[name] for name in layout.names]
    before = connection.total_changes
    # `number` is repeated for every row, so zip() must not be strict.
    connection.executemany(sql, zip(*given, strict=False))
    return connection.total_changes - before
