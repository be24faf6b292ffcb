"""A file that cannot be used ends in one clear error, and is left exactly as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

import data
from data.errors import (
    MigrationFailed,
    NotAWarehouse,
    SchemaTooNew,
    WarehouseError,
    WarehouseLocked,
    WarehouseMissing,
    WarehouseReadOnly,
)
from data.store import migrations
from data.store.store import Store
from tests.data.candles import candles
from tests.data.conftest import price_rows
from tests.data.store.former_layout import as_layout_5

NOBODY = 65_534


def raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_a_new_file_is_created_with_its_directory_in_wal_mode(tmp_path):
    path = tmp_path / "new" / "folder" / "risk.sqlite"

    with Store.open(path) as opened:
        opened.write_batch("s", "k", {"dim_prices": price_rows(1)})

    connection = raw(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA user_version").fetchone() == (migrations.SCHEMA_VERSION,)


def test_reading_needs_a_file_and_creates_none(own_warehouse):
    with pytest.raises(WarehouseMissing, match=r"python -m data\.sample"):
        data.load_market()

    assert not own_warehouse.exists()


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("content", [b"symbol,price\nETH,1\n" * 40, b"<html>not found</html>" * 40])
def test_a_file_that_is_no_database_is_refused_and_kept(own_warehouse, content, readonly):
    own_warehouse.write_bytes(content)

    with pytest.raises(NotAWarehouse, match="damaged or is not an SQLite file"):
        Store.open(readonly=readonly)

    assert own_warehouse.read_bytes() == content


def test_a_damaged_warehouse_is_refused(filled):
    content = bytearray(filled.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 512] = b"\xff" * 512
    filled.write_bytes(bytes(content))

    with pytest.raises(NotAWarehouse, match="restore it from a copy"):
        data.load_market()


@pytest.mark.parametrize("readonly", [True, False])
def test_a_database_of_another_program_is_refused_and_kept(own_warehouse, readonly):
    connection = raw(own_warehouse)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    before = own_warehouse.read_bytes()

    with pytest.raises(NotAWarehouse, match=r"another program .*songs"):
        Store.open(readonly=readonly)

    assert own_warehouse.read_bytes() == before


@pytest.mark.parametrize("readonly", [True, False])
def test_a_newer_layout_is_refused_and_kept(filled, readonly):
    connection = raw(filled)
    connection.execute(f"PRAGMA user_version = {migrations.SCHEMA_VERSION + 1}")
    connection.close()
    before = filled.read_bytes()

    with pytest.raises(SchemaTooNew, match=rf"has layout {migrations.SCHEMA_VERSION + 1}.*upgrade the package"):
        Store.open(readonly=readonly)

    assert filled.read_bytes() == before


def as_layout_1(path: Path) -> None:
    """Make a current file one of layout 1: holders without a token, no table of calibrations, no rate curve."""
    as_layout_5(path)
    connection = raw(path)
    connection.executescript(
        """
        DROP TABLE raw_aave_holders;
        CREATE TABLE raw_aave_holders (
          market TEXT NOT NULL, account TEXT NOT NULL, first_seen_block INTEGER NOT NULL, PRIMARY KEY (market, account)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO raw_aave_holders VALUES ('m', '0x', 1);
        INSERT INTO ingest_checkpoint VALUES ('aave_rpc', 'm', '{}', 1), ('other', 'm', '{}', 1);
        DROP TABLE fact_calibration;
        ALTER TABLE raw_aave_reserves DROP COLUMN slope2;
        DELETE FROM schema_version;
        PRAGMA user_version = 1;
        """
    )
    connection.close()


@pytest.mark.parametrize("by_reading", [True, False])
def test_an_older_layout_is_upgraded_and_keeps_its_rows(filled, by_reading):
    before = data.load_market()
    as_layout_1(filled)

    if by_reading:
        assert data.load_market(verify=True).snapshot == before.snapshot
    with Store.open() as opened:
        assert opened.rows("SELECT count(*) FROM fact_calibration") == [(0,)]
        assert opened.rows("SELECT DISTINCT slope2 FROM raw_aave_reserves") == [(None,)]
        assert opened.rows("SELECT source FROM ingest_checkpoint") == [("other",)]
        assert opened.rows("SELECT token FROM raw_aave_holders") == []
        assert opened.rows("PRAGMA user_version") == [(migrations.SCHEMA_VERSION,)]
        assert opened.rows("SELECT count(*) FROM raw_aave_balances")[0][0] > 0


def as_made_before_a_column_and_a_view(path: Path) -> None:
    """A file of an earlier version: the same number of layout, but a column less and another view."""
    connection = raw(path)
    connection.executescript(
        """
        DROP VIEW chainlink_prices;
        CREATE VIEW chainlink_prices AS SELECT 1 AS one;
        ALTER TABLE fact_risk_run DROP COLUMN seal_sha256;
        DELETE FROM schema_version;
        """
    )
    connection.close()


def test_a_reader_adds_what_its_version_reads_whatever_the_number_of_the_layout(filled):
    as_made_before_a_column_and_a_view(filled)
    with Store.open(readonly=True) as opened:
        assert opened.rows("SELECT count(seal_sha256) FROM fact_risk_run") == [(0,)]
        assert opened.rows("SELECT count(is_current_phase) FROM chainlink_prices") == [(0,)]


def test_a_column_that_may_be_empty_now_may_be_so_in_an_older_file(filled):
    """Reserves of which the oracle has no price came later."""
    connection = raw(filled)
    (ddl,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'raw_aave_reserves'").fetchone()
    before = connection.execute("SELECT * FROM raw_aave_reserves ORDER BY asset").fetchall()
    connection.execute("ALTER TABLE raw_aave_reserves RENAME TO was")
    connection.execute(ddl.replace('"price_raw" TEXT', '"price_raw" TEXT NOT NULL'))
    connection.execute("INSERT INTO raw_aave_reserves SELECT * FROM was")
    connection.execute("DROP TABLE was")
    connection.execute("DELETE FROM schema_version")
    connection.close()

    with Store.open() as opened:
        assert opened.rows("SELECT * FROM raw_aave_reserves ORDER BY asset") == before
        with opened.transaction() as inside:
            inside.execute("UPDATE raw_aave_reserves SET price_raw = NULL WHERE symbol = 'LINK'")


def test_a_file_of_the_same_layout_is_read_where_it_cannot_be_written(filled, monkeypatch):
    """Its layout was noted by other sources of this package: a comment in them changed, say."""
    connection = raw(filled)
    connection.execute("DELETE FROM schema_version WHERE fingerprint = ?", (migrations.definitions_digest(),))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

    def refuses(path: Path, timeout: float = 0) -> sqlite3.Connection:
        raise WarehouseReadOnly(f"{path}: cannot be written")

    monkeypatch.setattr("data.store.connection.connect_for_writing", refuses)
    with Store.open(readonly=True) as opened:
        assert opened.rows("SELECT count(*) > 0 FROM raw_aave_balances") == [(1,)]


def test_prices_that_were_corrected_on_the_word_of_a_ratio_are_as_traded_again_after_an_upgrade(store, own_warehouse):
    at = price_rows(3, price_usdt=[1_415.74, 2_000.0, 2_000.0], usd_proxy=["USDC", "USDC", "USDT"])
    at["price_usd"] = [1_415.74 / 0.8726, 2_000 / 0.9, 2_000.0]
    other = price_rows(1, source="defillama", usd_proxy="USDC", price_usd=[7.0])
    store.write_batch("binance", "k", {"dim_prices": pd.concat([at, other])})
    # The oldest rows have only their candle.
    store.write_batch("binance", "c", {"raw_binance_klines": candles("ETHUSDT", {472_223: "2000.00"})})
    store.close()
    connection = raw(own_warehouse)
    connection.executescript(
        """
        UPDATE dim_prices SET price_usdt = NULL WHERE ts = 1700003600;
        UPDATE raw_binance_klines SET close_time = 1700003600;
        ALTER TABLE dim_prices DROP COLUMN usd_decided_by;
        DROP TABLE dim_dollar;
        DELETE FROM schema_version;
        PRAGMA user_version = 4;
        """
    )
    connection.close()

    with Store.open() as opened:
        columns = "source, price_usd, usd_proxy, usd_decided_by, batch"
        found = opened.rows(f"SELECT {columns} FROM dim_prices ORDER BY source, ts")
        changed = opened.rows("SELECT n_changed FROM fact_batch_rows WHERE batch = 3 AND table_name = 'dim_prices'")

    assert found == [
        ("binance", 1_415.74, "USDT", "not decided", 3),
        ("binance", 2_000.0, "USDT", "not decided", 3),
        ("binance", 2_000.0, "USDT", None, 1),
        ("defillama", 7.0, "USDC", None, 1),
    ]
    assert changed == [(2,)]


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(filled, monkeypatch):
    as_layout_1(filled)

    def breaks(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE stg_positions")
        raise sqlite3.IntegrityError("made to fail")

    monkeypatch.setitem(migrations.STEPS, 2, breaks)
    with pytest.raises(MigrationFailed, match="nothing changed: made to fail"):
        Store.open()

    connection = raw(filled)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM stg_positions").fetchone()[0] > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE dim_prices DROP COLUMN usd_proxy", "dim_prices lacks column usd_proxy"),
        ("DROP TABLE dim_prices; CREATE TABLE dim_prices (symbol TEXT PRIMARY KEY)", "dim_prices has the key symbol"),
    ],
)
def test_a_layout_that_no_step_can_mend_is_refused(filled, change, said):
    connection = raw(filled)
    connection.executescript(f"{change}; DELETE FROM schema_version")
    connection.close()

    with pytest.raises(MigrationFailed, match=said):
        Store.open()


def test_a_locked_warehouse_is_reported_and_nothing_is_written(filled):
    other = raw(filled)
    with Store.open(timeout=0.05) as opened:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WarehouseLocked, match="another process holds the write lock; nothing was written"):
            opened.write_batch("s", "k", {"dim_prices": price_rows(1)})
        other.execute("ROLLBACK")

        assert opened.rows("SELECT count(*) FROM dim_prices WHERE source = 'binance'") == [(0,)]
        assert opened.write_batch("s", "k", {"dim_prices": price_rows(1)}).changed == {"dim_prices": 1}


def test_a_reader_is_not_kept_waiting_by_a_writer(filled):
    with Store.open() as writer, writer.transaction() as connection:
        connection.execute("DELETE FROM raw_aave_balances")

        assert data.load_market().n_accounts == 400


def test_a_store_opened_for_reading_does_not_write(filled):
    with Store.open(readonly=True) as opened, pytest.raises(WarehouseReadOnly, match="cannot be written"):
        opened.write_batch("s", "k", {"dim_prices": price_rows(1)})


def test_a_directory_is_no_warehouse(tmp_path):
    with pytest.raises(NotAWarehouse, match="is a directory"):
        Store.open(tmp_path)


def test_a_directory_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(WarehouseReadOnly, match="cannot be created"):
        Store.open(tmp_path / "file" / "risk.sqlite")


ANOTHER_USER = f"""
import os, sys
from data.store import Store
from data.errors import WarehouseReadOnly
import data.snapshot, data.store.validation
os.setuid({NOBODY})
try:
    print(data.snapshot.newest(db=sys.argv[1]).market)
except WarehouseReadOnly as error:
    print("unreadable:", error)
try:
    Store.open(sys.argv[1])
except WarehouseReadOnly as error:
    print("refused:", error)
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="changing to another user needs root")
@pytest.mark.parametrize(("rights", "said"), [(0o755, "SampleAaveV3Ethereum"), (0o700, "unreadable: ")])
def test_a_file_of_another_user_is_read_where_that_is_allowed_and_never_written(filled, rights, said):
    # Not under pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "risk.sqlite"
        shutil.copy(filled, path)
        path.chmod(0o644)
        Path(folder).chmod(rights)

        done = subprocess.run(
            [sys.executable, "-c", ANOTHER_USER, str(path)],
            capture_output=True,
            text=True,
            cwd=Path(data.__file__).parents[1],
        )

    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(said)
    assert second.startswith("refused: ")


def test_a_missing_table_says_what_to_run(filled):
    connection = raw(filled)
    connection.execute("DROP TABLE fact_forecast")
    connection.close()

    with Store.open(readonly=True) as opened, pytest.raises(WarehouseError, match="python -m data migrate"):
        opened.rows("SELECT * FROM fact_forecast")
