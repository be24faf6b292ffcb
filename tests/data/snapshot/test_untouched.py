"""A snapshot of which most accounts were carried forward is stored as if all of it had been read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import data
from data import snapshot
from data.errors import BatchRefused, WarehouseError
from data.snapshot import building, saving
from data.snapshot.untouched import Untouched
from data.store.store import Store
from tests.data.conftest import as_live, checksums

STATES, BALANCES = "raw_aave_account_states", "raw_aave_balances"


def parted(frames: dict[str, pd.DataFrame], store: Store, base: int) -> tuple[dict[str, pd.DataFrame], Untouched]:
    """The same snapshot with every account but each tenth carried from the one at block `base`."""
    touched = set(frames[STATES]["account"].iloc[::10])
    rest = {name: frames[name][~frames[name]["account"].isin(touched)] for name in (STATES, BALANCES)}
    whole = building.from_frames(frames | rest | {"fact_snapshot": frames["fact_snapshot"].assign(snapshot_hash="")})
    state, balance = (
        building._taken(rest[name], names) for name, names in ((STATES, building.STATE), (BALANCES, building.BALANCE))
    )
    reserve = building._taken(frames["raw_aave_reserves"], (*building.RESERVE, *building.INDICES))
    position = data.amounts.positions(state, balance, data.amounts.terms(reserve, whole.snapshot.block_time))
    [(batch,)] = store.rows("SELECT batch FROM fact_snapshot WHERE block = ?", (base,))
    kept = {name: frames[name][frames[name]["account"].isin(touched)] for name in (STATES, BALANCES)}
    account = {name: state[name] for name in building.ACCOUNT}
    return frames | kept, Untouched(
        base_block=base, base_batch=batch, touched=frozenset(touched), account=account, position=position
    )


def moved(frames: dict[str, pd.DataFrame], block: int) -> dict[str, pd.DataFrame]:
    """The snapshot at a later block: each tenth account has half its debts, the last of them has left."""
    later = as_live(frames, block=block, block_time=1_760_000_000 + block)
    some = list(frames[STATES]["account"].iloc[::10])
    balances = later[BALANCES]
    some_of_theirs = balances["account"].isin(some)
    debt = balances["scaled_debt"].where(~some_of_theirs, [str(int(raw) // 2) for raw in balances["scaled_debt"]])
    balances = balances.assign(scaled_debt=debt)
    gone = some[-1]
    return later | {
        BALANCES: balances[balances["account"] != gone],
        STATES: later[STATES][later[STATES]["account"] != gone],
    }


def test_carried_accounts_give_the_snapshot_that_read_ones_give(tmp_path: Path, snapshot_frames):
    first = as_live(snapshot_frames, block=10, block_time=1_760_000_000)
    second = moved(snapshot_frames, 20)
    gone = set(first[STATES]["account"]) - set(second[STATES]["account"])
    with Store.open(tmp_path / "whole.sqlite") as whole, Store.open(tmp_path / "parted.sqlite") as apart:
        for store in (whole, apart):
            snapshot.save_snapshot(store, "s", first, "run")
        expected = snapshot.save_snapshot(whole, "s", second, "run")
        kept, untouched = parted(second, apart, 10)
        untouched = Untouched(
            base_block=10,
            base_batch=untouched.base_batch,
            touched=untouched.touched | gone,
            account=untouched.account,
            position=untouched.position,
        )
        report = snapshot.save_snapshot(apart, "s", kept, "run", untouched=untouched)

        assert report.changed == expected.changed
        assert report.changed[STATES] == len(gone)
        assert report.rows[BALANCES] < expected.rows[BALANCES] / 5
        for table in ("fact_snapshot", STATES, BALANCES, "raw_aave_reserves"):
            drop = "ingested_at" if table in ("fact_snapshot", "raw_aave_reserves") else ""
            one, other = (store.read(f"SELECT * FROM {table}") for store in (whole, apart))
            pd.testing.assert_frame_equal(one.drop(columns=drop or []), other.drop(columns=drop or []))
    for block in (10, 20):
        one, other = (data.load_market(block, db=tmp_path / f"{name}.sqlite") for name in ("whole", "parted"))
        assert one.snapshot == other.snapshot


def test_the_same_block_again_is_compared_whole_and_changes_nothing(store, snapshot_frames):
    snapshot.save_snapshot(store, "s", as_live(snapshot_frames, block=10, block_time=1_760_000_000), "run")
    later = as_live(snapshot_frames, block=20, block_time=1_760_000_020)
    snapshot.save_snapshot(store, "s", later, "run")
    before = checksums(store.path)
    kept, untouched = parted(later, store, 10)

    again = snapshot.save_snapshot(store, "s", kept, "run 2", untouched=untouched)

    assert not any(again.changed.values())
    assert checksums(store.path) == before


def test_a_base_that_another_process_changed_is_no_base(store, snapshot_frames):
    first = as_live(snapshot_frames, block=10, block_time=1_760_000_000)
    snapshot.save_snapshot(store, "s", first, "run")
    kept, untouched = parted(as_live(snapshot_frames, block=20, block_time=1_760_000_020), store, 10)
    snapshot.save_snapshot(store, "other", moved(snapshot_frames, 10), "run 2")

    with pytest.raises(WarehouseError, match="block 10, which this one is built on, was changed by another process"):
        snapshot.save_snapshot(store, "s", kept, "run", untouched=untouched)

    assert store.rows("SELECT block FROM fact_snapshot") == [(10,)]


def test_a_base_that_changes_while_the_rows_are_read_refuses_the_write(store, snapshot_frames, monkeypatch):
    """Blocks stand in between, so that all accounts are compared: the base is looked at again in the transaction."""
    for block in (10, 15):
        snapshot.save_snapshot(store, "s", as_live(snapshot_frames, block=block, block_time=1_760_000_000 + block))
    kept, untouched = parted(as_live(snapshot_frames, block=20, block_time=1_760_000_020), store, 10)
    whole = saving.moment_of

    def then_another_comes(*arguments):
        found = whole(*arguments)
        monkeypatch.setattr(saving, "moment_of", whole)
        with Store.open(store.path) as other:
            snapshot.save_snapshot(other, "other", moved(snapshot_frames, 10))
        return found

    monkeypatch.setattr(saving, "moment_of", then_another_comes)
    with pytest.raises(WarehouseError, match="block 10, which block 20 was built on, was changed by another process"):
        snapshot.save_snapshot(store, "s", kept, untouched=untouched)

    assert store.rows("SELECT block FROM fact_snapshot ORDER BY block") == [(10,), (15,)]


def test_an_account_that_is_carried_and_read_refuses_all(store, snapshot_frames):
    first = as_live(snapshot_frames, block=10, block_time=1_760_000_000)
    snapshot.save_snapshot(store, "s", first, "run")
    later = as_live(snapshot_frames, block=20, block_time=1_760_000_020)
    _, untouched = parted(later, store, 10)

    with pytest.raises(BatchRefused):
        snapshot.save_snapshot(store, "s", later, untouched=untouched)

    assert store.rows("SELECT block FROM fact_snapshot") == [(10,)]
