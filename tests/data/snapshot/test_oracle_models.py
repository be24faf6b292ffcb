"""Oracle models of a stored market: what comes out is what went in, and a market without them keeps its digest."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import data
import risk_core as rc
from data import snapshot
from data.errors import BatchRefused, SnapshotRefused
from data.snapshot.identity import snapshot_hash
from tests.data.conftest import ACCOUNTS, SEED, execute
from tests.markets import one_account

COLUMNS = ["price_cap_raw", "ratio_cap", "ratio_of", "linked_to", "price_is_fixed"]


def changed(frames, symbol: str, **values):
    """The frames with other values at one reserve."""
    reserves = frames["raw_aave_reserves"].copy()
    for name, value in values.items():
        reserves[name] = reserves[name].astype(object)
        reserves.loc[reserves["symbol"] == symbol, name] = value
    return frames | {"raw_aave_reserves": reserves}


def test_the_samples_stablecoins_answer_at_their_cap(filled):
    market = data.load_market()
    usdc, gho = market.reserves.index("USDC"), market.reserves.index("GHO")
    assert rc.what_if(market, {"USDC": 0.12}).price[usdc] == 1.04
    assert rc.what_if(market, {"GHO": -0.5}).price[gho] == 1.0
    answer = rc.what_if(market, {"USDT": 0.12, "sUSDe": 0.12})
    for symbol in ("USDT", "USDe", "eUSDe"):
        assert answer.price[market.reserves.index(symbol)] == pytest.approx(1.04)
    for symbol in ("sUSDe", "PT-sUSDE-31JUL2025"):
        at = market.reserves.index(symbol)
        assert answer.price[at] / market.price[at] == pytest.approx(1.04 / 1.00025887)


def test_every_model_is_stored_and_read_back(store, snapshot_frames):
    weth = snapshot_frames["raw_aave_reserves"].set_index("symbol").loc["WETH", "asset"]
    frames = changed(snapshot_frames, "wstETH", ratio_of=weth, ratio_cap=str(1_250 * 10**24))

    snapshot.save_snapshot(store, "s", frames)

    market, sample = data.load_market(), data.sample.book(ACCOUNTS, SEED)
    at = market.reserves.index("wstETH")
    assert (market.reserves.ratio_of[at], market.reserves.ratio_cap[at]) == (market.reserves.index("WETH"), 1.25)
    for name in ("price_cap", "linked_to", "fixed_price"):
        np.testing.assert_array_equal(getattr(market.reserves, name), getattr(sample.reserves, name), err_msg=name)
    assert market.snapshot.hash != sample.snapshot.hash


def test_rows_from_before_there_were_models_are_a_market_without(store, snapshot_frames):
    bare = snapshot_frames["raw_aave_reserves"].drop(columns=COLUMNS)

    snapshot.save_snapshot(store, "s", snapshot_frames | {"raw_aave_reserves": bare})

    market = data.load_market()
    assert not market.reserves.oracle.any
    assert rc.what_if(market, {"USDC": 0.12}).price[market.reserves.index("USDC")] == pytest.approx(0.99993 * 1.12)


def test_a_market_without_models_keeps_the_digest_that_it_had():
    """Computed by the version before there were models: snapshots that are stored stay valid."""
    plain = one_account()
    assert snapshot_hash(plain) == "9661ab4b4211cea62fb714dd6e7ed47fd2261ed57ac657d79cdda9601a1526b6"
    capped = [replace(plain, reserves=replace(plain.reserves, price_cap=[np.inf, cap])) for cap in (1.04, 1.05)]
    linked = replace(plain, reserves=replace(plain.reserves, linked_to=[-1, 0]))
    fixed = replace(plain, reserves=replace(plain.reserves, fixed_price=[False, True]))
    assert len({snapshot_hash(market) for market in (plain, *capped, linked, fixed)}) == 5


def test_a_changed_cap_is_seen_when_a_market_is_read(filled):
    execute(filled, "UPDATE raw_aave_reserves SET price_cap_raw = '105000000' WHERE symbol = 'USDC'")
    with pytest.raises(SnapshotRefused, match="rows were changed after they were written"):
        data.load_market()


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"price_cap_raw": "90000000"}, r"Market\.price: entry 3 \(USDC\) is 0\.99993, above the cap"),
        ({"linked_to": "0x" + "ab" * 20}, r"raw_aave_reserves\.linked_to: expected an asset of this market"),
    ],
)
def test_models_that_contradict_the_market_refuse_the_batch(store, snapshot_frames, values, note):
    with pytest.raises(BatchRefused) as refused:
        snapshot.save_snapshot(store, "s", changed(snapshot_frames, "USDC", **values))
    assert any(re.search(note, said) for said in refused.value.__notes__)
