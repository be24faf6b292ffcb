"""`liquidation-queue`: the models are the engine's on the stored quotes; without quotes it says what to run."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from data import load_market
from data.liquidations import largest_day
from data.quotes import depth_curves, load_quotes
from data.store.reader import Reader
from data.store.store import Store
from flows.errors import ConfigurationError, WrongOption
from flows.risk.options import DEFAULT
from flows.risk.risk_scenarios import calibrated
from risk_core import Feeds, Impact, Liquidators, measures, simulate
from risk_core.analytics.slippage import impact_of, slippage_limit
from tests.flows.running import ran

FEW = ("--paths", "200", "--steps", "8")


def run(*words: str) -> str:
    return ran("liquidation-queue", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_each_model_is_the_engine_on_the_stored_quotes_and_is_stored_once(sample):
    said = run(*FEW, "--capital-usd", "50000", "--oracle-lag-minutes", "180")
    assert "ASSUMED, nobody quoted it" in said
    market = load_market()
    with Reader.open() as store:
        calibration = calibrated(store, market, DEFAULT)
    scenario = calibration.scenario("queue", timedelta(hours=24), 8, market.snapshot.block_time)
    quoted = impact_of(depth_curves(market, load_quotes(market)), half_life=timedelta(hours=2))
    thin = Impact(sold_usd=quoted.sold_usd / 2, price=quoted.price, half_life=quoted.half_life)
    base = Liquidators(cost=0.0005, feedback=0.0)
    models = {
        "unlimited": (None, None),
        "quoted depth": (quoted, base),
        "half depth": (thin, base),
        "record capital": (quoted, Liquidators(cost=0.0005, feedback=0.0, capital_usd=50_000.0)),
        "late oracle": (quoted, base),
    }
    late = Feeds.alike(market.n_reserves, lag=10_800.0)
    stored = {
        row[0]: [json.loads(text) for text in row[1:]]
        for row in rows("SELECT model, lar_repaid, waiting, shortfall, by_hour FROM mart_liquidation_queue")
    }
    assert set(stored) == set(models)
    for name, (impact, limits) in models.items():
        result = simulate(market, scenario, 200, 7, impact=impact, liquidators=limits,
                          feeds=late if name == "late oracle" else None)  # fmt: skip
        repaid, waiting, shortfall, by_hour = stored[name]
        assert repaid["value"] == pytest.approx(measures.lar(result, 0.99).value)
        assert waiting["value"] == pytest.approx(measures.quantile(result.waiting_usd, 0.99).value)
        assert shortfall["value"] == pytest.approx(measures.tail_mean(result.shortfall_usd, 0.99).value)
        assert by_hour["hours"] == pytest.approx(np.arange(1, 9) * 3.0)
        assert by_hour["waiting_usd"] == pytest.approx(result.waiting_steps.tolist())
    kept = rows("SELECT * FROM mart_liquidation_queue ORDER BY model")
    run(*FEW, "--capital-usd", "50000", "--oracle-lag-minutes", "180")
    assert rows("SELECT * FROM mart_liquidation_queue ORDER BY model") == kept


def test_the_record_day_knows_nothing_of_later_liquidations():
    """Three of 100, 200 and 400 USD at hours 0, 20 and 30: 300 in a day up to hour 20, 600 up to hour 30."""

    class Events:
        def __init__(self) -> None:
            self.connection = sqlite3.connect(":memory:")
            self.connection.execute(
                "CREATE TABLE stg_lending_events (market, event_type, part, block_timestamp, debt_amount_usd)"
            )
            known = ((0, 100.0), (20, 200.0), (30, 400.0), (31, None))
            self.connection.executemany(
                "INSERT INTO stg_lending_events VALUES ('M', 'liquidation', 0, ?, ?)",
                [(hour * 3_600, usd) for hour, usd in known],
            )

        def rows(self, sql: str, values: tuple) -> list[tuple]:
            return self.connection.execute(sql, values).fetchall()

    store = Events()
    assert largest_day(store, "M", 29 * 3_600) == pytest.approx(300)
    assert largest_day(store, "M", 40 * 3_600) == pytest.approx(600)
    assert largest_day(store, "M", -1) is None
    assert largest_day(store, "N", 40 * 3_600) is None


def test_of_several_pairs_the_deepest_is_taken(sample):
    market = load_market()
    curves = depth_curves(market, load_quotes(market))
    ladders = [ladder for ladder in load_quotes(market) if curves[ladder.sold] is not None]
    assert ladders
    for r in {ladder.sold for ladder in ladders}:
        limit = slippage_limit(
            bonus=float(market.reserves.liquidation_bonus[r]), protocol_fee=float(market.reserves.protocol_fee[r])
        )
        alone = [depth_curves(market, [ladder])[r] for ladder in ladders if ladder.sold == r]
        assert curves[r].size_within(limit) == max(one.size_within(limit) for one in alone if one is not None)


def test_without_quotes_it_names_the_command_and_stores_nothing(sample):
    change(sample, "DELETE FROM dim_quote_ladder")
    with pytest.raises(ConfigurationError, match="sale-quotes --file FILE"):
        run(*FEW)
    assert rows("SELECT count(*) FROM mart_liquidation_queue") == [(0,)]


def test_quotes_after_the_block_are_used_only_where_that_is_allowed_and_then_marked(sample):
    change(sample, "UPDATE dim_quote_ladder SET quoted_at = quoted_at + 864000")
    with pytest.raises(ConfigurationError, match=r"from the week before block 1 .*--allow-look-ahead"):
        run(*FEW)
    run(*FEW, "--allow-look-ahead")
    assert set(rows("SELECT looks_ahead FROM mart_liquidation_queue")) == {(1,)}


def test_quotes_older_than_a_week_tell_nothing_of_the_block(sample):
    change(sample, "UPDATE dim_quote_ladder SET quoted_at = quoted_at - 864000")
    with pytest.raises(ConfigurationError, match="no usable quotes"):
        run(*FEW)


def test_steps_that_do_not_divide_a_day_are_one_line(sample):
    with pytest.raises(WrongOption, match="--steps: expected steps that divide 24 h, found 3:45:00 a step"):
        run("--paths", "200", "--steps", "8", "--horizon-hours", "30")
    assert rows("SELECT count(*) FROM mart_liquidation_queue") == [(0,)]


def test_runs_with_other_feeds_stand_beside_each_other(sample):
    run(*FEW)
    run(*FEW, "--oracle-deviation", "0.01")
    assert rows("SELECT count(DISTINCT queue), count(*) FROM mart_liquidation_queue") == [(2, 9)]
