"""Rows that were quarantined before layout 6 are replayed as today's, or refused by name."""

from __future__ import annotations

import pandas as pd
import pytest

from data import snapshot
from data.errors import SnapshotRefused
from data.snapshot.former import as_today
from tests.data.conftest import as_live


def as_formerly(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same snapshot in the tables of layout 5; indices are 1."""
    former = dict(frames)
    states, balances = former.pop("raw_aave_account_states"), former.pop("raw_aave_balances")
    former["raw_aave_user_accounts"] = states.rename(columns={"valid_from": "block"})
    former["stg_positions"] = balances.rename(columns={"valid_from": "block"}).assign(
        supply_raw=balances["scaled_supply"], debt_raw=balances["scaled_debt"], is_collateral=1, supply=1.0, debt=1.0
    )
    return former


def test_a_former_snapshot_is_stored_as_the_same_one_of_today(store, snapshot_frames):
    frames = as_live(snapshot_frames, block=7)
    today = snapshot.save_snapshot(store, "s", frames, "run")

    former = snapshot.save_snapshot(store, "s", as_formerly(frames), "run 2")

    assert today.rows == former.rows
    assert not any(former.changed.values())


def test_stable_debt_of_a_former_v2_position_is_kept(snapshot_frames):
    former = as_formerly(as_live(snapshot_frames, block=7, protocol="aave_v2"))
    positions = former["stg_positions"]
    positions.loc[3, "debt_raw"] = str(int(positions.loc[3, "debt_raw"]) + 11)

    stable = as_today(former)["raw_aave_balances"]["stable_debt"]

    assert [None if gone else value for value, gone in zip(stable, stable.isna(), strict=True)] == [None] * 3 + [
        "11"
    ] + [None] * (len(stable) - 4)


@pytest.mark.parametrize(("column", "value"), [("supply_raw", "7"), ("debt_raw", "x"), ("reserve_id", 127)])
def test_an_amount_that_does_not_follow_is_refused_by_name(store, snapshot_frames, column, value):
    former = as_formerly(as_live(snapshot_frames, block=7))
    former["stg_positions"] = former["stg_positions"].astype({column: object})
    former["stg_positions"].loc[2, column] = value
    account = former["stg_positions"]["account"].iloc[2]

    with pytest.raises(SnapshotRefused, match=f"AaveV3Ethereum at block 7: the former position of account {account}"):
        snapshot.save_snapshot(store, "s", former)

    assert store.rows("SELECT count(*) FROM fact_snapshot") == [(0,)]
