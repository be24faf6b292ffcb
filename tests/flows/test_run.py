"""What a flow writes carries its run's id; how far it has come lands with the rows, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import BatchRefused
from data.store import Store
from flows.pipeline import Finding, Mark, Run, recorded
from tests.data.candles import candles

KLINES = "raw_binance_klines"
COME_TO = Mark("binance", "klines:ETHUSDT:1h", {"ranges": [[0, 3600]], "again": False})


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Store.open(tmp_path / "w.sqlite") as store, recorded(store, "market-prices", {}) as run:
        yield run


def test_rows_their_mark_and_what_was_found_are_one_batch_of_this_run(run: Run):
    found = Finding(KLINES, "bars follow each other", "open_time", 1, 2, "a gap", about="ETHUSDT:0")

    run.write("binance", "page", {KLINES: candles("ETHUSDT", {0: "2000"})}, marks=[COME_TO], findings=[found])

    assert run.store.rows("SELECT key, run_id FROM fact_batch") == [("page", run.id)]
    assert run.store.rows(f"SELECT DISTINCT run_id FROM {KLINES}") == [(run.id,)]
    assert run.store.checkpoint("binance", COME_TO.key) == COME_TO.state
    assert run.store.rows(
        "SELECT run_id, source, batch_key, table_name, check_name, column_name, n_failed, n_rows, example "
        "FROM fact_validation WHERE check_name = 'bars follow each other'"
    ) == [(run.id, "binance", "ETHUSDT:0", KLINES, "bars follow each other", "open_time", 1, 2, "a gap")]


def test_rows_that_are_refused_leave_no_mark(run: Run):
    with pytest.raises(BatchRefused):
        run.write("binance", "page", {KLINES: candles("ETHUSDT", {0: "-1"})}, marks=[COME_TO])

    assert run.store.checkpoint("binance", COME_TO.key) is None


def test_a_mark_alone_is_a_batch_of_its_own_and_its_text_does_not_depend_on_the_order_of_its_fields(run: Run):
    run.mark("chain", "1", {"last": 7, "first": 3}, batch="1:3-7")

    [(value,)] = run.store.rows("SELECT value FROM ingest_checkpoint")
    assert value == json.dumps({"first": 3, "last": 7})
    assert run.store.rows("SELECT source, key FROM fact_batch") == [("chain", "1:3-7")]


def test_where_nothing_was_found_nothing_is_written(run: Run):
    run.finding("chainlink", "1:100:checks")

    assert run.store.rows("SELECT count(*) FROM fact_batch") == [(0,)]


def test_a_finding_is_about_the_batch_it_is_written_in_unless_it_says_another(run: Run):
    run.finding("chainlink", "1:100", Finding("t", "c", "", 1, 1, "x"), Finding("t", "d", "", 1, 1, "y", about="1:99"))

    rows = run.store.rows("SELECT check_name, batch_key FROM fact_validation WHERE source = 'chainlink' ORDER BY 1")
    assert rows == [("c", "1:100"), ("d", "1:99")]
