"""Sums and movements between two blocks: as columns what they are row by row, whatever happened in between."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data import snapshot
from data.snapshot import changes, scaled_sums
from data.store.store import Store
from tests.data.conftest import as_live, execute
from tests.data.snapshot.test_untouched import BALANCES, STATES

MARKET = "AaveV3Ethereum"
START = 1_760_000_000


def shaken(frames: dict[str, pd.DataFrame], block: int, seed: int) -> dict[str, pd.DataFrame]:
    """The market at a later block: some balances have grown, shrunk or gone, some accounts have left."""
    rng = np.random.default_rng(seed)
    rows = frames[BALANCES].copy()
    factor = rng.choice([0, 1, 1, 1, 2, 3], len(rows))
    for name in ("scaled_supply", "scaled_debt"):
        rows[name] = [str(int(value) * int(by) // 2) for value, by in zip(rows[name], factor, strict=True)]
    rows = rows[rng.random(len(rows)) > 0.1]
    states = frames[STATES]
    left = set(states["account"][rng.random(len(states)) < 0.1])
    rows, states = rows[~rows["account"].isin(left)], states[~states["account"].isin(left)]
    return as_live(frames | {BALANCES: rows, STATES: states}, block=block, block_time=START + 12 * block)


@pytest.fixture
def history(store: Store, snapshot_frames):
    for turn, block in enumerate((10, 20, 30, 40)):
        snapshot.save_snapshot(store, "s", shaken(snapshot_frames, block, turn))
    return store


def plain(found):
    early, late, more, less = found
    return *({asset: sums for asset, sums in side.items() if any(sums)} for side in (early, late)), more, less


@pytest.mark.parametrize(("low", "high"), [(10, 20), (10, 40), (20, 30), (30, 40), (20, 20)])
def test_columns_and_rows_give_the_same(history: Store, low: int, high: int):
    found = scaled_sums.between(history, MARKET, low, high)

    assert found is not None
    assert plain(found) == plain(changes._row_by_row(history, MARKET, low, high))
    assert (found[2] > 50 and found[3] > 50) == (low != high)


@pytest.mark.parametrize("value", ["' 5'", "'00'", f"'{10**36}'", "'-1'"])
def test_values_that_do_not_fit_are_left_to_the_rows(history: Store, own_warehouse, value: str):
    execute(own_warehouse, f"UPDATE raw_aave_balances SET scaled_debt = {value}")
    assert scaled_sums.between(history, MARKET, 10, 40) is None


def test_a_reserve_that_is_not_listed_is_left_to_the_rows(history: Store, own_warehouse):
    execute(own_warehouse, "UPDATE raw_aave_balances SET reserve_id = 99")
    assert scaled_sums.between(history, MARKET, 10, 40) is None
