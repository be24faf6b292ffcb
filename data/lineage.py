"""Where a row came from: the write that brought it, its run, and the received rows that it rests on.

    for found in lineage.of(store, "stg_prices", ["ETHUSDT", "1h"]):
        print(found.write.source, found.write.key, found.received)

The `batch` of a row is the write that gave it its present content; of a row that SQL made, the newest write that it
rests on. Received rows are found by their key: where the row has all columns of that key, whichever write brought them;
where it has only some, among the rows of its own write. The view `lineage` has the writes, for joins in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data import marts
from data.errors import DataError
from data.schemas.tables import BATCH, Table, tables
from data.store.store import Store
from data.store.upserts import quoted

MOST_ROWS = 20
"""Rows in one answer, at most, where only a part of a key is given."""

HOLDING = "valid_from <= ? AND (valid_to IS NULL OR valid_to > ?)"
"""Rows with validity that hold at a block, which is given twice."""

SAME = {"wallet": "account", "newest_block": "block"}
"""Columns of served tables that have another name in staging and raw tables."""


@dataclass(frozen=True, slots=True)
class Write:
    """One row of `fact_batch` and the run it belongs to; `flow` is empty for a write outside any run."""

    batch: int
    source: str
    key: str
    run_id: str
    flow: str
    params: str
    payload_sha256: str
    written_at: int


@dataclass(frozen=True, slots=True)
class Received:
    """Rows of one raw table that agree with the row in every column of their key that it has; `write`: the newest."""

    table: str
    n_rows: int
    agree_in: dict[str, Any]
    payload_sha256: tuple[str, ...]
    write: Write | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """A row, the write that brought it, the SQL files it went through, and the received rows it rests on."""

    table: str
    row: dict[str, Any]
    write: Write | None
    made_by: tuple[str, ...]
    received: tuple[Received, ...]


def of(store: Store, table: str, key: Sequence[str] | Mapping[str, Any]) -> list[Lineage]:
    """Lineage of the rows of `table` with this key, at most 20 of them.

    `key`: values in the order of the table's key, of which the last may be left out, or a value by column name.
    Raises `DataError` for an unknown table or column, for too many values, and where no row has the key.
    """
    layout = tables().get(table)
    if layout is None:
        raise DataError(f"there is no table {table}; `python -m data tables` lists them")
    if not isinstance(key, Mapping):
        if len(key) > len(layout.key):
            raise DataError(f"{table} has the key {', '.join(layout.key)}, found {len(key)} values for it")
        key = dict(zip(layout.key, key, strict=False))
    if unknown := sorted(set(key) - set(layout.names)):
        raise DataError(f"{table} has no column {', '.join(unknown)}; it has {', '.join(layout.names)}")
    where = " AND ".join(f'"{name}" = ?' for name in key) or "true"
    rows = store.rows(
        f'SELECT {quoted(layout.names)} FROM "{table}" WHERE {where} ORDER BY {quoted(layout.key)} LIMIT {MOST_ROWS}',
        list(key.values()),
    )
    if not rows:
        raise DataError(f"{table} has no row with {', '.join(f'{name} = {value}' for name, value in key.items())}")
    return [_of_row(store, layout, dict(zip(layout.names, row, strict=True))) for row in rows]


def _of_row(store: Store, layout: Table, row: dict[str, Any]) -> Lineage:
    known = marts.targets()
    path = marts.target.with_inputs([layout.name], known) if layout.name in known else []
    sources = sorted({name for each in path for name in known[each].reads} - set(known))
    received = [_received(store, tables()[name], row) for name in sources if BATCH in row]
    return Lineage(
        table=layout.name,
        row=row,
        write=_write(store, row[BATCH]) if BATCH in row else None,
        made_by=tuple(f"data/marts/{known[name].file}" for name in path),
        received=tuple(each for each in received if each is not None and each.n_rows),
    )


def _write(store: Store, batch: int) -> Write | None:
    found = store.rows(
        "SELECT b.batch, b.source, b.key, b.run_id, coalesce(r.flow, ''), coalesce(r.params, ''), b.payload_sha256, "
        "b.written_at FROM fact_batch AS b LEFT JOIN fact_run AS r ON r.run_id = b.run_id WHERE b.batch = ?",
        (batch,),
    )
    return Write(*found[0]) if found else None


def _received(store: Store, layout: Table, row: dict[str, Any]) -> Received | None:
    if BATCH not in layout.names or layout.name == "fact_batch":
        return None
    given = {SAME.get(name, name): value for name, value in row.items() if value is not None}
    about = layout.subject if layout.validity else layout.natural_key
    agree = {name: given[name] for name in about if name in given}
    if layout.validity and "block" in given:  # its number changes when it ends, which later rows may not know
        where = " AND ".join([*(f'"{name}" = ?' for name in agree), HOLDING])
        values = [*agree.values(), given["block"], given["block"]]
    else:
        if len(agree) < len(about):
            agree[BATCH] = row[BATCH]
        where = " AND ".join(f'"{name}" = ?' for name in agree) + f' AND "{BATCH}" <= ?'
        values = [*agree.values(), row[BATCH]]
    count, newest = store.rows(f'SELECT count(*), max("{BATCH}") FROM "{layout.name}" WHERE {where}', values)[0]
    payloads = []
    if "payload_sha256" in layout.names:
        payloads = store.rows(
            f'SELECT DISTINCT payload_sha256 FROM "{layout.name}" WHERE {where} ORDER BY 1 LIMIT 5', values
        )
    return Received(
        layout.name, count, agree, tuple(sha256 for (sha256,) in payloads), _write(store, newest) if newest else None
    )
