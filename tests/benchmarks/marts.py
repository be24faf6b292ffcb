"""Tables that SQL makes of others: what an update costs beside building anew, and what it grows with.

As a part of the bench it works on a tenth of the rows, to end in a minute or two. The full size, about ten minutes and
8 GB of disk in the system's temporary folder: `python -m tests.benchmarks.marts 10000000`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from data import marts
from data.store.batches import Effect, next_batch, note_batch
from data.store.store import Store
from tests.benchmarks.table import Table

ROWS = 1_000_000
SYMBOLS = 100
HOUR = 3_600
TARGET = "stg_prices"

FILL = """
WITH RECURSIVE hour(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM hour WHERE n + 1 < :last)
INSERT INTO raw_binance_klines (symbol, interval, open_time, open, high, low, close, volume, close_time, trades,
  ingested_at, source, payload_sha256, run_id, content_sha256, batch)
SELECT :symbol, '1h', n * 3600, p, p, p, p, '1.0', (n + 1) * 3600, 1, 0, 'bench', lower(hex(randomblob(32))), 'bench',
  lower(hex(randomblob(32))), :batch
FROM (SELECT n, printf('%.8f', :level * (1 + (n * 7919 % 1000) / 1e5)) AS p FROM hour)
"""


def candles(store: Store, first: int, last: int) -> None:
    """One write: a candle an hour of every symbol, from hour `first` up to `last`, put in by SQL alone."""
    with store.transaction() as connection:
        batch = next_batch(connection)
        for number in range(SYMBOLS):
            symbol = "USDCUSDT" if number == SYMBOLS - 1 else f"S{number:03}USDT"
            level = 1.0 if number == SYMBOLS - 1 else 10.0 + number
            connection.execute(FILL, {"first": first, "last": last, "symbol": symbol, "level": level, "batch": batch})
        rows = (last - first) * SYMBOLS
        effect = Effect("raw_binance_klines", rows, rows, 0, last * HOUR)
        note_batch(
            connection, batch, "bench", f"{first}:{last}", run_id="bench", payload_sha256="", at=0, effects=[effect]
        )


def measured(rows: int, increment: int) -> tuple[float, float]:
    """Seconds to make the table of `rows` raw rows, and to bring it up to date after `increment` more."""
    hours, more = rows // SYMBOLS, increment // SYMBOLS
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "risk.sqlite") as store:
        candles(store, 0, hours)
        built = marts.refresh(store, [TARGET])[TARGET]
        candles(store, hours, hours + more)
        update = marts.refresh(store, [TARGET])[TARGET]
    assert (built.rebuilt, built.changed) == (True, hours * SYMBOLS)
    assert (update.rebuilt, update.changed) == (False, more * SYMBOLS)
    return built.seconds, update.seconds


def run(table: Table, rows: int = ROWS) -> None:
    """An increment of 1 % on a table of `rows`, and the same increment on a quarter of it."""
    table.title(f"marts: {TARGET} of {rows:,} raw rows, an increment of 1 % checked row by row against its schema")
    increment = rows // 100
    _, beside_quarter = measured(rows // 4, increment)
    built, update = measured(rows, increment)
    table.add("mart_build_s", built, "s", f"made of {rows:,} raw rows")
    table.add("mart_update_s", update, "s", f"{increment:,} rows more")
    table.add("mart_incremental_ratio", update / built, "x", "of building anew", 0.2, True)
    table.add(
        "mart_update_growth",
        update / beside_quarter,
        "x",
        f"as long as the same rows on a quarter of the table ({beside_quarter:.2f} s)",
        2,
        True,
    )


if __name__ == "__main__":
    run(Table(), int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
