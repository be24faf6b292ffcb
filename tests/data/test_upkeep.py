"""`python -m data about | backup | verify | snapshots`: the file as a whole."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import data
import risk_core as rc
from data.__main__ import main
from data.results import RiskRun, save_result
from data.store import backup
from data.store.reader import Reader
from data.store.store import Store
from data.upkeep.about import content_digest


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def digest(path: Path) -> str:
    with Reader.open(path) as store:
        return content_digest(store)


def test_about_says_layout_markets_blocks_rows_and_size(filled: Path, capsys: pytest.CaptureFixture):
    market = data.load_market()
    assert main(["about"]) == 0

    said = capsys.readouterr().out
    with Store.open(readonly=True) as store:
        layout = store.rows("PRAGMA user_version")[0][0]
        rows = sum(
            store.rows(f'SELECT count(*) FROM "{name}"')[0][0]
            for (name,) in store.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
        )
    assert f"{filled}: " in said
    assert f"{rows:,} rows in" in said
    assert f"layout {layout}, read by code version {rc.code_version()}" in said
    block = f"{market.snapshot.block:,}"
    assert f"invented accounts): 1 snapshots, from block {block} (" in said
    assert f") to {block} (" in said


def test_the_digest_is_of_what_the_file_says_not_of_how_it_came(filled: Path, tmp_path: Path):
    before = digest(filled)
    copy = tmp_path / "copy.sqlite"
    shutil.copy(filled, copy)

    changed(copy, "UPDATE raw_aave_balances SET batch = batch + 7")
    assert digest(copy) == before
    changed(copy, "UPDATE raw_aave_reserves SET symbol = 'WETH2' WHERE symbol = 'WETH'")
    assert digest(copy) != before


def test_a_backup_is_one_whole_file_with_the_same_content(filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    to = tmp_path / "copy.sqlite"
    with Store.open() as writer:
        writer.rows("SELECT 1")  # the log beside the file is in use
        assert main(["backup", str(to)]) == 0

    assert f"{to}: a copy of {filled}, {to.stat().st_size:,} bytes" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir() if "copy" in file.name] == ["copy.sqlite"]
    assert digest(to) == digest(filled)
    assert data.load_market(db=to).snapshot == data.load_market(db=filled).snapshot


def test_what_the_log_holds_is_in_the_copy(filled: Path, tmp_path: Path):
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        with connection:
            connection.execute("UPDATE raw_aave_reserves SET symbol = 'LOG' WHERE symbol = 'WETH'")
        assert main(["backup", str(tmp_path / "copy")]) == 0

    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT count(*) FROM raw_aave_reserves WHERE symbol = 'LOG'").fetchone() == (1,)


def test_nothing_is_overwritten(filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    to = tmp_path / "taken"
    to.write_text("mine")

    assert main(["backup", str(to)]) == 1
    assert to.read_text() == "mine"
    assert "exists already; nothing was copied" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "nowhere" / "copy")]) == 1
    assert "is not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("at", ["copy_to", "fsync", "link"])
def test_a_backup_that_breaks_off_leaves_nothing(
    at: str, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*arguments: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr(backup.Reader if at == "copy_to" else backup.os, at, broken)
    with pytest.raises(KeyboardInterrupt):
        main(["backup", str(folder / "copy")])

    assert list(folder.iterdir()) == []


@pytest.fixture
def with_run(filled: Path) -> RiskRun:
    """A stored run of the sample."""
    market = data.load_market()
    scenario = rc.Scenario(
        name="baseline",
        horizon=timedelta(hours=24),
        n_steps=2,
        factors=("ETH",),
        volatility=[1.5],
        correlation=[[1.0]],
        factor=np.zeros(market.n_reserves, dtype=int),
    )
    with Store.open() as store:
        return save_result(store, rc.simulate(market, scenario, n_paths=50, seed=5), market)


def test_a_sound_file_passes_line_by_line(filled: Path, with_run: RiskRun, capsys: pytest.CaptureFixture):
    assert main(["verify"]) == 0

    lines = capsys.readouterr().out.splitlines()
    market = data.load_market()
    assert lines[0] == "sound  pages of the file: ok"
    stated = f"ok, {market.n_accounts} accounts, digest {market.snapshot.hash[:16]}"
    assert f"sound  snapshot {market.snapshot.market} at block {market.snapshot.block}: {stated}" in lines
    assert any(
        line.startswith(f"sound  risk run {with_run.run_id[:12]} of ")
        and line.endswith(f"ok, {len(with_run.figures)} figures")
        for line in lines
    )
    assert lines[-2].startswith("sound  forecasts: ok, ")
    assert lines[-1] == f"{len(lines) - 1} checked, 0 faults"


@pytest.mark.parametrize(
    ("statement", "subject", "found"),
    [
        (
            "UPDATE raw_aave_balances SET scaled_supply = '7' || scaled_supply WHERE scaled_supply != '0'",
            "snapshot Sample",
            "rows were changed",
        ),
        ("DELETE FROM raw_aave_emodes", "snapshot Sample", "raw_aave_emodes has 0 rows, expected"),
        ("UPDATE fact_forecast SET value = value + 1 WHERE level = 0.99", "forecasts", "were changed after they were"),
        ("UPDATE fact_risk_scenarios SET value = value / 4 WHERE level = 0.99", "risk run", ""),
        ("UPDATE fact_risk_run SET run_id = 'x' || run_id", "rows of fact_risk_series", "1 runs that are not stored"),
        ("UPDATE fact_snapshot SET block = block + 1", "rows of raw_aave_balances", "1 snapshots that are not stored"),
    ],
)
def test_a_changed_row_is_a_fault(
    statement: str, subject: str, found: str, filled: Path, with_run: RiskRun, capsys: pytest.CaptureFixture
):
    changed(filled, statement)

    assert main(["verify"]) == 1
    faults = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAULT")]
    assert any(line.startswith(f"FAULT  {subject}") and found in line for line in faults)


def test_a_page_that_is_no_longer_what_it_was_is_a_fault(filled: Path, capsys: pytest.CaptureFixture):
    changed(filled, "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(filled)) as connection:
        root, size = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema "
            "WHERE name = 'raw_aave_balances'"
        ).fetchone()
    with filled.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)

    assert main(["verify"]) == 1
    said = capsys.readouterr()
    assert "FAULT  pages of the file" in said.out or "is damaged" in said.err


def test_snapshots_are_listed_newest_first_with_their_age(filled: Path, capsys: pytest.CaptureFixture):
    market = data.load_market()
    assert main(["snapshots"]) == 0

    said = capsys.readouterr().out
    assert said.startswith(f"{market.snapshot.market} at block {market.snapshot.block:,}, ")
    assert f"{market.n_accounts} accounts, " in said
    assert "sample" in said
    assert " ago): " in said
    assert main(["snapshots", "--market", "Nowhere"]) == 0
    assert capsys.readouterr().out == "no snapshot is stored of Nowhere; leave out --market for the others\n"


@pytest.mark.parametrize("command", ["about", "verify", "snapshots"])
def test_a_file_that_is_not_there_is_one_line(command: str, own_warehouse: Path, capsys: pytest.CaptureFixture):
    assert main([command]) == 1

    assert capsys.readouterr().err.count("\n") == 1
    assert not own_warehouse.exists()
