"""Rows that are carried from stored ones, unvalidated, beside rows that are new: stored as if all were new."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import data
from data import snapshot
from data.errors import BatchRefused
from data.schemas.tables import tables
from data.snapshot.loading import PARTS
from data.store.store import Store
from data.store.upserts import plain_columns
from tests.data.conftest import checksums

TABLES = ("raw_aave_user_accounts", "stg_positions")


def parted(frames: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, list]]]:
    """The same snapshot with every account but each tenth carried."""
    new = set(frames["raw_aave_user_accounts"]["account"].iloc[::10])
    kept, carried = dict(frames), {}
    for table in TABLES:
        frame, is_new = frames[table], frames[table]["account"].isin(new)
        rest = frame[~is_new].assign(**{n: None for n in tables()[table].names if n not in (*frame.columns, "batch")})
        kept[table] = frame[is_new]
        carried[table] = dict(zip(rest.columns, plain_columns(rest), strict=True))
    return kept, carried


def test_carried_rows_give_the_snapshot_that_validated_ones_give(tmp_path: Path, snapshot_frames):
    kept, carried = parted(snapshot_frames)
    with Store.open(tmp_path / "whole.sqlite") as whole, Store.open(tmp_path / "parted.sqlite") as apart:
        expected = snapshot.save_snapshot(whole, "s", snapshot_frames, "run")
        report = snapshot.save_snapshot(apart, "s", kept, "run", carried=carried)
        stamped = "SELECT n_rows, n_changed, n_removed, table_name FROM fact_batch_rows ORDER BY table_name"

        assert report == expected
        assert apart.rows(stamped) == whole.rows(stamped)
        for table in PARTS:
            assert apart.rows(f"SELECT * FROM {table}") == whole.rows(f"SELECT * FROM {table}"), table
    one, other = (data.load_market(db=tmp_path / f"{name}.sqlite", verify=True) for name in ("whole", "parted"))
    assert one.snapshot == other.snapshot


def test_the_same_again_changes_nothing_and_who_left_is_removed(store, snapshot_frames):
    kept, carried = parted(snapshot_frames)
    snapshot.save_snapshot(store, "s", snapshot_frames, "run")
    before = checksums(store.path)

    again = snapshot.save_snapshot(store, "s", kept, "run 2", carried=carried)

    assert not any(again.changed.values())
    assert checksums(store.path) == before

    gone = carried["raw_aave_user_accounts"]["account"][0]
    for table in TABLES:
        stay = [account != gone for account in carried[table]["account"]]
        carried[table] = {
            name: [value for value, stays in zip(values, stay, strict=True) if stays]
            for name, values in carried[table].items()
        }
    snapshot.save_snapshot(store, "s", kept, "run 3", carried=carried)

    for table in TABLES:
        assert store.rows(f"SELECT count(*) FROM {table} WHERE account = ?", (gone,)) == [(0,)]
    assert data.load_market(db=store.path, verify=True).n_accounts == len(snapshot_frames[TABLES[0]]) - 1


def test_an_account_that_is_carried_and_new_refuses_all(store, snapshot_frames):
    kept, carried = parted(snapshot_frames)

    with pytest.raises(BatchRefused):
        snapshot.save_snapshot(store, "s", snapshot_frames | {"fact_snapshot": kept["fact_snapshot"]}, carried=carried)

    assert store.rows("SELECT count(*) FROM stg_positions") == [(0,)]


@pytest.mark.parametrize("wrong", ["a column is missing", "a column is shorter", "a stranger"])
def test_carried_columns_must_be_those_of_the_table(store, snapshot_frames, wrong):
    kept, carried = parted(snapshot_frames)
    columns = dict(carried["stg_positions"])
    if wrong == "a column is missing":
        del columns["debt"]
    elif wrong == "a column is shorter":
        columns["debt"] = columns["debt"][:-1]
    else:
        columns["stranger"] = columns["debt"]

    with pytest.raises(ValueError, match="stg_positions: carried"):
        snapshot.save_snapshot(store, "s", kept, carried=carried | {"stg_positions": columns})
    with pytest.raises(ValueError, match="stg_positions: carried"):
        store.write_batch("s", "k", kept, carried={"stg_positions": columns})

    assert store.rows("SELECT count(*) FROM stg_positions") == [(0,)]
