"""A batch is written whole or not at all, writing it again changes nothing, and what is bad is kept with its reason."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BatchRefused, WarehouseError
from data.store.store import Store
from data.store.upserts import plain_rows
from tests.data.conftest import checksums, price_rows

HOLDER = {"market": "m", "token": "0x" + "b" * 40, "account": "0x" + "a" * 40, "first_seen_block": 1}


def test_a_good_batch_is_written(store):
    report = store.write_batch("binance", "ETHUSDT", {"dim_prices": price_rows(3)})

    assert report.rows == {"dim_prices": 3}
    assert report.changed == {"dim_prices": 3}
    assert report.quarantined == 0
    assert store.rows("SELECT ts, price_usd FROM dim_prices ORDER BY ts") == [
        (1_700_000_000, 2_000.0),
        (1_700_003_600, 2_001.0),
        (1_700_007_200, 2_002.0),
    ]


def test_a_re_run_changes_nothing_and_keeps_the_first_arrival(store, own_warehouse):
    bars = pd.DataFrame(
        [{"symbol": "ETHUSDT", "interval": "1h", "open_time": 0, "open": "1", "high": "1", "low": "1", "close": "1",
          "volume": "0", "close_time": 3600, "trades": 1, "ingested_at": 5, "source": "binance",
          "payload_sha256": "a" * 64}]
    )  # fmt: skip
    store.write_batch("binance", "k", {"raw_binance_klines": bars})
    before = checksums(own_warehouse)

    again = store.write_batch(
        "binance", "k", {"raw_binance_klines": bars.assign(ingested_at=9, payload_sha256="b" * 64)}
    )

    assert again.changed == {"raw_binance_klines": 0}
    assert checksums(own_warehouse) == before


def test_a_row_with_other_content_replaces_the_old_one(store):
    store.write_batch("binance", "k", {"dim_prices": price_rows(2)})

    report = store.write_batch("binance", "k", {"dim_prices": price_rows(2, price_usd=[2_000.0, 7.0])})

    assert report.changed == {"dim_prices": 1}
    assert store.rows("SELECT price_usd FROM dim_prices ORDER BY ts") == [(2_000.0,), (7.0,)]


def test_one_bad_row_refuses_the_batch_and_goes_to_quarantine_with_its_reasons(store):
    rows = price_rows(3, price_usd=[1.0, -2.0, 3.0], is_synthetic=[0, 5, 0])

    with pytest.raises(BatchRefused, match=r"1 of 3 rows are bad, the first is row 1: .*price_usd: greater_than\(0\)"):
        store.write_batch("binance", "k", {"dim_prices": rows}, run_id="run", payload_sha256="c" * 64)

    assert store.rows("SELECT count(*) FROM dim_prices") == [(0,)]
    [(row, reason, sha, run, table)] = store.rows(
        "SELECT row, reason, payload_sha256, run_id, table_name FROM quarantine"
    )
    assert json.loads(row)["price_usd"] == -2.0
    assert "price_usd: greater_than(0), found -2.0" in reason
    assert "is_synthetic: isin([0, 1]), found 5" in reason
    assert (sha, run, table) == ("c" * 64, "run", "dim_prices")
    assert store.rows("SELECT check_name, n_failed, n_rows FROM fact_validation ORDER BY check_name") == [
        ("greater_than(0)", 1, 3),
        ("isin([0, 1])", 1, 3),
    ]


def test_up_to_the_stated_share_good_rows_are_written_and_bad_ones_put_aside(store):
    rows = price_rows(4, price_usd=[1.0, -2.0, 3.0, 4.0])

    report = store.write_batch("binance", "k", {"dim_prices": rows}, max_bad_share=0.25)

    assert report.rows == {"dim_prices": 3}
    assert report.quarantined == 1
    with pytest.raises(BatchRefused):
        store.write_batch("binance", "k2", {"dim_prices": rows}, max_bad_share=0.24)


def test_the_same_bad_row_is_kept_once(store):
    rows = price_rows(2, price_usd=[-1.0, 1.0])
    for run in ("first", "second"):
        with pytest.raises(BatchRefused):
            store.write_batch("binance", "k", {"dim_prices": rows}, run_id=run)

    assert store.rows("SELECT run_id FROM quarantine") == [("first",)]


def test_a_bad_row_of_one_table_refuses_the_good_rows_of_another(store):
    holders = pd.DataFrame([HOLDER])

    with pytest.raises(BatchRefused):
        store.write_batch("s", "k", {"raw_aave_holders": holders, "dim_prices": price_rows(1, price_usd=[0.0])})

    assert store.rows("SELECT count(*) FROM raw_aave_holders") == [(0,)]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (price_rows(2).drop(columns="ts"), "ts: column is missing"),
        (price_rows(2).assign(extra=1), "extra: column is not in the schema"),
    ],
)
def test_a_frame_of_the_wrong_shape_is_refused_as_a_whole(store, frame, said):
    with pytest.raises(BatchRefused, match=said):
        store.write_batch("s", "k", {"dim_prices": frame}, max_bad_share=0.9)

    assert store.rows("SELECT count(*) FROM dim_prices") == [(0,)]


def test_a_fraction_is_not_cut_to_an_integer(store):
    rows = price_rows(2).astype(object)
    rows.loc[1, "ts"] = 1.5

    with pytest.raises(BatchRefused, match=r"ts: whole number, found 1\.5"):
        store.write_batch("s", "k", {"dim_prices": rows})


def test_a_value_that_is_no_number_does_not_hide_the_faults_of_other_rows(store):
    rows = price_rows(3).astype(object)
    rows.loc[0, "ts"] = "yesterday"
    rows.loc[2, "price_usd"] = -1.0

    report = store.write_batch("s", "k", {"dim_prices": rows}, max_bad_share=0.9)

    assert report.rows == {"dim_prices": 1}
    assert sorted(reason for (reason,) in store.rows("SELECT reason FROM quarantine")) == [
        "price_usd: greater_than(0), found -1.0",
        "ts: coerce_dtype('int64'), found 'yesterday'",
    ]


def test_two_rows_of_one_key_are_both_refused(store):
    rows = price_rows(3, ts=[1, 1, 2])

    report = store.write_batch("s", "k", {"dim_prices": rows}, max_bad_share=0.9)

    assert report.rows == {"dim_prices": 1}
    assert report.quarantined == 2


def test_a_failure_in_the_middle_leaves_nothing(store, monkeypatch):
    holders = pd.DataFrame([HOLDER])
    from data.store import store as module

    written = []

    def dies_at_the_second_table(connection, table, frame):
        if written:
            raise KeyboardInterrupt
        written.append(table)
        return original(connection, table, frame)

    original = module.upsert
    monkeypatch.setattr(module, "upsert", dies_at_the_second_table)
    with pytest.raises(KeyboardInterrupt):
        store.write_batch("s", "k", {"raw_aave_holders": holders, "dim_prices": price_rows(1)})
    monkeypatch.undo()

    assert store.rows("SELECT count(*) FROM raw_aave_holders") == [(0,)]
    store.write_batch("s", "k", {"raw_aave_holders": holders, "dim_prices": price_rows(1)})
    assert store.rows("SELECT count(*) FROM raw_aave_holders") == [(1,)]


def test_a_scope_removes_what_the_batch_no_longer_holds_and_nothing_else(store):
    other = price_rows(2, symbol="BTCUSDT")
    store.write_batch("s", "k", {"dim_prices": pd.concat([price_rows(3), other])})

    store.write_batch("s", "k", {"dim_prices": price_rows(2)}, scope={"symbol": "ETHUSDT"})

    assert store.rows("SELECT symbol, count(*) FROM dim_prices GROUP BY symbol") == [("BTCUSDT", 2), ("ETHUSDT", 2)]


def test_a_holder_keeps_the_first_block_it_was_seen_at(store):
    holder = pd.DataFrame([HOLDER | {"first_seen_block": 5}])
    store.write_batch("s", "k", {"raw_aave_holders": holder})

    store.write_batch("s", "k", {"raw_aave_holders": holder.assign(first_seen_block=9)})

    assert store.rows("SELECT first_seen_block FROM raw_aave_holders") == [(5,)]


def test_numpy_integers_are_stored_as_integers_and_never_as_blobs(store):
    rows = price_rows(2).assign(ts=np.array([1, 2], dtype=np.int32), is_synthetic=np.array([0, 1], dtype=np.uint8))

    store.write_batch("s", "k", {"dim_prices": rows})

    types = store.rows(
        "SELECT DISTINCT typeof(ts), typeof(is_synthetic), typeof(price_usd), typeof(price_usdt) FROM dim_prices"
    )
    assert types == [("integer", "integer", "real", "null")]


def test_rows_are_plain_python_values_with_none_for_what_is_missing():
    frame = pd.DataFrame(
        {"n": pd.array([1, None], dtype="Int64"), "x": [1.5, float("nan")], "t": ["a", None], "i": np.array([1, 2])}
    )

    rows = list(plain_rows(frame))

    assert rows == [(1, 1.5, "a", 1), (None, None, None, 2)]
    assert {type(value) for row in rows for value in row} == {int, float, str, type(None)}


@given(value=st.integers(0, 2**256 - 1))
def test_uint256_survives_the_round_trip_exactly(tmp_path_factory, value):
    with Store.open(tmp_path_factory.getbasetemp() / "round.sqlite") as opened:
        row = {"market": "m", "block": 1, "emode_id": 1, "label": "", "ltv_bps": 0, "liquidation_threshold_bps": 0,
               "liquidation_bonus_bps": 0, "collateral_bitmap": str(value), "borrowable_bitmap": value,
               "ltvzero_bitmap": "0", "isolated": 0}  # fmt: skip
        opened.write_batch("s", "k", {"raw_aave_emodes": pd.DataFrame([row])})

        assert opened.rows("SELECT collateral_bitmap, borrowable_bitmap FROM raw_aave_emodes") == [(str(value),) * 2]


@given(value=st.floats(min_value=5e-324, max_value=1.7e308))
def test_floats_survive_the_round_trip_bit_for_bit(tmp_path_factory, value):
    with Store.open(tmp_path_factory.getbasetemp() / "round.sqlite") as opened:
        opened.write_batch("s", "k", {"dim_prices": price_rows(1, price_usd=[value])})

        assert opened.rows("SELECT price_usd FROM dim_prices") == [(value,)]


def test_runs_and_checkpoints_are_noted(store):
    run = store.start_run("aave-market", {"block": 7})
    assert store.rows("SELECT flow, params, state, finished_at FROM fact_run") == [
        ("aave-market", '{"block": 7}', "running", None)
    ]

    store.finish_run(run, "failed", "no node")
    for block in (12, 13):
        row = {"source": "aave_rpc", "key": "m", "value": json.dumps({"next": block}), "updated_at": block}
        store.write_batch("aave_rpc", f"m:{block}", {"ingest_checkpoint": pd.DataFrame([row])})

    assert store.rows("SELECT state, message, finished_at IS NOT NULL FROM fact_run") == [("failed", "no node", 1)]
    assert store.checkpoint("aave_rpc", "m") == {"next": 13}
    assert store.checkpoint("aave_rpc", "other") is None
    with pytest.raises(ValueError, match="state must be"):
        store.finish_run(run, "done")
    with pytest.raises(WarehouseError, match="has no run nobody"):
        store.finish_run("nobody", "completed")
