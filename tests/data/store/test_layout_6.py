"""Files of layout 5 have every account at every block; after the upgrade they say the same, by what changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import data
from data import marts
from data.errors import MigrationFailed
from data.store.store import Store
from tests.data.store.former_layout import as_layout_5, three_blocks

TABLES = ("fact_snapshot", "raw_aave_account_states", "raw_aave_balances", "raw_aave_account_data", "stg_positions")


def content(path: Path) -> dict[str, list[tuple]]:
    with Store.open(path) as store:
        marts.refresh(store, ["stg_positions"])
        return {name: store.rows(f"SELECT * FROM {name}") for name in TABLES}


@pytest.fixture
def three(tmp_path: Path, snapshot_frames) -> Path:
    path = tmp_path / "risk.sqlite"
    three_blocks(path, snapshot_frames)
    return path


def test_an_upgraded_file_says_at_every_block_what_it_said(three: Path, capsys: pytest.CaptureFixture):
    before = content(three)
    markets = {block: data.load_market(block, "AaveV3Ethereum", three).snapshot for block in (10, 20, 30)}
    as_layout_5(three)
    former = three.read_bytes()

    after = content(three)

    assert after == before
    assert {block: data.load_market(block, "AaveV3Ethereum", three).snapshot for block in markets} == markets
    assert three.with_name("risk.sqlite.layout-5").read_bytes()[100:] == former[100:]  # the header counts its writes
    assert "the old file is copied to risk.sqlite.layout-5" in capsys.readouterr().err


def test_a_file_without_snapshots_is_copied_too(tmp_path: Path):
    path = tmp_path / "risk.sqlite"
    Store.open(path).close()
    as_layout_5(path)

    Store.open(path).close()

    assert path.with_name("risk.sqlite.layout-5").stat().st_size > 10_000


def test_the_copy_can_be_declined_and_never_replaces_another(three: Path, monkeypatch: pytest.MonkeyPatch):
    three.with_name("risk.sqlite.layout-5").write_text("mine")
    as_layout_5(three)
    content(three)
    assert three.with_name("risk.sqlite.layout-5").read_text() == "mine"
    assert three.with_name("risk.sqlite.layout-5.2").stat().st_size > 10_000

    monkeypatch.setenv("RISK_UPGRADE_COPY", "no")
    as_layout_5(three)
    content(three)
    assert not three.with_name("risk.sqlite.layout-5.3").exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            "UPDATE stg_positions SET supply_raw = '7' WHERE block = 20 AND supply_raw != '0'",
            "supply: expected .*, found 7",
        ),
        (
            "UPDATE stg_positions SET debt_raw = debt_raw || '1' WHERE block = 20 AND debt_raw != '0'",
            "debt: expected .*, found",
        ),
        ("UPDATE stg_positions SET is_collateral = 1 - is_collateral WHERE block = 20", "from the account's flags"),
        ("UPDATE stg_positions SET reserve_id = 127 WHERE block = 20", "no reserve 127"),
        ("UPDATE stg_positions SET scaled_supply = 'x' WHERE block = 20", "invalid literal"),
    ],
)
def test_a_snapshot_that_does_not_explain_itself_stops_the_upgrade_and_is_named(three: Path, change, found):
    as_layout_5(three)
    with closing(sqlite3.connect(three, isolation_level=None)) as connection:
        connection.execute(change)

    for _ in range(2):
        with pytest.raises(
            MigrationFailed, match=rf"AaveV3Ethereum at block 20 contradicts itself .*account 0x.*token 0x.*{found}"
        ):
            Store.open(three)

    with closing(sqlite3.connect(three)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM stg_positions").fetchone()[0] > 1_000
    assert [file.name for file in three.parent.glob("*layout-5*")] == []  # nothing was changed, so nothing is kept
