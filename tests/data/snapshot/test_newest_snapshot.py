"""Which snapshot is loaded: the newest whole one of the market meant, unless its age or its book forbids it."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

import data
import risk_core as rc
from data import snapshot
from data.errors import NoSnapshot, SnapshotIncomplete, SnapshotRefused
from data.store.store import Store
from risk_core import units
from tests.data.conftest import as_asked, as_live, execute

MARKET = "SampleAaveV3Ethereum"


def test_the_newest_complete_snapshot_is_loaded_and_a_newer_half_one_is_named(store, own_warehouse, snapshot_frames):
    for block in (10, 20, 30):
        snapshot.save_snapshot(store, "s", as_live(snapshot_frames, block=block, block_time=1_760_000_000 + block))
    execute(own_warehouse, "DELETE FROM raw_aave_emodes WHERE block = 30 AND emode_id = 1")

    market = data.load_market()

    assert market.snapshot.block == 20
    assert "AaveV3Ethereum at block 30 is incomplete and not used" in market.notes[0]
    assert data.load_market(block=10).snapshot.block == 10
    assert snapshot.newest().block == 20
    with pytest.raises(SnapshotIncomplete, match="at block 30 is incomplete: raw_aave_emodes has 15 rows, expected 16"):
        data.load_market(block=30)


@pytest.mark.parametrize(
    ("name", "provider", "stored_as"),
    [
        ("", "", "AaveV3Ethereum"),
        ("AaveV3Base", "", "AaveV3Base"),
        ("", "0xA97684EAD0E402DC232D5A977953DF7ECBAB3CDB", "AaveV3 at 0xa97684ea"),
        ("Mine", "0xa97684ead0e402dc232d5a977953df7ecbab3cdb", "Mine"),
    ],
)
def test_a_provider_of_its_own_never_passes_for_a_market_of_the_book(monkeypatch, name, provider, stored_as):
    monkeypatch.setenv("AAVE_MARKET", name)
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", provider)

    assert data.settings.aave_market() == stored_as


def test_a_live_market_comes_before_the_sample_and_never_turns_into_it(filled, snapshot_frames):
    assert data.load_market().snapshot.synthetic
    with Store.open() as opened:
        snapshot.save_snapshot(opened, "s", as_live(snapshot_frames, block_time=1_700_000_000))

    assert data.load_market().snapshot.market == "AaveV3Ethereum"
    assert data.load_market(market=MARKET).snapshot.synthetic
    assert [found.market for found in snapshot.available()] == ["AaveV3Ethereum", MARKET]

    execute(filled, "DELETE FROM raw_aave_emodes WHERE market = 'AaveV3Ethereum' AND emode_id = 1")
    with pytest.raises(SnapshotIncomplete, match="AaveV3Ethereum"):
        data.load_market()


def test_the_market_of_the_environment_is_preferred(store, snapshot_frames, monkeypatch):
    for market in ("AaveV3Base", "AaveV3Ethereum"):
        snapshot.save_snapshot(store, "s", as_live(snapshot_frames, market=market))

    assert data.load_market().snapshot.market == "AaveV3Ethereum"
    monkeypatch.setenv("AAVE_MARKET", "AaveV3Base")
    assert data.load_market().snapshot.market == "AaveV3Base"


def test_what_is_not_stored_is_named_with_what_is(filled):
    with pytest.raises(NoSnapshot, match=f"no snapshot of AaveV3Base at block 5; stored: {MARKET} at block 1"):
        data.load_market(block=5, market="AaveV3Base")


def test_age_refuses_only_when_a_limit_is_given(store, snapshot_frames):
    now = int(time.time())
    snapshot.save_snapshot(store, "s", as_live(snapshot_frames, block_time=now - 7_200))

    assert data.load_market().snapshot.block_time == now - 7_200
    assert data.load_market(max_age=timedelta(hours=3))
    with pytest.raises(SnapshotRefused, match=r"old, and at most 1:00:00 was asked for"):
        data.load_market(max_age=timedelta(hours=1))


# Health factors that are not believable


def below_one(frames: dict[str, pd.DataFrame], *, price: str) -> dict[str, pd.DataFrame]:
    """The same book with ether at another price."""
    reserves = frames["raw_aave_reserves"].copy()
    reserves.loc[reserves["symbol"] == "WETH", "price_raw"] = price
    return as_live(frames | {"raw_aave_reserves": reserves})


def test_much_debt_below_one_is_refused(store, snapshot_frames):
    snapshot.save_snapshot(store, "s", below_one(snapshot_frames, price=str(100 * 10**8)))

    with pytest.raises(SnapshotRefused, match=r"of the debt \(\d+ accounts\) is below health factor 1.*0x53414d504c45"):
        data.load_market()


def test_confirmed_by_the_chain_it_passes_with_a_visible_warning(store, snapshot_frames):
    frames = below_one(snapshot_frames, price=str(100 * 10**8))

    snapshot.save_snapshot(store, "s", frames | {"raw_aave_account_data": as_asked(frames, units.WAD - 1)})

    [note] = data.load_market().notes
    assert "below health factor 1; the pool's getUserAccountData confirmed each of them" in note


def test_one_account_that_the_chain_does_not_confirm_is_enough_to_refuse(store, snapshot_frames):
    frames = below_one(snapshot_frames, price=str(100 * 10**8))
    asked = as_asked(frames, units.WAD - 1)
    snapshot.save_snapshot(store, "s", frames | {"raw_aave_account_data": asked})
    market = data.load_market()
    worst = str(market.accounts[int(np.argmin(rc.health_factor(market)))])
    asked.loc[asked["account"] == worst, "health_factor_raw"] = str(units.WAD)

    snapshot.save_snapshot(store, "s", frames | {"raw_aave_account_data": asked})

    with pytest.raises(SnapshotRefused, match=f"none of 1 of them, the first is {worst}"):
        data.load_market()
