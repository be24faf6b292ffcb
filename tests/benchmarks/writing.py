"""The bulk write path against bare SQLite, and what readers notice of it."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from data.schemas.tables import tables
from data.store.store import Store
from tests.benchmarks.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]
ROWS, SERIES, ROUNDS = 500_000, 20, 3
LOOKUPS = 2_000


def run(table: Table) -> None:
    """Rows of the same frame, by `Store.write_batch` (validated, compared, numbered) and by `executemany` alone."""
    table.title(f"warehouse: {ROWS:,} rows in one batch; the same STRICT table, indexes and connection settings")
    for name, frame, key in (("dim_prices", prices(), "write"), ("raw_binance_klines", candles(), "write_raw")):
        bare, ours = [], []
        for _ in range(ROUNDS):
            bare.append(seconds(name, frame, by_hand))
            ours.append(seconds(name, frame, by_store))
        floor = 1.5 if key == "write" else None
        figure = statistics.median(mine / other for mine, other in zip(ours, bare, strict=True))
        what = f"{name}: write_batch over executemany, median of {ROUNDS} pairs"
        table.add(f"{key}_vs_bare", figure, "times", what, floor, True)
        table.add(f"{key}_500k_s", statistics.median(ours), "s", f"{name}: write_batch", 10, True)
    table.add(
        "read_p99_ms",
        1e3 * slowest_readings(),
        "ms",
        f"p99 of {LOOKUPS:,} reads while another process writes",
        300,
        True,
    )


def prices() -> pd.DataFrame:
    """Rows of `dim_prices`, in the order of the key."""
    each = ROWS // SERIES
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "symbol": np.repeat([f"S{number:02d}USDT" for number in range(SERIES)], each),
            "interval": "1m",
            "ts": np.tile(1_700_000_000 + 60 * np.arange(each), SERIES),
            "source": "binance",
            "price_usd": rng.lognormal(5, 1, ROWS),
            "price_usdt": rng.lognormal(5, 1, ROWS),
            "usd_proxy": "USDT",
            "is_synthetic": 0,
        }
    )


def candles() -> pd.DataFrame:
    """Rows of `raw_binance_klines`, which is append-only: each row gets a digest of its content."""
    times = prices()["ts"].to_numpy()
    rng = np.random.default_rng(2)
    text = {name: [f"{value:.8f}" for value in rng.lognormal(5, 1, ROWS)] for name in ("open", "high", "low", "close")}
    return pd.DataFrame(
        {"symbol": prices()["symbol"], "interval": "1m", "open_time": times, **text, "volume": text["open"],
         "close_time": times + 60, "trades": rng.integers(0, 1_000, ROWS), "source": "binance",
         "payload_sha256": "ab" * 32}
    )  # fmt: skip


def seconds(name: str, frame: pd.DataFrame, write) -> float:
    """Seconds of one write into a new file."""
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "risk.sqlite") as store:
        rows = plain(name, frame) if write is by_hand else None
        gc.collect()
        gc.disable()
        try:
            start = time.perf_counter()
            write(store, name, frame if rows is None else rows)
            taken = time.perf_counter() - start
        finally:
            gc.enable()
        assert store.rows(f"SELECT count(*) FROM {name}") == [(ROWS,)]
    return taken


def plain(name: str, frame: pd.DataFrame) -> list[tuple]:
    """The tuples that a program without a store would have ready; making them is not measured."""
    filled = {"batch": 1, "ingested_at": 1_700_000_000, "run_id": "manual", "content_sha256": "0" * 64}
    columns = [frame[c].tolist() if c in frame else [filled.get(c)] * len(frame) for c in tables()[name].names]
    return list(zip(*columns, strict=True))


def by_hand(store: Store, name: str, rows: list[tuple]) -> None:
    with store.transaction() as connection:
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def by_store(store: Store, name: str, frame: pd.DataFrame) -> None:
    store.write_batch("bench", "k", {name: frame})


WRITER = """
import sys
from data.store import Store
from tests.benchmarks.writing import prices
frame = prices()
with Store.open(sys.argv[1]) as store:
    print("ready", flush=True)
    for number in range(1_000):
        part = frame.iloc[number % 25 * 20_000 : (number % 25 + 1) * 20_000]
        store.write_batch("bench", str(number), {"dim_prices": part.assign(price_usd=part["price_usd"] + number)})
"""


def slowest_readings() -> float:
    """99th percentile, in seconds, of opening the file and reading the newest thousand prices of a series."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "risk.sqlite"
        with Store.open(path) as store:
            store.write_batch("bench", "first", {"dim_prices": prices()})
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout.readline() == "ready\n"
            taken = []
            for number in range(LOOKUPS):
                start = time.perf_counter()
                with Store.open(path, readonly=True) as reader:
                    rows = reader.rows(
                        "SELECT ts, price_usd FROM dim_prices WHERE symbol = ? AND interval = '1m' "
                        "ORDER BY ts DESC LIMIT 1000",
                        (f"S{number % SERIES:02d}USDT",),
                    )
                taken.append(time.perf_counter() - start)
                assert len(rows) == 1_000
            assert writer.poll() is None, "the writer ended before the reader did"
            writer.kill()
    return float(np.quantile(taken, 0.99))
