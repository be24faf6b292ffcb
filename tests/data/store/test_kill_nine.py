"""Killed at any moment and started again, an ingest ends in the same warehouse as one that was left alone."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import marts
from data.export import export as to_parquet
from data.schemas.tables import tables
from data.store.store import Store
from tests.data.store import dying
from tests.data.store.dying import Children

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL (POSIX)"),
]

KILLS, AT_STATEMENTS = 60, 60
BOOKS = {"fact_run", "schema_version"}
"""Tables that say when somebody tried, which differs; `fact_validation` is compared without its run."""
ARRIVAL = {"run_id", "flow_run_id", "settled_by"}


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with dying.children("tests.data.store.ingest_stream") as found:
        yield found


def export(path: Path) -> bytes:
    """Every row of every table in the order of its key, as text; only who wrote it and when is left out."""
    out = []
    with Store.open(path, readonly=True) as store:
        assert store.rows("PRAGMA integrity_check") == [("ok",)]
        for name, table in tables().items():
            if name in BOOKS:
                continue
            kept = [c.name for c in table.columns if c.name not in ARRIVAL and not c.name.endswith("_at")]
            key = [column for column in table.key if column in kept] or kept
            columns = ", ".join(f'"{column}"' for column in kept)
            rows = store.rows(f'SELECT DISTINCT {columns} FROM "{name}" ORDER BY {", ".join(key)}')
            out.append(f"{name} {kept}\n" + "\n".join(map(repr, rows)))
    return "\n".join(out).encode()


def files(path: Path, folder: Path) -> dict[str, bytes]:
    """Every file of the Parquet export of a warehouse's content, its marts brought up to date, by name."""
    with Store.open(path) as store:
        marts.refresh(store)
    done = to_parquet(str(folder), everything=True, content=True, path=path)
    assert sum(table.n_rows for table in done.tables) > 1_000
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def nothing() -> None:
    """What a killed child left is looked at in the end only."""


@pytest.fixture(scope="module")
def undisturbed(children: Children, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    """What an ingest that was left alone stores, and its seconds: of the third, when all that is read is warm.

    Kills are spread over these seconds. Were they the first's, most ingests would be over before their kill.
    """
    folder = tmp_path_factory.mktemp("undisturbed")
    for name in ("first", "second", "third"):
        start = time.perf_counter()
        assert children.work(folder / f"{name}.sqlite") == 0
        seconds = time.perf_counter() - start
    return export(folder / "first.sqlite"), seconds


def test_the_stream_is_what_it_should_be(children, undisturbed, tmp_path):
    path = tmp_path / "risk.sqlite"
    assert children.work(path) == 0
    first = export(path)
    assert children.work(path) == 0  # once more from its end: nothing changes

    assert first == export(path) == undisturbed[0]
    with Store.open(path, readonly=True) as store:
        assert store.rows("SELECT refused, state, count(*) FROM quarantine_batch GROUP BY 1, 2") == [
            (0, "open", 1),
            (0, "replayed", 1),
        ]
        assert store.rows("SELECT count(*) FROM dim_prices WHERE source = 'binance'") == [(6 * 80 - 1,)]


def test_killed_sixty_times_it_ends_in_the_same_warehouse(children, undisturbed, tmp_path):
    rng, kills, rounds = random.Random(9), 0, 0
    while kills < KILLS:
        rounds += 1
        path = tmp_path / f"{rounds}.sqlite"
        kills += children.work_until_whole(path, lambda: {"after": rng.uniform(0.0, 0.8) * undisturbed[1]}, nothing)
        assert export(path) == undisturbed[0], f"differs in round {rounds}, after {kills} kills"
    whole = tmp_path / "whole.sqlite"
    assert children.work(whole) == 0
    assert files(path, tmp_path / "killed") == files(whole, tmp_path / "left alone"), "marts and all, byte for byte"


def test_killed_before_any_statement_it_ends_in_the_same_warehouse(children, undisturbed, tmp_path):
    rng, kills, rounds = random.Random(10), 0, 0
    while kills < AT_STATEMENTS:
        rounds += 1
        path = tmp_path / f"{rounds}.sqlite"
        kills += children.work_until_whole(path, lambda: {"die_at": int(10 ** rng.uniform(0.0, 3.3))}, nothing)
        assert export(path) == undisturbed[0], f"differs in round {rounds}, after {kills} kills"
