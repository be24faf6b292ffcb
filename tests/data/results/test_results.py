"""A risk run is stored once, with its errors, found by what made it, and answers one SELECT."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

import data
import risk_core as rc
from data import results
from data.errors import NoResult
from data.results.forecasts import seal_of
from data.results.scenario import scenario_from_record, scenario_hash, scenario_record
from data.store.store import Store
from tests.data.conftest import ACCOUNTS, SEED, checksums

N_PATHS = 300


def scenario(market: rc.Market, **changes: object) -> rc.Scenario:
    """Ether and everything with it; the rest fixed."""
    factor = np.where(np.char.find(np.array(market.reserves.symbol), "ETH") >= 0, 0, -1)
    settings = {
        "name": "baseline-24h",
        "horizon": timedelta(hours=24),
        "n_steps": 4,
        "factors": ("ETH",),
        "volatility": [1.5],
        "correlation": [[1.0]],
        "factor": factor,
    }
    return rc.Scenario(**(settings | changes))


@pytest.fixture(scope="session")
def simulated() -> tuple[rc.Market, rc.Result]:
    market = data.sample.book(ACCOUNTS, SEED)
    return market, rc.simulate(market, scenario(market), n_paths=N_PATHS, seed=5)


@pytest.fixture
def saved(store, simulated) -> results.RiskRun:
    market, result = simulated
    return results.save_result(store, result, market, calibration={"interval": "1h"}, run_id="flow")


def test_figures_are_those_of_the_engine(saved, simulated):
    _, result = simulated
    lar = rc.measures.lar(result, 0.99)

    stored = saved.figure("lar_repaid", 0.99)

    assert lar.value > 0
    assert (stored.value, stored.low, stored.high, stored.se) == (lar.value, lar.low, lar.high, lar.se)
    assert (stored.unit, stored.n_paths, stored.n_positive) == ("USD", N_PATHS, lar.n_positive)
    assert stored.few_draws == lar.few_draws
    assert saved.figure("es_deficit", 0.95).value == rc.measures.expected_shortfall(result, 0.95).value
    assert saved.figure("p_deficit").unit == "fraction"
    with pytest.raises(KeyError, match=r"holds no lar_repaid at level 0\.5; it holds"):
        saved.figure("lar_repaid", 0.5)


def test_one_select_answers(store, saved):
    rows = store.rows(
        "SELECT value, unit, snapshot_hash, params_hash, seed, n_paths, code_version, is_synthetic "
        "FROM fact_risk_scenarios WHERE measure = 'lar_repaid' AND level = 0.99 ORDER BY created_at DESC LIMIT 1"
    )

    figure = saved.figure("lar_repaid", 0.99)
    assert rows == [(figure.value, "USD", saved.snapshot_hash, saved.scenario_hash, 5, N_PATHS, rc.code_version(), 1)]


def test_storing_a_run_again_changes_nothing(store, saved, simulated, own_warehouse):
    market, result = simulated
    before = checksums(own_warehouse)

    again = results.save_result(store, result, market, calibration={"interval": "1h"}, run_id="another")

    assert again == saved
    assert checksums(own_warehouse) == before
    assert store.rows("SELECT flow_run_id FROM fact_risk_run") == [("flow",)]


def test_a_run_is_found_by_exactly_what_made_it(saved, simulated):
    market, result = simulated
    asked = {"seed": 5, "n_paths": N_PATHS, "policy": result.policy, "code_version": rc.code_version()}

    assert results.find(market.snapshot, scenario(market), **asked) == saved
    for change in ({"seed": 6}, {"n_paths": 301}, {"policy": "other"}, {"code_version": "0"}):
        assert results.find(market.snapshot, scenario(market), **asked | change) is None
    assert results.find(market.snapshot, scenario(market, volatility=[1.51]), **asked) is None
    assert results.find(data.sample.book(ACCOUNTS, SEED + 1).snapshot, scenario(market), **asked) is None


def test_the_newest_run_is_the_one_of_the_newest_block(store, saved):
    assert results.latest() == saved
    assert results.latest(snapshot_hash=saved.snapshot_hash, scenario_id="baseline-24h") == saved
    with pytest.raises(NoResult, match=r"no risk run of AaveV3Base; run `python -m flows risk-scenarios`"):
        results.latest(market="AaveV3Base")


def test_curves_agree_with_the_result(saved, simulated):
    market, result = simulated
    fan, histogram, accounts = (saved.series[name] for name in ("fan", "histogram", "accounts"))

    assert fan["hours"] == [0.0, 6.0, 12.0, 18.0, 24.0]
    assert np.shape(fan["usd"]) == (5, len(fan["levels"]))
    assert fan["usd"][-1][fan["levels"].index(0.99)] == pytest.approx(saved.figure("lar_repaid", 0.99).value)
    assert sum(histogram["count"]) == N_PATHS
    assert sum(saved.series["seized_by_reserve"].values()) == pytest.approx(saved.figure("mean_seized").value, rel=1e-6)
    row = market.index(accounts["address"][0])
    assert accounts["probability"][0] == result.account_hits[row] / N_PATHS
    assert accounts["probability"] == sorted(accounts["probability"], reverse=True)
    assert saved.series["calibration"] == {"interval": "1h"}


def test_convergence_is_stored_and_ends_at_the_figure(saved):
    sizes = saved.series["convergence"]
    lar = saved.figure("lar_repaid", 0.99)
    assert sizes[0]["n_paths"] == 100
    assert sizes[-1] == {"n_paths": N_PATHS, "value": lar.value, "low": lar.low, "high": lar.high}


def test_the_rare_level_is_a_figure_and_no_forecast(store, saved):
    """0.999 of 300 paths rests on one: marked, and never held against an outcome."""
    assert saved.figure("lar_repaid", 0.999).few_draws
    levels = store.rows("SELECT DISTINCT level FROM fact_forecast WHERE run_id = ?", (saved.run_id,))
    assert {level for (level,) in levels} == {0.0, 0.9, 0.95, 0.99}


def test_severity_times_chance_is_the_mean(saved):
    severe, chance = saved.figure("severity_repaid"), saved.figure("p_repaid")
    assert severe.value * chance.value == pytest.approx(saved.figure("mean_repaid").value)


def test_a_scenario_survives_the_record(saved, simulated):
    market, _ = simulated
    stored = saved.scenario()

    assert scenario_hash(stored) == saved.scenario_hash == scenario_hash(scenario(market))
    assert stored.horizon == timedelta(hours=24)
    assert scenario_record(scenario_from_record(scenario_record(stored))) == scenario_record(stored)


def test_a_forecast_is_sealed_before_the_fact_and_cannot_be_rewritten(store, saved):
    columns = (
        "run_id", "market", "measure", "level", "horizon_seconds", "made_at", "valid_until", "value", "low", "high",
        "is_synthetic", "sha256",
    )  # fmt: skip
    rows = store.rows(f"SELECT {', '.join(columns)} FROM fact_forecast")
    forecasts = [dict(zip(columns, row, strict=True)) for row in rows]

    assert {(f["measure"], f["level"]) for f in forecasts} >= {("lar_repaid", 0.99), ("var_deficit", 0.99)}
    for forecast in forecasts:
        assert forecast["valid_until"] == forecast["made_at"] + 86_400 == saved.block_time + 86_400
        assert seal_of(forecast) == forecast["sha256"]
        assert seal_of(forecast | {"value": forecast["value"] + 1}) != forecast["sha256"]

    frame = store.read("SELECT * FROM fact_forecast")
    report = store.write_batch("s", "k", {"fact_forecast": frame.assign(value=0.0)}, scope={"run_id": saved.run_id})
    assert report.changed == {"fact_forecast": 0}


def test_a_result_of_another_market_is_refused(store, simulated):
    _, result = simulated

    with pytest.raises(ValueError, match="the market given is"):
        results.save_result(store, result, data.sample.book(ACCOUNTS, SEED + 1))


def test_nothing_stored_says_what_to_run():
    with Store.open(), pytest.raises(NoResult, match="holds no risk run of anything"):
        results.latest()
