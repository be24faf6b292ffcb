"""Warehouses to test on: empty, and filled with a small sample."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from data.sample.book import holdings
from data.sample.frames import frames
from data.schemas.tables import tables
from data.store.store import Store
from tests.conftest import SampleOf

ACCOUNTS = 400
SEED = 11


@pytest.fixture
def store(own_warehouse: Path) -> Iterator[Store]:
    """An empty warehouse, open for writing."""
    with Store.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def filled_once(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_of(ACCOUNTS, SEED, tmp_path_factory.mktemp("filled") / "risk.sqlite")


@pytest.fixture
def filled(filled_once: Path, own_warehouse: Path) -> Path:
    """A warehouse of the test's own that holds a sample of 400 accounts."""
    shutil.copy(filled_once, own_warehouse)
    return own_warehouse


@pytest.fixture
def snapshot_frames() -> dict[str, pd.DataFrame]:
    """The rows of a small sample, as a source hands them over."""
    return frames(holdings(ACCOUNTS, SEED))


def price_rows(n: int = 3, **changes: object) -> pd.DataFrame:
    """Rows of `dim_prices`, all of them good unless changed."""
    rows = {
        "symbol": "ETHUSDT",
        "interval": "1h",
        "ts": [1_700_000_000 + 3_600 * row for row in range(n)],
        "source": "binance",
        "price_usd": [2_000.0 + row for row in range(n)],
        "usd_proxy": "USDT",
        "is_synthetic": 0,
    }
    return pd.DataFrame(rows | changes)


def checksums(path: Path) -> dict[str, str]:
    """Digest of every row of every table, the books of the runs left out."""
    books = {"fact_run", "fact_validation", "schema_version"}
    with Store.open(path, readonly=True) as opened:
        return {
            name: hashlib.sha256(repr(opened.rows(f'SELECT * FROM "{name}"')).encode()).hexdigest()
            for name in tables()
            if name not in books
        }


def execute(path, sql, params=()):
    with Store.open(path) as opened, opened.transaction() as connection:
        connection.execute(sql, params)


def as_live(frames: dict[str, pd.DataFrame], *, block: int = 1, market: str = "AaveV3Ethereum", **head: object):
    """The frames as another snapshot, live unless changed."""
    moved = {
        name: frame.assign(market=market, **{"valid_from" if "valid_from" in frame else "block": block})
        for name, frame in frames.items()
    }
    moved["fact_snapshot"] = moved["fact_snapshot"].assign(is_synthetic=0, **head)
    # Indices of that very time: balances are worth what they were.
    updated = moved["fact_snapshot"]["block_time"].iloc[0]
    moved["raw_aave_reserves"] = moved["raw_aave_reserves"].assign(last_update_timestamp=updated)
    return moved


def as_asked(frames: dict[str, pd.DataFrame], health_factor_raw: int) -> pd.DataFrame:
    """Rows of `raw_aave_account_data`: the pool gives one health factor for every account."""
    states = frames["raw_aave_account_states"].rename(columns={"valid_from": "block"})
    return states[["market", "block", "account"]].assign(
        total_collateral_base="1", total_debt_base="1", health_factor_raw=str(health_factor_raw)
    )
