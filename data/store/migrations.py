"""Upgrade a warehouse file to the layout of this version.

A new table, a new nullable column, a column that becomes nullable, or a changed view needs no step: it is made when the
file is next opened, also for reading. Any other change of layout is a step in `STEPS`, and increases `SCHEMA_VERSION`.
An upgrade is one transaction: a file is either unchanged or current, at whatever moment the process is killed; the next
one that opens the file begins the upgrade anew. Before a step the file is copied beside itself (`upgrade_copy`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from data.errors import MigrationFailed
from data.foreign_text import safe_print
from data.schemas.tables import BATCH, CONTENT_SHA256, Table, fingerprint, tables
from data.schemas.views import views
from data.store import shape
from data.store.balances import Unexplained, balances_with_validity
from data.store.batches import Effect, next_batch, note_batch
from data.store.content import digests
from data.store.layout import APPLICATION_ID, SCHEMA_VERSION, applied, definitions_digest, identify, is_current
from data.store.upgrade_copy import Kept, keep_copy

BEFORE_BATCHES = "before writes were numbered"
"""`source` in `fact_batch` for all rows without a number at an upgrade."""


def _holders_by_token(connection: sqlite3.Connection) -> None:
    """The key of holders now has the token. The log can be scanned again, so old rows and checkpoints are removed."""
    shape.database(connection).table("raw_aave_holders").drop(ignore=True)
    connection.execute("DELETE FROM ingest_checkpoint WHERE source = 'aave_rpc'")


def _klines_append_only(connection: sqlite3.Connection) -> None:
    """Candles became append-only: old rows keep their time of arrival, and count as one first write."""
    _to_append_only(connection, "raw_binance_klines", {"run_id": "manual"})


def _quarantine_by_batch(connection: sqlite3.Connection) -> None:
    """Rows in quarantine gained their batch and a state; the good rows of older refused batches were never kept."""
    db = shape.database(connection)
    present = shape.columns_of(db, "quarantine")
    if not present:
        return
    filled_with: dict[str, str | int] = {"batch_id": "", "row_number": 0, "state": "open", "settled_by": ""}
    for name, value in filled_with.items():
        if name not in present:
            shape.add_column(db, "quarantine", tables()["quarantine"].column(name), filled_with=value)


def _undecided_dollars(connection: sqlite3.Connection) -> None:
    """Prices that were divided by USDCUSDT alone get back the traded price, until another quote decides.

    The traded price is in `price_usdt`, or in the candle. Prices taken at one USDT for one USD are right already, and
    the mart of candles is made anew by its next refresh.
    """
    db = shape.database(connection)
    present = shape.columns_of(db, "dim_prices")
    if not {"price_usdt", "usd_proxy"} <= set(present):
        return
    for name in ("fact_batch", "fact_batch_rows"):
        shape.create_table(db, tables()[name])
    if "usd_decided_by" not in present:
        shape.add_column(db, "dim_prices", tables()["dim_prices"].column("usd_decided_by"))
    wrong = connection.execute(
        "SELECT symbol, interval, ts, price_usdt FROM dim_prices "
        "WHERE source = 'binance' AND is_synthetic = 0 AND usd_proxy = 'USDC'"
    ).fetchall()
    number = next_batch(connection) if wrong and "batch" in present else None
    traded = [
        (price if price is not None else _close(connection, symbol, interval, ts), symbol, interval, ts)
        for symbol, interval, ts, price in wrong
    ]
    connection.executemany(
        "UPDATE dim_prices SET price_usd = coalesce(?, price_usd), usd_proxy = 'USDT', usd_decided_by = 'not decided' "
        "WHERE symbol = ? AND interval = ? AND ts = ? AND source = 'binance'",
        traded,
    )
    if number is None:
        return
    connection.executemany(
        "UPDATE dim_prices SET batch = ? WHERE symbol = ? AND interval = ? AND ts = ? AND source = 'binance'",
        [(number, *key) for _, *key in traded],
    )
    effect = Effect("dim_prices", len(traded), len(traded), 0, None)
    note_batch(
        connection,
        number,
        "upgrade to layout 5",
        "dim_prices",
        run_id="manual",
        payload_sha256="",
        at=int(time.time()),
        effects=[effect],
    )


def _close(connection: sqlite3.Connection, symbol: str, interval: str, ts: int) -> float | None:
    """Newest close of the candle that ends at a time, exactly; None where it is not stored."""
    if not shape.columns_of(shape.database(connection), "raw_binance_klines"):
        return None
    found = connection.execute(
        "SELECT close FROM raw_binance_klines WHERE symbol = ? AND interval = ? AND close_time = ? "
        "ORDER BY batch DESC LIMIT 1",
        (symbol, interval, ts),
    ).fetchone()
    return float(found[0]) if found else None


STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {
    2: _holders_by_token,
    3: _klines_append_only,
    4: _quarantine_by_batch,
    5: _undecided_dollars,
    6: balances_with_validity,
}
"""Step n brings a file from layout n - 1 to n, before missing tables and columns are added."""


def has_layout(connection: sqlite3.Connection, version: int) -> bool:
    """True for a file that has had this layout, whichever files defined it."""
    return version == SCHEMA_VERSION and fingerprint() in applied(connection)


def _note_layout(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO schema_version VALUES (?, ?, ?)",
        [(SCHEMA_VERSION, digest, int(time.time())) for digest in (fingerprint(), definitions_digest())],
    )


def migrate(connection: sqlite3.Connection, path: Path) -> bool:
    """Create or upgrade the layout in one transaction; true when something changed.

    A file of an older layout is changed only after its copy is on the disk, unless `RISK_UPGRADE_COPY` is "no". Where
    the upgrade fails the file is unchanged and that copy is removed. Raises `MigrationFailed` when a step fails or a
    table cannot be brought to its layout without one, and the errors of SQLite and `OSError` where the copy cannot be
    written.
    """
    version = identify(connection, path)
    if is_current(connection, version):
        return False
    if has_layout(connection, version):
        with contextlib.suppress(sqlite3.OperationalError):  # another process is writing: noted another time
            _note_layout(connection)
        return False
    connection.execute("BEGIN IMMEDIATE")
    copy: Kept | None = None
    try:
        version = identify(connection, path)  # checked again: another process may have upgraded it
        if version:
            if version < SCHEMA_VERSION:
                copy = keep_copy(path, version)
            _upgrade(connection, version, path)
        else:
            for statement in shape.new_file(tuple(tables().values()), tuple(views().values())):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        _note_layout(connection)
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
            if copy is not None and copy.is_new:  # nothing was changed
                copy.path.unlink(missing_ok=True)
        if isinstance(error, Unexplained):
            raise MigrationFailed(f"{path}: {error}") from error
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise MigrationFailed(f"{path}: upgrade to layout {SCHEMA_VERSION} failed, nothing changed: {error}") from (
                error
            )
        raise
    if copy is not None:
        safe_print(
            f"{path.name} is upgraded to layout {SCHEMA_VERSION}; the old file is copied to {copy.path.name}; it can "
            "be deleted once the upgrade is checked (RISK_UPGRADE_COPY=no: no copy)",
            file=sys.stderr,
        )
    return True


def _upgrade(connection: sqlite3.Connection, version: int, path: Path) -> None:
    """Bring the tables, indexes, triggers and views of an older file to the layout of this version."""
    # Views first: a table that a view reads could not be renamed.
    db = shape.database(connection)
    shape.drop_views(db)
    for step in range(version + 1, SCHEMA_VERSION + 1):
        if step in STEPS:
            STEPS[step](connection)
    for table in tables().values():
        shape.create_table(db, table)
        _add_columns(db, table, path)
        shape.create_indexes(db, table)
        shape.create_triggers(db, table)
    for view in views().values():
        shape.create_view(db, view)


def _first_batch(connection: sqlite3.Connection) -> int:
    """The batch number for rows that were written before writes were numbered; stored at the first call."""
    db = shape.database(connection)
    for name in ("fact_batch", "fact_batch_rows"):
        shape.create_table(db, tables()[name])
    found = connection.execute("SELECT batch FROM fact_batch WHERE source = ?", (BEFORE_BATCHES,)).fetchone()
    if found:
        return found[0]
    number = next_batch(connection)
    note_batch(connection, number, BEFORE_BATCHES, "", run_id="manual", payload_sha256="", at=int(time.time()))
    return number


def _to_append_only(connection: sqlite3.Connection, name: str, filled_in: dict[str, Any]) -> None:
    """Give an old table the layout of an append-only one; `filled_in` has values for columns that it lacks."""
    db = shape.database(connection)
    layout, present = tables()[name], shape.columns_of(db, name)
    if not present:
        return
    db.rename_table(name, f"{name}_before")
    shape.create_table(db, layout)
    given = {BATCH: _first_batch(connection)} | filled_in
    taken = [f'"{column}"' if column in present else "?" for column in layout.names if column != CONTENT_SHA256]
    values = [given.get(column) for column in layout.names if column not in (*present, CONTENT_SHA256)]
    place = layout.names.index(CONTENT_SHA256)
    content = [(layout.names[:place] + layout.names[place + 1 :]).index(column) for column in layout.content]
    rows = connection.execute(f'SELECT {", ".join(taken)} FROM "{name}_before"', values)
    marks = ", ".join("?" * len(layout.names))
    while some := rows.fetchmany(10_000):
        sha256 = digests(layout.content, ([row[column] for column in content] for row in some))
        connection.executemany(
            f'INSERT INTO "{name}" VALUES ({marks})',
            [(*row[:place], digest, *row[place:]) for row, digest in zip(some, sha256, strict=True)],
        )
    db.table(f"{name}_before").drop()
    _count_as_written(connection, given[BATCH], name)


def _count_as_written(connection: sqlite3.Connection, number: int, table: str) -> None:
    """Enter all rows of a table as one write, so that readers of the table see them as new."""
    connection.execute(
        "INSERT OR REPLACE INTO fact_batch_rows (batch, table_name, n_rows, n_changed, n_removed) "
        f'SELECT ?, ?, count(*), count(*), 0 FROM "{table}" HAVING count(*) > 0',
        (number, table),
    )


def _add_columns(db: Database, table: Table, path: Path) -> None:
    """Add the nullable columns that an older file lacks; drop NOT NULL from columns that became nullable."""
    present, filled = shape.columns_of(db, table.name), shape.never_empty(db, table.name)
    key = shape.key_of(db, table.name)
    if key != table.key:
        raise MigrationFailed(
            f"{path}: table {table.name} has the key {', '.join(key)}, expected {', '.join(table.key)}, and there is "
            "no upgrade step; nothing changed. Keep the file for its old version and start a new one"
        )
    for column in table.columns:
        if column.name in present:
            continue
        if column.name == BATCH:
            first = _first_batch(db.conn)
            shape.add_column(db, table.name, column, filled_with=first)
            _count_as_written(db.conn, first, table.name)
            continue
        if not column.nullable:
            raise MigrationFailed(
                f"{path}: table {table.name} lacks column {column.name}, which may not be empty and has no upgrade "
                f"step; nothing changed. Keep the file for its old version and start a new one"
            )
        shape.add_column(db, table.name, column)
    if any(column.nullable and column.name in filled for column in table.columns):
        shape.replace_table(db, table)  # SQLite cannot drop NOT NULL from a column
