"""Rows that hold from one block until another: of a snapshot, only what differs from what is stored is written.

A table with validity (`data.schemas.model.Valid`) is a function of the blocks that were read. Writing block B sets its
value on [B, N), N being the next block that was read: blocks before and after keep theirs. Rows of equal value that
meet are one row, so the same function is always stored as the same rows, in whichever order the blocks came.
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
"""What a row is about (`Table.subject`) and what it says (`value_columns`), as plain values."""
_BY_ACCOUNT = 2_000
"""Accounts up to which rows are looked up one account at a time; more are found by one walk through the market."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Block `block` of `market`, about to be written.

    `among`: the only accounts that may differ from block `after`, the one read before it; None: every row that holds at
    the block is given.
    """

    market: str
    block: int
    among: frozenset[str] | None = None
    after: int | None = None


@dataclass(slots=True)
class _Changes:
    """Rows as (subject, valid_from, valid_to, value); `end`: the new `valid_to` of a row that stays."""

    delete: list[tuple[Row, int]]
    end: list[tuple[Row, int, int | None]]
    insert: list[tuple[Row, int, int | None, Row]]


def blocks_around(connection: sqlite3.Connection, market: str, block: int) -> tuple[int | None, int | None]:
    """The blocks of a market that were read last before a block and first after it; None for none."""
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
    """Make `rows` (subject, value) what holds at a block; returns how many were new or changed, and how many ended.

    Works inside a transaction of its caller, before the row of `fact_snapshot` is written or after. `in_order`: blocks
    come in their order, and none after this one has been put, whatever `fact_snapshot` says. Raises
    `sqlite3.IntegrityError` where two rows of one subject are given.
    """
    before, until = blocks_around(connection, at.market, at.block)
    if in_order:
        until = None
    if at.among is not None and before != at.after:
        raise WarehouseError(
            f"{at.market}: block {before} was stored by another process before block {at.block}, which was built on "
            f"block {at.after}; nothing was written, run again"
        )
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


def of_frame(layout: Table, frame: pd.DataFrame, at: Moment) -> Iterator[Kept]:
    """The rows of a validated frame. Raises `ValueError` where one does not begin at the block, or ends already."""
    told = frame[["market", "valid_from"]].drop_duplicates().to_numpy().tolist()
    if told not in ([], [[at.market, at.block]]) or frame["valid_to"].notna().any():
        raise ValueError(
            f"{layout.name}: expected rows that hold from block {at.block} of {at.market} on, found {told[:3]}"
        )
    subjects = zip(*plain_columns(frame[list(layout.subject)]), strict=True)
    return zip(subjects, zip(*plain_columns(frame[list(value_columns(layout))]), strict=True), strict=True)


def drop(connection: sqlite3.Connection, layout: Table, market: str, block: int, number: int) -> int:
    """Forget what a block says: until the next one that was read, what held before it holds. Returns changed rows.

    For a snapshot that is about to be removed; those of other blocks stay what they are.
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
    """By subject: the row that holds at the block, the one that ends there, and the one that begins at `until`."""
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
        key, since, to, said = row[:n], row[n], row[n + 1], row[n + 2 :]
        if to == at.block:
            ending[key] = (since, said)
        elif since <= at.block:
            held[key] = (since, to, said)
        else:
            beginning[key] = (to, said)
    return held, ending, beginning


def value_columns(layout: Table) -> tuple[str, ...]:
    """The columns that say what holds."""
    return tuple(name for name in layout.content if name not in (*layout.key, "valid_to"))


def _cut(
    changes: _Changes, subject: Row, since: int, to: int | None, value: Row, block: int, until: int | None
) -> None:
    """Take [block, until) out of a stored row."""
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
    """Put `value` on [block, until), where nothing holds now; rows of the same value on either side become one."""
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
