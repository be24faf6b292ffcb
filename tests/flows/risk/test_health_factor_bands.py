"""`health-factor-bands` on a small warehouse: every pair there is, the engine's bands, computed once."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from data import load_market
from data.store.store import Store
from flows.risk import risk_scenarios
from flows.risk.health_factor_bands import CHANCES, pairs_of
from risk_core import health_bands
from tests import markets
from tests.flows.running import ran

PATHS = 2_000


def run(*words: str) -> str:
    return ran("health-factor-bands", "--paths", str(PATHS), "--steps", "24", *words)


def rows(sql: str, parameters: tuple = ()) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql, parameters)


def test_pairs_by_hand():
    """Two accounts of ETH against a dollar, one the other way round; debt without collateral is no pair."""
    book = markets.market(
        markets.reserves(3),
        [2_000, 1, 1],
        [{0: 1}, {0: 2, 1: 10}, {1: 5_000}, {}],
        [{1: 100}, {1: 50, 2: 10}, {0: 1}, {1: 7}],
    )
    found = pairs_of(book)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == [(1, 0, 1, 2_000.0), (0, 1, 2, 160.0)]


def test_what_is_stored_is_the_engines_band_of_every_pair(sample):
    said = run("--seed", "3")
    market = load_market()
    pairs = pairs_of(market)
    assert f"{len(pairs.debt)} pairs" in said
    assert rows("SELECT count(*), count(DISTINCT collateral || debt) FROM mart_health_factor_bands") == [
        (len(CHANCES) * len(pairs.debt), len(pairs.debt))
    ]
    with Store.open() as store:
        calibration = risk_scenarios.calibrated(store, market, "two-speed-t5")
    scenario = calibration.scenario("x", timedelta(days=7), 24, market.snapshot.block_time)
    bands = health_bands(market, scenario, pairs.collateral, pairs.debt, CHANCES, PATHS, 3)
    first = next(i for i, band in enumerate(bands) if band.at)
    place = (market.reserves.asset[bands[first].collateral], market.reserves.asset[bands[first].debt])
    stored = rows(
        "SELECT chance, health_factor, low, high, few_draws FROM mart_health_factor_bands WHERE collateral = ? AND "
        "debt = ? ORDER BY chance DESC",
        place,
    )
    expected = [(c, e.value, e.low, e.high, 0) for c, e in zip(CHANCES, bands[first].at, strict=True)]
    # 20 of 2,000 paths lie beyond 1 %, 10 beyond half a per cent: no interval.
    expected[-2:] = [(c, e.value, None, None, 1) for c, e in zip(CHANCES[-2:], bands[first].at[-2:], strict=True)]
    assert stored == expected
    [(owed,)] = rows("SELECT sum(debt_usd) FROM mart_health_factor_bands WHERE chance = 0.01")
    assert owed == pytest.approx(pairs.debt_usd.sum())
    assert np.isfinite(owed)
    assert rows("SELECT min(is_synthetic), count(DISTINCT calibration_id) FROM mart_health_factor_bands") == [(1, 1)]
    assert rows("SELECT count(*) FROM mart_health_factor_bands WHERE health_factor IS NULL AND reason IS NULL") == [
        (0,)
    ]


def test_the_same_bands_are_computed_once_and_another_question_takes_their_place(sample):
    run()
    batch = rows("SELECT max(batch), count(*) FROM mart_health_factor_bands")
    assert "stored already" in run()
    assert rows("SELECT max(batch), count(*) FROM mart_health_factor_bands") == batch
    run("--seed", "8")
    assert rows("SELECT DISTINCT seed FROM mart_health_factor_bands") == [(8,)]
    assert rows("SELECT count(*) FROM mart_health_factor_bands") == [(batch[0][1],)]
    run("--seed", "8", "--force")
    assert rows("SELECT count(*) FROM mart_health_factor_bands") == [(batch[0][1],)]


def test_the_day_has_a_stage_for_it(sample):
    from flows import daily

    [stage] = [stage for stage in daily.stages(128, 9) if stage.flow == "health-factor-bands"]
    assert not stage.skipped
    # A young warehouse has no prices before its first block: the bands are drawn, and marked as looking ahead.
    assert stage.parameters == {"market": load_market().snapshot.market, "allow_look_ahead": True}
