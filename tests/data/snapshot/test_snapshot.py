"""A snapshot goes in whole and comes out whole, or is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import data
import risk_core as rc
from data import marts, snapshot
from data.errors import BatchRefused, DamagedValue, SnapshotIncomplete, SnapshotRefused
from data.sample.book import holdings
from data.snapshot import building as market_rows
from data.snapshot import choosing
from data.snapshot.identity import snapshot_hash
from data.store.store import Store
from risk_core import units
from tests.data.conftest import ACCOUNTS, SEED, checksums, execute

MARKET = "SampleAaveV3Ethereum"


def test_a_stored_market_is_the_market_in_memory(filled):
    stored = data.load_market(verify=True)
    in_memory = data.sample.book(ACCOUNTS, SEED)

    assert stored.snapshot == in_memory.snapshot
    for side in ("collateral", "debt"):
        for name in ("indptr", "reserve", "amount"):
            assert np.array_equal(getattr(getattr(stored, side), name), getattr(getattr(in_memory, side), name))
    assert np.array_equal(stored.accounts, in_memory.accounts)
    assert np.array_equal(rc.health_factor(stored), rc.health_factor(in_memory))
    assert stored.notes == ()


def test_stored_floats_are_the_exact_quotients_of_the_stored_integers(filled):
    with Store.open() as opened:
        marts.refresh(opened, ["stg_positions"])
        rows = opened.rows(
            "SELECT supply_raw, debt_raw, supply, debt, decimals FROM stg_positions JOIN raw_aave_reserves "
            "USING (market, block, asset)"
        )

    assert len(rows) > ACCOUNTS
    assert all(units.tokens(raw, d) == supply for raw, _, supply, _, d in rows)
    assert all(units.tokens(raw, d) == debt for _, raw, _, debt, d in rows)


def test_supply_that_is_not_enabled_backs_nothing(filled):
    with Store.open() as opened:
        account, asset, number, flags = next(
            (account, asset, number, int(word))
            for account, asset, number, word in opened.rows(
                "SELECT account, asset, reserve_id, config_bitmap FROM raw_aave_balances "
                "JOIN raw_aave_account_states USING (account) WHERE scaled_debt = '0'"
            )
            if int(word) == 2 << 2 * number
        )
    before = data.load_market()
    row, reserve = before.index(account), before.reserves.index(asset)

    without = str(flags & ~(2 << 2 * number))
    execute(filled, "UPDATE raw_aave_account_states SET config_bitmap = ? WHERE account = ?", (without, account))

    after = data.load_market(verify=False)
    held = after.collateral.reserve[after.collateral.indptr[row] : after.collateral.indptr[row + 1]]
    assert reserve in before.collateral.reserve[before.collateral.indptr[row] : before.collateral.indptr[row + 1]]
    assert reserve not in held


def test_writing_a_snapshot_again_changes_nothing(store, own_warehouse, snapshot_frames):
    snapshot.save_snapshot(store, "s", snapshot_frames, "first")
    before = checksums(own_warehouse)

    again = snapshot.save_snapshot(store, "s", snapshot_frames, "second")

    assert set(again.changed.values()) == {0}
    assert checksums(own_warehouse) == before


def test_another_state_of_the_same_block_replaces_the_first_whole(store, snapshot_frames):
    snapshot.save_snapshot(store, "s", snapshot_frames)
    gone = snapshot_frames["raw_aave_account_states"]["account"].iloc[0]
    fewer = dict(snapshot_frames)
    for name in ("raw_aave_account_states", "raw_aave_balances"):
        fewer[name] = snapshot_frames[name].loc[snapshot_frames[name]["account"] != gone]

    snapshot.save_snapshot(store, "s", fewer)

    assert data.load_market(verify=True).n_accounts == ACCOUNTS - 1


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("raw_aave_balances", "raw_aave_balances has 9.. rows, expected 9.."),
        ("raw_aave_account_states", "raw_aave_account_states has 399 rows, expected 400"),
        ("raw_aave_reserves", "raw_aave_reserves has 47 rows, expected 48"),
        ("raw_aave_emodes", "raw_aave_emodes has 15 rows, expected 16"),
    ],
)
def test_half_a_snapshot_is_no_snapshot(filled, table, expected):
    keys = {
        "raw_aave_balances": "account, asset",
        "raw_aave_account_states": "account",
        "raw_aave_reserves": "asset",
        "raw_aave_emodes": "emode_id",
    }[table]
    execute(filled, f"DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {table} LIMIT 1)")

    with pytest.raises(SnapshotIncomplete, match=f"{MARKET} at block 1 is incomplete: {expected}.*run `python -m"):
        data.load_market()


def test_a_position_of_an_account_that_is_not_there_is_refused(filled):
    stranger = "0x" + "f" * 40
    execute(
        filled,
        "UPDATE raw_aave_balances SET account = ? "
        "WHERE (account, asset) IN (SELECT account, asset FROM raw_aave_balances LIMIT 1)",
        (stranger,),
    )

    with pytest.raises(
        SnapshotIncomplete, match=f"raw_aave_balances has account {stranger}, which raw_aave_account_states"
    ):
        data.load_market()


def test_rows_changed_behind_the_door_are_found_by_the_digest(filled):
    execute(filled, "UPDATE raw_aave_reserves SET price_raw = '257846174801' WHERE symbol = 'WETH'")

    data.load_market(verify=False)
    with pytest.raises(SnapshotRefused, match="rows were changed after they were written"):
        data.load_market()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE raw_aave_balances SET scaled_supply = scaled_supply || '0'",
        "UPDATE raw_aave_reserves SET liquidation_threshold_bps = liquidation_threshold_bps - 1 WHERE symbol = 'WETH'",
        "UPDATE raw_aave_emodes SET collateral_bitmap = '0'",
        "UPDATE raw_aave_account_states SET emode_id = 0",
        "UPDATE fact_snapshot SET block_time = block_time + 1",
        "UPDATE fact_snapshot SET snapshot_hash = 'f' || substr(snapshot_hash, 2)",
    ],
)
def test_no_change_behind_the_door_is_served(filled, change):
    execute(filled, change)
    with pytest.raises((SnapshotRefused, SnapshotIncomplete)):
        data.load_market()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE raw_aave_reserves SET price_raw = 'many' WHERE symbol = 'WETH'",
        "UPDATE raw_aave_emodes SET collateral_bitmap = ''",
        "UPDATE raw_aave_balances SET scaled_debt = '-1'",
    ],
)
def test_a_damaged_value_is_refused_in_words(filled, change):
    execute(filled, change)
    with pytest.raises(SnapshotRefused, match="the stored rows are damaged"):
        data.load_market()


def test_text_that_is_no_utf_8_is_refused_in_words(filled):
    execute(filled, "UPDATE raw_aave_reserves SET symbol = CAST(x'ff41' AS TEXT) WHERE symbol = 'WETH'")
    with pytest.raises(DamagedValue, match="holds text that is not UTF-8"):
        data.load_market()


def test_a_load_sees_one_state_though_a_writer_commits_in_the_middle(filled, monkeypatch):
    original = choosing.missing_of

    def then_another_writer_comes(store, stored, counts):
        missing = original(store, stored, counts)
        execute(filled, "DELETE FROM raw_aave_balances")
        return missing

    with monkeypatch.context() as patched:
        patched.setattr(choosing, "missing_of", then_another_writer_comes)
        assert data.load_market().snapshot == data.sample.book(ACCOUNTS, SEED).snapshot
    with pytest.raises(SnapshotIncomplete):
        data.load_market()


# A reserve without a price


def unpriced(frames, symbol: str, *, enabled: bool) -> dict[str, pd.DataFrame]:
    """The oracle has no price of a reserve, which one account has supplied and nobody owes."""
    reserves, positions = frames["raw_aave_reserves"], frames["raw_aave_balances"]
    asset = reserves.loc[reserves["symbol"] == symbol, "asset"].iloc[0]
    others = positions[positions["asset"] != asset]
    held = positions.iloc[[0]].assign(
        asset=asset,
        reserve_id=reserves.loc[reserves["symbol"] == symbol, "reserve_id"].iloc[0],
        scaled_debt="0",
        scaled_supply="5",
    )
    states, number = frames["raw_aave_account_states"], int(held["reserve_id"].iloc[0])
    flags = [
        str(int(word) & ~(3 << 2 * number) | int(enabled and who == held["account"].iloc[0]) << 2 * number + 1)
        for who, word in zip(states["account"], states["config_bitmap"], strict=True)
    ]
    return frames | {
        "raw_aave_account_states": states.assign(config_bitmap=flags),
        "raw_aave_reserves": reserves.assign(price_raw=reserves["price_raw"].where(reserves["symbol"] != symbol, None)),
        "raw_aave_balances": pd.concat([others, held], ignore_index=True),
    }


def test_a_reserve_without_a_price_that_nobody_needs_is_left_out_and_said(store, snapshot_frames):
    snapshot.save_snapshot(store, "s", unpriced(snapshot_frames, "LINK", enabled=False))

    market = data.load_market()

    assert "LINK" not in market.reserves.symbol
    assert len(market.reserves.symbol) == len(snapshot_frames["raw_aave_reserves"]) - 1
    said = [note for note in market.notes if "LINK" in note]
    assert len(said) == 1
    assert "The oracle has no price of LINK" in said[0]
    assert "in no total" in said[0]
    assert "1 accounts have supplied it" in said[0]


def test_a_reserve_without_a_price_that_backs_a_debt_refuses_the_snapshot_and_names_the_account(store, snapshot_frames):
    frames = unpriced(snapshot_frames, "LINK", enabled=True)

    with pytest.raises(BatchRefused) as refused:
        snapshot.save_snapshot(store, "s", frames)

    who = frames["raw_aave_balances"]["account"].iloc[-1]
    assert f"LINK has no oracle price, and account {who} owes it or has it as collateral" in refused.value.__notes__[0]
    assert store.rows("SELECT count(*) FROM fact_snapshot") == [(0,)]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("raw_aave_reserves", "is_paused"),
        ("raw_aave_reserves", "is_active"),
        ("raw_aave_emodes", "isolated"),
        ("fact_snapshot", "is_synthetic"),
    ],
)
@pytest.mark.parametrize("value", [-1, 2])
def test_a_flag_that_is_neither_0_nor_1_is_refused(filled, table, column, value):
    execute(filled, f"UPDATE {table} SET {column} = ?", (value,))

    with pytest.raises(SnapshotRefused, match=f"{table}.{column} .* is {value}; a flag is 0 or 1"):
        data.load_market(verify=False)


# Bad rows


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("raw_aave_reserves", "price_raw", "0", "price_raw: whole_text_matches"),
        ("raw_aave_reserves", "price_raw", "-1", "price_raw: whole_text_matches"),
        ("raw_aave_emodes", "collateral_bitmap", None, "collateral_bitmap: not_nullable"),
        ("raw_aave_reserves", "decimals", 78, "decimals: in_range"),
        ("raw_aave_balances", "scaled_supply", "1.5", "scaled_supply: whole_text_matches"),
        ("raw_aave_account_states", "config_bitmap", "-1", "config_bitmap: whole_text_matches"),
        ("raw_aave_account_states", "account", "0xABC", "account: whole_text_matches"),
    ],
)
def test_one_bad_value_refuses_the_snapshot_and_is_kept_with_its_reason(
    store, snapshot_frames, table, column, value, said
):
    frame = snapshot_frames[table].astype({column: object})
    frame.loc[frame.index[0], column] = value

    with pytest.raises(BatchRefused, match=said):
        snapshot.save_snapshot(store, "s", snapshot_frames | {table: frame})

    assert store.rows("SELECT count(*) FROM fact_snapshot") == [(0,)]
    assert store.rows("SELECT count(*) FROM raw_aave_balances") == [(0,)]
    assert any(
        said in reason for (reason,) in store.rows("SELECT reason FROM quarantine WHERE table_name = ?", (table,))
    )


def test_an_unknown_revision_is_stored_by_nobody(store, snapshot_frames):
    head = snapshot_frames["fact_snapshot"].assign(pool_revision=99)

    with pytest.raises(BatchRefused) as refused:
        snapshot.save_snapshot(store, "s", snapshot_frames | {"fact_snapshot": head})

    assert any("POOL_REVISION 99 has no implemented rules" in note for note in refused.value.__notes__)
    assert store.rows("SELECT count(*) FROM raw_aave_balances") == [(0,)]


def test_a_market_without_accounts_or_emodes_is_a_market(store, snapshot_frames):
    empty = {
        name: snapshot_frames[name].iloc[:0]
        for name in ("raw_aave_account_states", "raw_aave_balances", "raw_aave_emodes")
    }

    snapshot.save_snapshot(store, "s", snapshot_frames | empty)

    market = data.load_market(verify=True)
    assert market.n_accounts == 0
    assert market.n_reserves == 48


# Laws


@pytest.mark.property
@given(ids=st.lists(st.integers(0, 127), min_size=1, max_size=20, unique=True), bits=st.sets(st.integers(0, 127)))
def test_a_bitmap_is_read_by_reserve_id_and_not_by_place(ids, bits):
    bitmap = sum(1 << bit for bit in bits)

    [spread] = market_rows._spread([str(bitmap)], ids)

    assert spread == [number in bits for number in ids]


def test_the_digest_sees_every_part_of_a_market():
    market = data.sample.book(ACCOUNTS, SEED)
    price = market.price.copy()
    price[0] = np.nextafter(price[0], 0)
    emode = market.emode.copy()
    emode[0] = 0 if emode[0] == -1 else -1
    others = [
        replace(market, price=price),
        replace(market, emode=emode),
        replace(market, debt=market.collateral),
        replace(market, snapshot=replace(market.snapshot, block=2)),
        replace(market, accounts=np.char.replace(market.accounts, "0x53", "0x54")),
        data.sample.book(ACCOUNTS, SEED + 1),
    ]

    digests = {snapshot_hash(each) for each in [market, *others]}

    assert len(digests) == 1 + len(others)
    assert snapshot_hash(replace(market, notes=("a note",))) == snapshot_hash(market)


def test_positions_may_come_in_any_order(store, snapshot_frames):
    shuffled = {name: frame.sample(frac=1, random_state=3) for name, frame in snapshot_frames.items()}

    snapshot.save_snapshot(store, "s", shuffled)

    assert data.load_market(verify=True).snapshot == data.sample.book(ACCOUNTS, SEED).snapshot


def test_holdings_are_sorted_as_declared():
    held = holdings(ACCOUNTS, SEED)

    assert held.addresses == sorted(held.addresses)
    assert (np.diff(held.account * 100 + held.reserve) > 0).all()
