"""`peg-health`: states from every source, stored once; a daily feed has no score of a day."""

from __future__ import annotations

import numpy as np
import pytest

from data.errors import NoPrices
from data.prices.pegs import SourceOfPeg
from data.store.store import Store
from flows.errors import WrongOption
from flows.pegs.options import PegHealthOptions
from flows.pegs.peg_health import state_of
from tests.flows.running import ran


def run(*words: str) -> str:
    return ran("peg-health", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def test_the_sample_is_healthy_now_and_was_not_in_april(sample):
    said = run("--days", "120")
    assert "USDC healthy" in said
    assert "by synthetic" in said
    assert rows("SELECT token, count(*) FROM mart_peg_health WHERE status = 'critical' GROUP BY token") == [
        ("DAI", 7)
    ]  # 3.5 % halves in 9 h: 8 hours are 2 % away or more, and the first of them only warns
    assert rows("SELECT min(deviation_bps) < -300, max(z_24h) IS NOT NULL FROM mart_peg_health") == [(1, 1)]
    assert rows("SELECT DISTINCT n_sources, is_synthetic FROM mart_peg_health") == [(1, 1)]
    before = rows("SELECT * FROM mart_peg_health ORDER BY token, ts")
    run("--days", "120")
    assert rows("SELECT * FROM mart_peg_health ORDER BY token, ts") == before


def source(name: str, updates: list[tuple[int, float]], holds: int = 3600) -> SourceOfPeg:
    return SourceOfPeg(name, "USDC/USD", updates, holds)


def test_a_feed_that_updates_once_a_day_has_no_score_of_a_day():
    daily = source("chainlink", [(day * 86_400, 1 + 1e-4 * (day % 3)) for day in range(20)], 2 * 86_400)
    state = state_of("USDC", [daily], PegHealthOptions(), False)
    assert state.rows["z_24h"].isna().all()
    assert "no 24 h z-score, 1 updates" in state.said


def test_a_second_source_of_that_time_confirms_and_an_old_one_does_not():
    leading = source("binance", [(h * 3600, 1.0) for h in range(10)] + [(36_000, 0.97)])
    fresh, old = source("chainlink", [(35_000, 0.975)], 7200), source("chainlink", [(10_000, 0.975)], 7200)
    assert state_of("USDC", [leading, fresh], PegHealthOptions(), False).rows["status"].iloc[-1] == "critical"
    assert state_of("USDC", [leading, old], PegHealthOptions(), False).rows["status"].iloc[-1] == "warning"


def test_without_prices_the_flows_that_bring_them_are_named(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM dim_prices")
    with pytest.raises(NoPrices, match=r"market-prices.*oracle-prices"):
        run()


@pytest.mark.parametrize("words", [("--days", "0"), ("--warning-bps", "nan"), ("--least-updates", "1")])
def test_options_out_of_range_are_refused(words):
    with pytest.raises((WrongOption, SystemExit)):
        run(*words)


def test_distances_are_of_one_dollar():
    state = state_of("USDC", [source("binance", [(0, 0.9987), (3600, 1.0021)])], PegHealthOptions(), False)
    np.testing.assert_allclose(state.rows["deviation_bps"], [-13, 21], atol=1e-6)
