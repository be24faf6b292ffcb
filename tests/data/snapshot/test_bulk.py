"""A market whose accounts are read as arrays is, bit for bit, the one that is read row by row."""

from __future__ import annotations

import numpy as np
import pytest

import data
from data import snapshot
from data.snapshot import bulk
from data.snapshot.identity import snapshot_hash
from data.store.store import Store
from risk_core import Market
from tests.data.conftest import ACCOUNTS, execute

STRANGE = "0x" + "e" * 40


def both_ways(monkeypatch: pytest.MonkeyPatch) -> tuple[Market, Market]:
    """(as arrays, row by row); the first way must not have given up."""
    kept = []
    whole = bulk.arrays_of
    with monkeypatch.context() as patched:
        patched.setattr(bulk, "arrays_of", lambda *args: kept.append(whole(*args)) or kept[-1])
        arrays = data.load_market(verify=False)
    assert [book is not None for book in kept] == [True]
    with monkeypatch.context() as patched:
        patched.setattr(bulk, "held_at", lambda *args: None)
        rows = data.load_market(verify=False)
    return arrays, rows


def require_equal(one: Market, other: Market) -> None:
    assert snapshot_hash(one) == snapshot_hash(other)
    assert one.accounts.dtype == other.accounts.dtype
    assert one.accounts.tolist() == other.accounts.tolist()
    assert one.emode.tolist() == other.emode.tolist()
    for side in ("collateral", "debt"):
        for name in ("indptr", "reserve", "amount"):
            ours, theirs = (getattr(getattr(market, side), name) for market in (one, other))
            assert ours.dtype == theirs.dtype
            assert ours.tobytes() == theirs.tobytes()
    assert one.notes == other.notes


def test_the_sample(filled, monkeypatch):
    one, other = both_ways(monkeypatch)
    assert one.n_accounts == ACCOUNTS
    require_equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM raw_aave_balances WHERE account = (SELECT min(account) FROM raw_aave_balances)",
        "DELETE FROM raw_aave_balances WHERE account > (SELECT min(account) FROM raw_aave_balances)",
        "DELETE FROM raw_aave_balances",
        "UPDATE raw_aave_balances SET scaled_supply = '0' || scaled_supply",
        "UPDATE raw_aave_balances SET scaled_supply = substr('8' || scaled_supply || '012345678901234567', 1, 29)",
        "UPDATE raw_aave_account_states SET config_bitmap = "
        "'115792089237316195423570985008687907853269984665640564039457584007913129639935'",
    ],
)
def test_books_of_other_shapes(filled, monkeypatch, change):
    execute(filled, change)
    execute(
        filled,
        "UPDATE fact_snapshot SET below_one_confirmed = 1000000, "
        "n_positions = (SELECT count(*) FROM raw_aave_balances)",
    )
    require_equal(*both_ways(monkeypatch))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE raw_aave_balances SET scaled_supply = ' ' || scaled_supply",
        f"UPDATE raw_aave_balances SET scaled_debt = '{10**36}' "
        "WHERE asset = (SELECT max(asset) FROM raw_aave_balances)",
        "UPDATE raw_aave_balances SET stable_debt = '1' WHERE account = (SELECT max(account) FROM raw_aave_balances)",
        f"UPDATE raw_aave_balances SET account = '{STRANGE}' "
        "WHERE account = (SELECT max(account) FROM raw_aave_balances)",
        "UPDATE raw_aave_account_states SET config_bitmap = ' ' || config_bitmap",
        "UPDATE raw_aave_account_states SET account = account || 'x'",
    ],
)
def test_what_is_unusual_is_left_to_the_other_way(filled, change):
    execute(filled, change)
    with Store.open(filled, readonly=True) as store:
        [(market, block)] = store.rows("SELECT market, block FROM fact_snapshot")
        assert bulk.held_at(store, market, block) is None


def test_a_snapshot_without_accounts_is_read(store, snapshot_frames, monkeypatch):
    empty = {
        name: frame.iloc[:0] if name in ("raw_aave_account_states", "raw_aave_balances") else frame
        for name, frame in snapshot_frames.items()
    }
    snapshot.save_snapshot(store, "s", empty)
    one, other = both_ways(monkeypatch)
    assert one.n_accounts == 0
    require_equal(one, other)


def test_rows_of_sorted_addresses_are_found():
    address = np.array(["a", "b", "d", "e"], dtype="S42")
    assert bulk._rows_among(np.array(["a", "a", "d"], dtype="S42"), address).tolist() == [0, 0, 2]
    assert bulk._rows_among(address, address).tolist() == [0, 1, 2, 3]
    assert bulk._rows_among(np.array(["a", "c"], dtype="S42"), address) is None
    assert bulk._rows_among(np.array(["f"], dtype="S42"), address) is None
    assert bulk._rows_among(np.array(["a"], dtype="S42"), address[:0]) is None
