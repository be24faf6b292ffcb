"""`risk-scenarios` for stored blocks: what a forecast of a past day knows, and which days get one."""

from __future__ import annotations

import pytest

from data import marts, results
from data.sample import configuration
from data.sample.book import holdings
from data.sample.frames import frames
from data.snapshot.saving import save_snapshot
from data.store.store import Store
from flows.errors import WrongOption
from flows.risk import forecast_ledger
from flows.risk.calibration_inputs import LooksAhead
from flows.risk.options import RiskScenariosOptions
from tests.flows.running import ran

MARKET = "PastSample"
DAY = 86_400
NOON = 43_200


def run(*words: str) -> str:
    return ran("risk-scenarios", "--paths", "256", "--market", MARKET, *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def change(sql: str) -> None:
    with Store.open() as store, store.transaction() as connection:
        connection.execute(sql)


def time_of(block: int) -> int:
    [(at,)] = rows(f"SELECT block_time FROM fact_snapshot WHERE market = '{MARKET}' AND block = {block}")
    return at


def keep(block: int, before: int) -> None:
    """Store the sample's book as `block`, `before` seconds before the sample's own."""
    at = configuration.BLOCK_TIME - before
    kept = {
        name: frame.assign(market=MARKET, **{"valid_from" if "valid_from" in frame else "block": block})
        for name, frame in frames(holdings(300, 7)).items()
    }
    kept["fact_snapshot"] = kept["fact_snapshot"].assign(block_time=at)
    kept["raw_aave_reserves"] = kept["raw_aave_reserves"].assign(last_update_timestamp=at)
    with Store.open() as store:
        save_snapshot(store, "test", kept)


@pytest.fixture
def past(sample):
    """Two blocks of one day and one of the day after, ten days before the sample's prices end."""
    keep(10, 10 * DAY)
    keep(11, 10 * DAY - NOON)
    keep(20, 9 * DAY)


def test_a_price_after_the_block_changes_nothing_and_one_before_it_does(past):
    run("--block", "10")
    first = results.latest(market=MARKET)
    [(kept,)] = rows("SELECT calibration_id FROM fact_calibration")

    change(f"UPDATE dim_prices SET price_usd = price_usd * (1 + abs(ts % 7)) WHERE ts > {time_of(10)}")
    said = run("--block", "10")

    assert "These figures were stored before" in said
    assert rows("SELECT calibration_id, looks_ahead FROM fact_calibration") == [(kept, 0)]
    assert first.looks_ahead is False
    assert rows(f"SELECT count(*) FROM fact_risk_run WHERE market = '{MARKET}'") == [(1,)]
    run("--block", "10", "--force")
    assert results.latest(market=MARKET).figures == first.figures

    change(f"UPDATE dim_prices SET price_usd = price_usd * 1.01 WHERE ts = {time_of(10)} AND symbol = 'ETHUSDT'")
    run("--block", "10")
    assert rows(f"SELECT count(*) FROM fact_risk_run WHERE market = '{MARKET}'") == [(2,)]


def test_a_look_ahead_is_refused_stores_nothing_and_where_it_is_asked_for_is_no_forecast(past):
    keep(5, 130 * DAY)  # the sample's prices begin ten days later
    with pytest.raises(LooksAhead, match=r"PastSample at block 5 \(2025-02-21\): 0\.0 days .*--allow-look-ahead"):
        run("--block", "5")
    assert rows(f"SELECT count(*) FROM fact_risk_run WHERE market = '{MARKET}'") == [(0,)]
    assert rows("SELECT count(*) FROM fact_calibration") == [(0,)]

    said = run("--block", "5", "--allow-look-ahead")

    stored = results.latest(market=MARKET)
    assert "later than the block" in said
    assert (stored.looks_ahead, stored.scenario_id) == (True, "baseline-24h-look-ahead")
    assert rows("SELECT looks_ahead FROM fact_calibration") == [(1,)]
    with Store.open() as store:
        marts.refresh(store, ["mart_forecast_outcome"])
        assert rows(f"SELECT count(*) FROM mart_forecast_outcome WHERE market = '{MARKET}'") == [(0,)]
        assert forecast_ledger.stored(store, MARKET) == []
    assert rows(f"SELECT count(*) FROM fact_forecast WHERE market = '{MARKET}'") == [(0,)]


def test_the_option_changes_nothing_where_earlier_prices_suffice(past):
    run("--block", "20")
    assert "stored before" in run("--block", "20", "--allow-look-ahead")
    assert results.latest(market=MARKET).scenario_id == "baseline-24h"


def test_every_day_is_the_first_snapshot_of_each_day_without_a_run(past):
    keep(5, 130 * DAY)
    run("--block", "20")

    said = run("--every", "day")

    assert said.startswith("PastSample: 3 days with a snapshot, 1 had a run, 1 computed, 1 refused")
    assert "block 10 of 2025-06-21 00:00 UTC: liquidations at risk 99 %" in said
    assert "block 5 of 2025-02-21 00:00 UTC: refused (LooksAhead: " in said
    found = rows(f"SELECT block FROM fact_risk_run WHERE market = '{MARKET}' ORDER BY block")
    assert found == [(10,), (20,)]  # not block 11, the second one of its day
    assert "2 had a run, 0 computed, 1 refused" in run("--every", "day")
    assert "1 had a run" not in run("--every", "day", "--seed", "8")
    assert rows(f"SELECT count(*) FROM fact_risk_run WHERE market = '{MARKET}' AND seed = 8") == [(2,)]


def test_every_day_gives_what_one_block_gives(past):
    run("--every", "day")
    ids = rows(f"SELECT run_id FROM fact_risk_run WHERE market = '{MARKET}' AND block = 10")
    assert "stored before" in run("--block", "10")
    assert rows(f"SELECT run_id FROM fact_risk_run WHERE market = '{MARKET}' AND block = 10") == ids


def test_where_every_day_is_refused_the_reason_is_the_error(sample):
    keep(5, 130 * DAY)
    with pytest.raises(LooksAhead, match="at block 5"):
        run("--every", "day")


def test_one_block_and_every_day_exclude_each_other():
    with pytest.raises(WrongOption, match="--block cannot be given together with --every"):
        RiskScenariosOptions.of("risk-scenarios", {"block": 10, "every": "day"})
