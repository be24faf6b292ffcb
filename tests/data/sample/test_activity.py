"""The made-up chain of the sample: whole, marked by its chain id, and of one seed."""

from __future__ import annotations

import pytest

import data
from data.sample import activity
from data.sample.filling import fill
from data.settings import SAMPLE_CHAIN
from data.store import Store


def test_blocks_follow_each_other_up_to_the_samples_own_time():
    tables = activity.frames(7)
    blocks = tables["stg_chain_blocks"]
    assert (blocks["block_number"].diff().dropna() == 1).all()
    assert blocks["parent_hash"].tolist()[1:] == blocks["block_hash"].tolist()[:-1]
    assert (blocks["timestamp"].diff().dropna() > 0).all()
    assert blocks["timestamp"].iloc[-1] == 1_751_328_000 - 12
    assert blocks["transaction_count"].sum() == len(tables["raw_chain_transactions"])
    logs = sum(len(tables[name]) for name in ("stg_token_transfers", "stg_dex_swaps", "stg_primitives"))
    assert blocks["log_count"].sum() == logs


def test_every_row_is_of_the_chain_that_no_network_has():
    assert SAMPLE_CHAIN == 0
    for name, rows in activity.frames(7).items():
        assert set(rows["chain_id"]) == {SAMPLE_CHAIN}, name


def test_one_hour_is_loud():
    rows = activity.frames(7)["stg_token_transfers"]
    usde = rows[rows["token"] == "0x4c9edd5852cd905f086c759e8383e09bff1e68b3"]
    hours = usde.groupby(usde["timestamp"] // 3600).size()
    loud = 1_751_328_000 // 3600 - 1 - activity.LOUD_HOUR
    assert hours.idxmax() == loud
    assert hours[loud] >= 3 * hours.drop(loud).max()


def test_liquidity_of_one_block_is_put_in_and_taken_out_and_some_of_it_stays():
    rows = activity.frames(7)["stg_primitives"]
    changes = rows[rows["primitive"].isin(["mint", "burn"])]
    assert changes["primitive"].tolist() == ["mint", "mint", "burn"]
    assert changes["block_number"].nunique() == 1
    assert changes["account"].iloc[0] == changes["account"].iloc[2] != changes["account"].iloc[1]


@pytest.mark.parametrize("before", [7, 8])
def test_a_refilled_sample_holds_the_blocks_of_its_seed_alone(own_warehouse, before):
    fill(150, before)
    fill(150, 7)
    expected = activity.frames(7)
    with Store.open(readonly=True) as store:
        for name, rows in expected.items():
            assert store.rows(f"SELECT count(*) FROM {name}") == [(len(rows),)], name
        [(hourly,)] = store.rows("SELECT sum(transfers) FROM mart_token_transfer_hourly")
    assert hourly == len(expected["stg_token_transfers"])
    assert data.load_market().n_accounts == 150
