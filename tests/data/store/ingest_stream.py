"""A stream of batches through the real write path, in a child process that may be killed at any moment.

`python -m tests.data.store.ingest_stream` forks the children (`tests.data.store.dying`); a step is a SQL statement.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache

import numpy as np
import pandas as pd

from data import snapshot
from data.errors import BatchRefused, ReplayRefused
from data.quarantine import replay
from data.sample.book import holdings
from data.sample.frames import frames
from data.store.store import Store
from tests.data.store.dying import Steps, serve

SOURCE = "stream"
BATCHES = 9
ROWS = 80
FIRST, REVISED, PART_BAD, REFUSED, MOVED = 0, 2, 4, 6, 7
"""Batches that bring the snapshot, correct earlier rows, put a bad row aside, are refused, and bring the snapshot again
with fewer accounts."""


def ingest(path: str, steps: Steps | None = None) -> None:
    """Go on where the checkpoint says."""
    with Store.open(path) as store:
        if steps is not None:
            store._connection.set_trace_callback(steps)
        run = store.start_run("stream")
        done = store.checkpoint(SOURCE, "next") or 0
        for number in range(done, BATCHES):
            write(store, number, run)
        settle(store)
        store.finish_run(run, "completed")


def write(store: Store, number: int, run: str) -> None:
    """Batch `number` and the checkpoint that counts it, together."""
    candles, prices = market(number)
    mark = pd.DataFrame([{"source": SOURCE, "key": "next", "value": json.dumps(number + 1), "updated_at": number}])
    terms: dict = {"max_bad_share": 0.1}
    if number == PART_BAD:
        prices = prices.assign(price_usd=prices["price_usd"].where(prices["ts"] != prices["ts"].iloc[7], -1.0))
    if number == REFUSED:
        prices = prices.assign(price_usd=-prices["price_usd"])
        terms["max_bad_share"] = 0.0
    rows = {"raw_binance_klines": candles, "dim_prices": prices}
    if number in (FIRST, MOVED):
        snapshot.save_snapshot(store, SOURCE, _book(number == MOVED) | {"ingest_checkpoint": mark}, run)
        return
    if number != REFUSED:
        store.write_batch(SOURCE, f"window {number}", rows | {"ingest_checkpoint": mark}, run, **terms)
        return
    try:
        store.write_batch(SOURCE, f"window {number}", rows, run, **terms)
    except BatchRefused:
        store.write_batch(SOURCE, f"mark {number}", {"ingest_checkpoint": mark}, run)


def settle(store: Store) -> None:
    """Replay the refused batch with the sign mended."""
    waiting = store.rows("SELECT batch_id FROM quarantine_batch WHERE refused = 1 AND state = 'open'")
    for (batch_id,) in waiting:
        try:
            replay.replay(store, batch_id, mend=_positive)
        except ReplayRefused as error:
            raise AssertionError("nobody else settles this batch") from error


def _positive(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(price_usd=rows["price_usd"].abs()) if table == "dim_prices" else rows


@cache
def _book(fewer: bool) -> dict[str, pd.DataFrame]:
    rows = frames(holdings(100, 3))
    if fewer:
        leaving = set(rows["raw_aave_account_states"]["account"].iloc[-20:])
        for table in ("raw_aave_account_states", "raw_aave_balances"):
            rows[table] = rows[table][~rows[table]["account"].isin(leaving)]
    return rows


@cache
def market(number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candles and prices of a window; `REVISED` has the rows of the window before with other prices."""
    window = number - 1 if number == REVISED else number
    opened = 1_700_000_000 + 3_600 * (ROWS * window + np.arange(ROWS))
    price = np.round(np.random.default_rng(number).lognormal(7.0, 0.1, ROWS), 8)
    text = [f"{value:.8f}" for value in price]
    candles = pd.DataFrame(
        {"symbol": "ETHUSDT", "interval": "1h", "open_time": opened, "open": text, "high": text, "low": text,
         "close": text, "volume": "1", "close_time": opened + 3_600, "trades": 1, "source": "binance",
         "payload_sha256": "ab" * 32}
    )  # fmt: skip
    prices = pd.DataFrame(
        {"symbol": "ETHUSDT", "interval": "1h", "ts": opened + 3_600, "source": "binance", "price_usd": price,
         "usd_proxy": "USDT", "is_synthetic": 0}
    )  # fmt: skip
    return candles, prices


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        ingest(f"{folder}/warm.sqlite")  # what is computed once is computed before the first child
    serve(ingest)
