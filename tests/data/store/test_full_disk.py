"""No room left, or a file that lost bytes: nothing is half-written, and one clear error says what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import data
from data.errors import NotAWarehouse, WarehouseError
from data.store.store import Store
from data.store.validity import Moment
from tests.data.conftest import checksums, price_rows

MEGABYTE = 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Occupy the disk up to `leave` bytes."""
    state = os.statvfs(folder)
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        file.write(b"\0" * (state.f_bavail * state.f_frsize - leave))
    return ballast


@pytest.mark.parametrize("leave", [0, 200_000], ids=["no byte left", "full in the middle of the batch"])
def test_a_full_disk_keeps_what_was_there_and_the_batch_passes_once_there_is_room(small_disk, leave):
    path = small_disk / "risk.sqlite"
    with Store.open(path) as store:
        store.write_batch("binance", "before", {"dim_prices": price_rows(100)})
        before = checksums(path)
        ballast = fill(small_disk, leave)

        with pytest.raises(WarehouseError, match=r"risk\.sqlite: the disk is full; nothing was written.*[Mm]ake room"):
            store.write_batch("binance", "large", {"dim_prices": price_rows(20_000, symbol="BTCUSDT")})

        assert store.rows("SELECT count(*) FROM dim_prices") == [(100,)]
        ballast.unlink()
        assert checksums(path) == before
        assert store.write_batch("binance", "large", {"dim_prices": price_rows(9_000, symbol="BTCUSDT")}).changed == {
            "dim_prices": 9_000
        }
        assert store.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_full_disk_is_named_when_a_file_is_opened_or_created(small_disk):
    there = small_disk / "there.sqlite"
    with Store.open(there) as store:
        store.write_batch("binance", "before", {"dim_prices": price_rows(100)})
    fill(small_disk, 0)

    with pytest.raises(WarehouseError, match=r"new\.sqlite: .*disk is full"):
        Store.open(small_disk / "new.sqlite")
    with pytest.raises(WarehouseError, match="disk is full"), Store.open(there) as store:
        store.write_batch("binance", "more", {"dim_prices": price_rows(100, symbol="BTCUSDT")})


def test_a_file_that_may_not_grow_is_a_full_disk_to_sqlite(store):
    store.write_batch("binance", "before", {"dim_prices": price_rows(10)})
    pages = store.rows("PRAGMA page_count")[0][0]
    store.rows(f"PRAGMA max_page_count = {pages + 3}")

    with pytest.raises(WarehouseError, match="the disk is full; nothing was written"):
        store.write_batch("binance", "large", {"dim_prices": price_rows(20_000, symbol="BTCUSDT")})

    assert store.rows("SELECT count(*) FROM dim_prices") == [(10,)]
    store.rows("PRAGMA max_page_count = 1073741823")
    store.write_batch("binance", "large", {"dim_prices": price_rows(20_000, symbol="BTCUSDT")})


def settle(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def page_of(path: Path, table: str) -> int:
    """First page of a table, counted from 0."""
    connection = sqlite3.connect(path)
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    connection.close()
    return root - 1


def spoil(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(length))


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    ("start", "length"), [(0, 16), (0, 4096), (16, 84)], ids=["magic", "first page", "header behind the magic"]
)
def test_a_damaged_header_is_refused_and_the_file_left_alone(filled, start, length, readonly):
    settle(filled)
    spoil(filled, start, length)
    before = filled.read_bytes()

    with pytest.raises(NotAWarehouse, match=r"risk\.sqlite: .*(damaged|another program)"):
        Store.open(readonly=readonly)

    assert filled.read_bytes() == before


def test_a_damaged_page_in_the_middle_is_met_by_who_reads_it_and_by_who_writes_it(filled):
    settle(filled)
    spoil(filled, page_of(filled, "raw_aave_balances") * 4096, 4096)

    with pytest.raises(NotAWarehouse, match=r"risk\.sqlite: is damaged .*restore it from a copy"):
        data.load_market()
    with Store.open() as store:
        with pytest.raises(NotAWarehouse, match="is damaged"):
            store.write_batch(
                "s",
                "k",
                {
                    "dim_prices": price_rows(1),
                    "raw_aave_balances": balance_rows(),
                },
                moment=Moment("M", 1),
            )
        assert store.rows("SELECT count(*) FROM dim_prices WHERE source = 'binance'") == [(0,)]
        store.write_batch("s", "k", {"dim_prices": price_rows(1)})  # what is whole can still be used


def test_a_file_cut_short_is_damaged(filled):
    settle(filled)
    with filled.open("r+b") as file:
        file.truncate(filled.stat().st_size // 8192 * 4096)

    with pytest.raises(NotAWarehouse, match="restore it from a copy"):
        data.load_market()


def balance_rows():
    import pandas as pd

    return pd.DataFrame(
        [{"market": "M", "valid_from": 1, "account": "0x" + "a" * 40, "asset": "0x" + "b" * 40, "reserve_id": 0,
          "scaled_supply": "1", "scaled_debt": "0"}]
    )  # fmt: skip
