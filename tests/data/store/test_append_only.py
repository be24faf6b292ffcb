"""Raw rows are only ever added, every write has a number, and a write that changes nothing leaves no trace."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.store import migrations
from data.store.content import digests
from data.store.store import Store
from tests.data.candles import candles
from tests.data.conftest import price_rows

KLINES = "raw_binance_klines"


def write(store: Store, closes: dict[int, str], symbol: str = "ETHUSDT", **said: str):
    return store.write_batch("binance", f"{symbol}:1h", {KLINES: candles(symbol, closes)}, **said)


def test_a_corrected_row_is_a_further_row_under_a_further_number(store):
    write(store, {0: "10", 1: "11"}, run_id="first", payload_sha256="c" * 64)

    report = write(store, {0: "10", 1: "12"}, run_id="second")

    assert report.changed == {KLINES: 1}
    assert store.rows(f"SELECT open_time, close, batch, run_id FROM {KLINES} ORDER BY batch, open_time") == [
        (0, "10", 1, "first"),
        (3_600, "11", 1, "first"),
        (3_600, "12", 2, "second"),
    ]
    assert store.rows("SELECT batch, source, key, run_id, payload_sha256 FROM fact_batch") == [
        (1, "binance", "ETHUSDT:1h", "first", "c" * 64),
        (2, "binance", "ETHUSDT:1h", "second", ""),
    ]
    assert store.rows("SELECT batch, table_name, n_rows, n_changed, n_removed, newest_at FROM fact_batch_rows") == [
        (1, KLINES, 2, 2, 0, 7_200),
        (2, KLINES, 2, 1, 0, 7_200),
    ]


def test_a_row_that_returns_to_an_older_content_is_a_further_row_too(store):
    for close in ("10", "11", "10"):
        write(store, {0: close})

    assert store.rows(f"SELECT close FROM {KLINES} ORDER BY batch") == [("10",), ("11",), ("10",)]


@pytest.mark.parametrize("frame", [{"dim_prices": price_rows(2)}, {KLINES: candles("ETHUSDT", {0: 1, 1: 2})}])
def test_a_re_run_leaves_no_number_behind(store, frame):
    store.write_batch("s", "k", frame)
    before = store.rows("SELECT * FROM fact_batch")

    store.write_batch("s", "k", frame, run_id="later")

    assert len(before) == 1
    assert store.rows("SELECT * FROM fact_batch") == before


def test_what_a_frame_says_of_number_and_digest_is_not_believed(store):
    store.write_batch("s", "k", {KLINES: candles("ETHUSDT", {0: 1}).assign(batch=99, content_sha256="f" * 64)})

    [(batch, digest)] = store.rows(f"SELECT batch, content_sha256 FROM {KLINES}")
    assert batch == 1
    assert digest != "f" * 64


def test_rows_that_a_scope_removed_are_noted(store):
    store.write_batch("s", "k", {"dim_prices": price_rows(3)})
    store.write_batch("s", "k", {"dim_prices": price_rows(2)}, scope={"symbol": "ETHUSDT"})

    assert store.rows("SELECT table_name, n_changed, n_removed FROM fact_batch_rows ORDER BY batch") == [
        ("dim_prices", 3, 0),
        ("dim_prices", 0, 1),
    ]


def test_rows_since_a_batch_are_found_by_an_index(store):
    plan = store.rows(f"EXPLAIN QUERY PLAN SELECT symbol, open_time FROM {KLINES} WHERE batch > 5")

    assert [row[3] for row in plan] == [f"SEARCH {KLINES} USING COVERING INDEX {KLINES}_by_batch (batch>?)"]


VALUES = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5))


@given(row=st.lists(VALUES, min_size=2, max_size=2), other=st.lists(VALUES, min_size=2, max_size=2))
def test_rows_share_a_digest_exactly_when_they_say_the_same(row, other):
    one, two = digests(("a", "b"), [row, other])

    assert (one == two) == ([(type(v), repr(v)) for v in row] == [(type(v), repr(v)) for v in other])


def test_an_optional_column_that_is_added_later_leaves_the_digests_of_old_rows():
    assert digests(("a", "b"), [(1, "x")]) == digests(("a", "b", "c"), [(1, "x", None)])


def as_layout_2(path) -> None:
    """Make a current file one of layout 2: candles keyed without a batch, no numbers anywhere."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        f"""
        CREATE TABLE old (
          symbol TEXT NOT NULL, interval TEXT NOT NULL, open_time INTEGER NOT NULL, open TEXT NOT NULL,
          high TEXT NOT NULL, low TEXT NOT NULL, close TEXT NOT NULL, volume TEXT NOT NULL,
          close_time INTEGER NOT NULL, trades INTEGER NOT NULL, ingested_at INTEGER NOT NULL, source TEXT NOT NULL,
          payload_sha256 TEXT NOT NULL, PRIMARY KEY (symbol, interval, open_time)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO old SELECT symbol, interval, open_time, open, high, low, close, volume, close_time, trades,
          ingested_at, source, payload_sha256 FROM {KLINES};
        DROP TABLE {KLINES};
        ALTER TABLE old RENAME TO {KLINES};
        DROP INDEX dim_prices_by_batch;
        ALTER TABLE dim_prices DROP COLUMN batch;
        DROP TABLE fact_batch;
        DROP TABLE fact_batch_rows;
        DROP TABLE mart_state;
        DROP TABLE stg_prices;
        DELETE FROM schema_version;
        PRAGMA user_version = 2;
        """
    )
    connection.close()


def test_an_older_file_keeps_its_candles_and_the_same_candles_again_are_nothing(own_warehouse):
    closes = {hour: f"{2_000 + hour / 7:.8f}" for hour in range(30)}
    with Store.open() as store:
        write(store, closes)
        store.write_batch("s", "k", {"dim_prices": price_rows(2)})
        rows = f"SELECT symbol, open_time, close, ingested_at, payload_sha256, content_sha256 FROM {KLINES}"
        before = store.rows(rows)
    as_layout_2(own_warehouse)

    with Store.open() as store:
        assert store.rows(rows) == before
        assert store.rows(f"SELECT DISTINCT batch, run_id FROM {KLINES}") == [(1, "manual")]
        assert store.rows("SELECT DISTINCT batch FROM dim_prices") == [(1,)]
        assert store.rows("SELECT batch, source FROM fact_batch") == [(1, migrations.BEFORE_BATCHES)]
        assert write(store, closes).changed == {KLINES: 0}
        assert write(store, closes | {0: "1"}).changed == {KLINES: 1}
        assert store.rows(f"SELECT max(batch) FROM {KLINES}") == [(2,)]
