"""Every row says which write brought it, in which run, and on which received rows it rests."""

from __future__ import annotations

import pytest

from data import lineage, marts
from data.__main__ import main
from data.errors import DataError
from data.schemas.tables import tables
from data.store.store import Store
from tests.data.candles import candles


@pytest.fixture
def prices(store) -> Store:
    """Two candles of one run, one of them corrected by another."""
    for flow, closes, payload in (("first", {0: "10", 1: "11"}, "1"), ("second", {1: "12"}, "2")):
        run = store.start_run(flow, {"days": 1})
        rows = candles("ETHUSDT", closes).assign(payload_sha256=payload * 64)
        store.write_batch("binance", f"1h:{flow}", {"raw_binance_klines": rows}, run, payload_sha256=payload * 64)
        store.finish_run(run, "completed")
    marts.refresh(store)
    return store


def test_a_made_row_leads_to_the_write_the_run_and_the_received_row(prices):
    old, corrected = lineage.of(prices, "stg_prices", ["ETHUSDT", "1h"])

    assert (old.row["price_usd"], old.write.flow, old.write.key) == (10.0, "first", "1h:first")
    assert (corrected.row["price_usd"], corrected.write.flow, corrected.write.source) == (12.0, "second", "binance")
    assert corrected.write.params == '{"days": 1}'
    assert corrected.made_by == ("data/marts/prices/stg_prices.sql",)
    [received] = corrected.received
    assert received.table == "raw_binance_klines"
    assert received.agree_in == {"symbol": "ETHUSDT", "interval": "1h", "batch": 2}
    assert (received.n_rows, received.payload_sha256) == (1, ("2" * 64,))


def test_a_received_row_leads_to_its_write(prices):
    found = lineage.of(prices, "raw_binance_klines", {"symbol": "ETHUSDT", "open_time": 3_600})

    assert [row.write.payload_sha256 for row in found] == ["1" * 64, "2" * 64]


def test_a_wallet_leads_to_its_position_and_the_block(filled):
    with Store.open() as store:
        marts.refresh(store)
        market, wallet = store.rows("SELECT market, wallet FROM mart_position_risk WHERE debt_usd > 0 LIMIT 1")[0]
        [found] = lineage.of(store, "mart_position_risk", [market, wallet])
        run = store.rows("SELECT run_id FROM fact_run WHERE flow = 'sample'")[0][0]

        positions = store.rows("SELECT count(*) FROM raw_aave_balances WHERE account = ?", (wallet,))[0][0]
    assert (found.write.run_id, found.write.key) == (run, f"{market}:{found.row['block']}")
    rested = {received.table: received.n_rows for received in found.received}
    assert rested["raw_aave_balances"] == positions
    assert rested["raw_aave_account_states"] == 1
    assert rested["fact_snapshot"] == 1


def test_a_received_row_is_named_with_its_own_write_however_new_the_row_that_rests_on_it(prices):
    newer = {"symbol": "ETHUSDT", "interval": "1h", "batch": 99}
    first, second = (
        lineage._received(prices, tables()["raw_binance_klines"], newer | {"open_time": at}) for at in (0, 3_600)
    )

    assert (first.n_rows, first.write.flow, first.write.key) == (1, "first", "1h:first")
    assert (second.n_rows, second.write.flow) == (2, "second"), "corrected since: the newest counts"


def test_the_view_answers_the_same_in_sql(prices):
    told = prices.rows(
        "SELECT p.ts, l.flow, l.key, l.payload_sha256 FROM stg_prices AS p JOIN lineage AS l USING (batch) "
        "ORDER BY p.ts"
    )

    assert told == [(3_600, "first", "1h:first", "1" * 64), (7_200, "second", "1h:second", "2" * 64)]


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ("nothing", [], "no table nothing"),
        ("stg_prices", ["a", "b", "c", "d", "e"], "has the key symbol, interval, ts, source, found 5 values"),
        ("stg_prices", {"colour": "red"}, "no column colour"),
        ("stg_prices", ["BTCUSDT"], "no row with symbol = BTCUSDT"),
    ],
)
def test_a_question_without_an_answer_is_told_why(prices, table, key, said):
    with pytest.raises(DataError, match=said):
        lineage.of(prices, table, key)


def test_the_command_prints_it(prices, capsys):
    assert main(["lineage", "stg_prices", "ETHUSDT", "1h", "7200"]) == 0

    said = capsys.readouterr().out
    assert "write 2: binance 1h:second" in said
    assert 'second {"days": 1}' in said
    assert f"of answer {'2' * 64}" in said


def test_freshness_is_printed_and_what_is_late_comes_first(prices, capsys):
    assert main(["freshness"]) == 0

    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("raw_binance_klines")
    assert "newest row 1970-01-01 02:00:00 UTC" in first
    assert "LATE, expected within 2 d" in first


def test_refresh_and_tables_speak_of_what_is_made(prices, capsys):
    assert main(["refresh", "--full", "stg_prices"]) == 0
    assert "stg_prices: built anew, 2 new or changed" in capsys.readouterr().out
    assert main(["tables"]) == 0
    assert "lineage: a view of fact_batch, fact_batch_rows, fact_run" in capsys.readouterr().out
    assert main(["refresh", "nothing"]) == 1
    assert "no table nothing in data/marts" in capsys.readouterr().err
