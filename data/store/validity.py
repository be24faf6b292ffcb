"""Rows that hold from one block until another: a snapshot writes only what differs from the stored rows.

A table with validity (`data.schemas.model.Valid`) gives a value for each block that was read. Writing block B sets the
value on [B, N), where N is the next block that was read; values at blocks before and after do not change. Adjacent rows
of equal value become one row, so the stored rows do not depend on the order in which the blocks came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data.errors import WarehouseError
from data.schemas.tables import Table
from data.store.holding import HOLDS
from data.store.upserts import plain_columns, quoted

Row = tuple[Any, ...]
Kept = tuple[Row, Row]
"""A row as (values of `Table.subject`, values of `value_columns`), plain Python values."""
_BY_ACCOUNT = 2_000
"""Up to this many accounts are looked up one by one; for more, all rows of the market are read."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Block `block` of `market`, which is about to be written.

    `among`: the only accounts that may differ from the block read before it. None: the batch has every row that holds
    at the block. `after`, `after_batch`: block of the snapshot that the rows are built on, and the write that brought
    it; None where they are built on none.
    """

    market: str
    block: int
    among: frozenset[str] | None = None
    after: int | None = None
    after_batch: int | None = None


@dataclass(slots=True)
class _Changes:
    """Changes to rows (subject, valid_from, valid_to, value); `end`: the new `valid_to` of a stored row."""

    delete: list[tuple[Row, int]]
    end: list[tuple[Row, int, int | None]]
    insert: list[tuple[Row, int, int | None, Row]]


def blocks_around(connection: sqlite3.Connection, market: str, block: int) -> tuple[int | None, int | None]:
    """(the last stored block of a market before `block`, the first after it); None where there is none."""
    before, after = connection.execute(
        "SELECT (SELECT max(block) FROM fact_snapshot WHERE market = ?1 AND block < ?2), "
        "(SELECT min(block) FROM fact_snapshot WHERE market = ?1 AND block > ?2)",
        (market, block),
    ).fetchone()
    return before, after


def put(
    connection: sqlite3.Connection,
    layout: Table,
    rows: Iterable[Kept],
    number: int,
    at: Moment,
    *,
    in_order: bool = False,
) -> tuple[int, int]:
    """Store `rows` (subject, value) as what holds at a block; returns (rows new or changed, rows ended).

    Works inside the caller's transaction, before or after the row of `fact_snapshot` is written. `in_order`: blocks are
    written in order, and none after this one was written, even if `fact_snapshot` has later ones. Raises
    `sqlite3.IntegrityError` for two rows of one subject.
    """
    before, until = blocks_around(connection, at.market, at.block)
    if in_order:
        until = None
    _require_base(connection, at, before)
    given: dict[Row, Row] = {}
    for subject, value in rows:
        if subject in given:
            raise sqlite3.IntegrityError(f"{layout.name}: two rows of one key at block {at.block}")
        given[subject] = value
    held, ending, beginning = _stored(connection, layout, at, until)
    changes = _Changes([], [], [])
    changed = ended = 0
    for subject, (since, to, value) in held.items():
        new = given.get(subject)
        if new == value:
            continue
        if new is None:
            ended += 1
        else:
            changed += 1
        _cut(changes, subject, since, to, value, at.block, until)
    for subject, value in given.items():
        if subject in held:
            if held[subject][2] == value:
                continue
        else:
            changed += 1
        _set(changes, subject, value, at.block, until, ending.get(subject), beginning.get(subject))
    _write(connection, layout, changes, number)
    return changed, ended


def _require_base(connection: sqlite3.Connection, at: Moment, before: int | None) -> None:
    """Raise `WarehouseError` unless the snapshot that `at` is built on is as it was (and the last one, for `among`)."""
    if at.after is None:
        return
    if at.among is not None and before != at.after:
        raise WarehouseError(
            f"{at.market}: block {before} was stored by another process before block {at.block}, which was built on "
            f"block {at.after}; nothing was written, run again"
        )
    base = connection.execute(
        "SELECT batch FROM fact_snapshot WHERE market = ? AND block = ?", (at.market, at.after)
    ).fetchone()
    if base is None or base[0] != at.after_batch:
        raise WarehouseError(
            f"{at.market}: the snapshot at block {at.after}, which block {at.block} was built on, was changed by "
            "another process meanwhile; nothing was written, run again"
        )


def of_frame(layout: Table, frame: pd.DataFrame, at: Moment) -> Iterator[Kept]:
    """The rows of a validated frame. Raises `ValueError` for a row that begins at another block or has an end."""
    moments = frame[["market", "valid_from"]].drop_duplicates().to_numpy().tolist()
    if moments not in ([], [[at.market, at.block]]) or frame["valid_to"].notna().any():
        raise ValueError(
            f"{layout.name}: expected rows that hold from block {at.block} of {at.market} on, found {moments[:3]}"
        )
    subjects = zip(*plain_columns(frame[list(layout.subject)]), strict=True)
    return zip(subjects, zip(*plain_columns(frame[list(value_columns(layout))]), strict=True), strict=True)


def drop(connection: sqlite3.Connection, layout: Table, market: str, block: int, number: int) -> int:
    """Remove a block: what held before it holds until the next block that was read. Returns how many rows changed.

    For a snapshot that is about to be removed; the values at other blocks do not change.
    """
    before, _ = blocks_around(connection, market, block)
    rows: list[Kept] = []
    if before is not None:
        held, _, _ = _stored(connection, layout, Moment(market, before), None)
        rows = [(subject, value) for subject, (_, _, value) in held.items()]
    changed, ended = put(connection, layout, rows, number, Moment(market, block))
    return changed + ended


def _stored(
    connection: sqlite3.Connection, layout: Table, at: Moment, until: int | None
) -> tuple[dict[Row, tuple[int, int | None, Row]], dict[Row, tuple[int, Row]], dict[Row, tuple[int | None, Row]]]:
    """Three dicts by subject: the row that holds at the block, that ends there, and that begins at `until`."""
    subject, value = layout.subject, value_columns(layout)
    columns = quoted([*subject, "valid_from", "valid_to", *value])
    n = len(subject)
    where = f"{HOLDS} OR (market = ?1 AND (valid_to = ?2 OR valid_from = ?3))"
    if at.among is None or len(at.among) > _BY_ACCOUNT:
        found: Iterable[Row] = connection.execute(
            f'SELECT {columns} FROM "{layout.name}" WHERE market = ?1 AND ({where})', (at.market, at.block, until)
        )
        if at.among is not None:
            place, among = subject.index("account"), at.among
            found = (row for row in found if row[place] in among)
    else:
        sql = f'SELECT {columns} FROM "{layout.name}" WHERE market = ?1 AND account = ?4 AND ({where})'
        found = (
            row
            for account in sorted(at.among)
            for row in connection.execute(sql, (at.market, at.block, until, account))
        )
    held: dict[Row, tuple[int, int | None, Row]] = {}
    ending: dict[Row, tuple[int, Row]] = {}
    beginning: dict[Row, tuple[int | None, Row]] = {}
    for row in found:
        key, since, to, value = row[:n], row[n], row[n + 1], row[n + 2 :]
        if to == at.block:
            ending[key] = (since, value)
        elif since <= at.block:
            held[key] = (since, to, value)
        else:
            beginning[key] = (to, value)
    return held, ending, beginning


def value_columns(layout: Table) -> tuple[str, ...]:
    """The columns of the value of a row, beside its subject and validity."""
    return tuple(name for name in layout.content if name not in (*layout.key, "valid_to"))


def _cut(
    changes: _Changes, subject: Row, since: int, to: int | None, value: Row, block: int, until: int | None
) -> None:
    """Cut [block, until) out of a stored row."""
    if since < block:
        changes.end.append((subject, since, block))
    else:
        changes.delete.append((subject, since))
    if until is not None and to != until:
        changes.insert.append((subject, until, to, value))


def _set(
    changes: _Changes,
    subject: Row,
    value: Row,
    block: int,
    until: int | None,
    left: tuple[int, Row] | None,
    right: tuple[int | None, Row] | None,
) -> None:
    """Set `value` on [block, until), where no row holds now, and join it with adjacent rows of the same value."""
    to = until
    if right is not None and right[1] == value:
        assert until is not None
        changes.delete.append((subject, until))
        to = right[0]
    if left is not None and left[1] == value:
        changes.end.append((subject, left[0], to))
    else:
        changes.insert.append((subject, block, to, value))


def _write(connection: sqlite3.Connection, layout: Table, changes: _Changes, number: int) -> None:
    where = " AND ".join(f'"{name}" = ?' for name in (*layout.subject, "valid_from"))
    connection.executemany(
        f'DELETE FROM "{layout.name}" WHERE {where}', ((*subject, since) for subject, since in changes.delete)
    )
    connection.executemany(
        f'UPDATE "{layout.name}" SET valid_to = ?, batch = ? WHERE {where}',
        ((to, number, *subject, since) for subject, since, to in changes.end),
    )
    columns = quoted([*layout.subject, "valid_from", "valid_to", *value_columns(layout), "batch"])
    marks = ", ".join("?" * (len(layout.subject) + 3 + len(value_columns(layout))))
    connection.executemany(
        f'INSERT INTO "{layout.name}" ({columns}) VALUES ({marks})',
        ((*subject, since, to, *value, number) for subject, since, to, value in changes.insert),
    )
