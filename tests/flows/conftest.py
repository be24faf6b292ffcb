"""Small warehouses that flows can start from, filled once and copied for each test."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from data import snapshot
from data.sample.book import holdings
from data.sample.frames import frames
from data.store.store import Store
from tests.conftest import SampleOf

LIVE = "AaveV3Ethereum"
HOUR = 3600


@pytest.fixture(scope="session")
def sample_file(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_of(300, 7, tmp_path_factory.mktemp("sample") / "risk.sqlite")


@pytest.fixture(scope="session")
def _live_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's rows declared to be a market read from a chain an hour ago; no prices."""
    path = tmp_path_factory.mktemp("live") / "risk.sqlite"
    rows = {name: frame.assign(market=LIVE) for name, frame in frames(holdings(300, 7)).items()}
    rows["fact_snapshot"] = rows["fact_snapshot"].assign(
        is_synthetic=0, block=23_000_000, block_time=int(time.time()) // HOUR * HOUR - HOUR
    )
    for name in rows.keys() - {"fact_snapshot"}:
        rows[name] = rows[name].assign(**{"valid_from" if "valid_from" in rows[name] else "block": 23_000_000})
    with Store.open(path) as store:
        snapshot.save_snapshot(store, "test", rows)
    _settle(path)
    return path


def _settle(path: Path) -> None:
    """Bring the write-ahead log into the file, so that copying the file copies everything."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.fixture
def sample(sample_file: Path, own_warehouse: Path) -> Path:
    """A warehouse with the sample of 300 accounts, in RISK_DB."""
    return Path(shutil.copy(sample_file, own_warehouse))


@pytest.fixture
def live(_live_file: Path, own_warehouse: Path) -> Path:
    """A warehouse with a live snapshot of 300 accounts and no prices, in RISK_DB."""
    return Path(shutil.copy(_live_file, own_warehouse))
