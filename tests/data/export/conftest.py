"""Warehouses to export, and a PostgreSQL server to export them to."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from data import marts
from data.sample import fill
from data.schemas.tables import tables
from data.store.store import Store
from tests.data.export.rows import hostile, plausible
from tests.data.feeding import FEEDERS

pytest.importorskip("duckdb", reason="what an export needs is not installed (requirements-export.txt)")

_numbers = count()
QUESTIONED = ("fact_lending_", "fact_risk_scenarios", "fact_protocol_snapshot", "mart_token_transfer_hourly")
"""Beginnings of tables that get further rows: those of the feeders are too few for a question over groups."""


def insert(path: Path, name: str, rows: list[tuple]) -> None:
    """Put rows into a table, past the checks; of two with the same key, or that hold at one block, the first stays."""
    marks = ", ".join("?" * len(tables()[name].columns))
    with Store.open(path) as store, store.transaction() as connection:
        for row in rows:
            try:
                connection.execute(f'INSERT OR IGNORE INTO "{name}" VALUES ({marks})', row)
            except sqlite3.IntegrityError:
                assert tables()[name].validity


@pytest.fixture(scope="session")
def hostile_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "risk.sqlite"
    random = np.random.default_rng(5)
    for table in tables().values():
        if table.name not in ("schema_version", "ingest_checkpoint"):
            insert(path, table.name, hostile(table, random, 40))
    return path


@pytest.fixture
def hostile_warehouse(hostile_once: Path, own_warehouse: Path) -> Path:
    """Every table with rows of values at the edge of their types."""
    shutil.copy(hostile_once, own_warehouse)
    return own_warehouse


@pytest.fixture(scope="session")
def world_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "risk.sqlite"
    fill(120, 11, path)
    random = np.random.default_rng(7)
    with Store.open(path) as store:
        # Each feeder draws from numbers of its own: one that draws more often leaves the others as they were.
        numbers = [np.random.default_rng((7, place)) for place in range(len(FEEDERS))]
        for _ in range(4):
            for feed, own in zip(FEEDERS, numbers, strict=True):
                feed(store, own)
        marts.refresh(store)
        empty = [t for t in tables().values() if not store.rows(f'SELECT count(*) FROM "{t.name}"')[0][0]]
    more = [table for name, table in tables().items() if name.startswith(QUESTIONED)]
    for table in {table.name: table for table in (*empty, *more)}.values():
        insert(path, table.name, plausible(table, random, 150))
    with Store.open(path) as store, store.transaction() as connection:  # a series that stood still
        connection.execute("DELETE FROM dim_prices WHERE ts / 3600 % 97 IN (5, 6, 40)")
        connection.execute("UPDATE dim_prices SET price_usdt = NULL, is_synthetic = 0 WHERE ts / 3600 % 61 = 0")
    return path


@pytest.fixture
def world(world_once: Path, own_warehouse: Path) -> Path:
    """The sample, what the feeders of sources wrote, marts of both, and generated rows wherever a table was empty."""
    shutil.copy(world_once, own_warehouse)
    return own_warehouse


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """A PostgreSQL server of the session's own."""
    server = pytest.importorskip("tests.data.export.server", reason="psycopg is not installed")
    found = server.programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with server.running(found) as port:
        yield port


@pytest.fixture(scope="session")
def databases(postgres_port: int) -> Callable[[], str]:
    """Makes an empty database at each call; gives its address, password included."""
    from tests.data.export.server import PASSWORD, connect

    def make() -> str:
        name = f"risk_{next(_numbers)}"
        with connect(postgres_port) as connection:
            connection.autocommit = True
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://risk:{quote(PASSWORD, safe='')}@127.0.0.1:{postgres_port}/{name}"

    return make


@pytest.fixture
def database(databases: Callable[[], str]) -> str:
    """An empty database of the test's own."""
    return databases()
