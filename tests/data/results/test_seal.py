"""A stored run is served as it was written, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import data
import risk_core as rc
from data import results
from data.errors import DamagedValue, ResultRefused
from data.results.figures import Figure
from data.results.forecasts import seal_of
from data.results.runs import SEALED, sealed
from data.results.seal import require_sound
from data.store.store import Store
from tests.data.conftest import ACCOUNTS, SEED, execute

ASKED = {"seed": 5, "n_paths": 200, "policy": "largest_legs", "code_version": rc.code_version()}


@pytest.fixture(scope="module")
def simulated() -> tuple[rc.Market, rc.Result]:
    market = data.sample.book(ACCOUNTS, SEED)
    factor = np.where(np.char.find(np.array(market.reserves.symbol), "ETH") >= 0, 0, -1)
    scenario = rc.Scenario(
        name="baseline",
        horizon=timedelta(hours=24),
        n_steps=4,
        factors=("ETH",),
        volatility=[1.5],
        correlation=[[1.0]],
        factor=factor,
    )
    return market, rc.simulate(market, scenario, n_paths=200, seed=5)


@pytest.fixture
def saved(store: Store, simulated: tuple[rc.Market, rc.Result]) -> results.RiskRun:
    return results.save_result(store, simulated[1], simulated[0])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE fact_risk_scenarios SET value = value / 4 WHERE measure = 'lar_repaid' AND level = 0.99",
        "UPDATE fact_risk_scenarios SET low = low - 1 WHERE measure = 'lar_repaid'",
        "UPDATE fact_risk_scenarios SET se = -se WHERE se > 0",
        "UPDATE fact_risk_scenarios SET n_positive = 0",
        "UPDATE fact_risk_scenarios SET no_interval = NULL WHERE no_interval IS NOT NULL",
        "UPDATE fact_risk_scenarios SET no_interval = 'why not' WHERE measure = 'es_deficit' AND level = 0.99",
        "UPDATE fact_risk_scenarios SET unit = 'ETH' WHERE measure = 'mean_repaid'",
        "UPDATE fact_risk_scenarios SET block = block + 1",
        "UPDATE fact_risk_scenarios SET level = 0.98 WHERE level = 0.99",
        "DELETE FROM fact_risk_scenarios WHERE measure = 'p_deficit'",
        "DELETE FROM fact_risk_scenarios",
        "INSERT INTO fact_risk_scenarios SELECT run_id, scenario_id, 'lar_moon', level, value, low, high, se, unit, "
        "n_paths, n_positive, few_draws, no_interval, market, block, block_time, snapshot_hash, params_hash, seed, "
        "horizon_seconds, policy, code_version, is_synthetic, created_at FROM fact_risk_scenarios LIMIT 1",
        "UPDATE fact_risk_series SET value = replace(value, '1', '2') WHERE series = 'fan'",
        "UPDATE fact_risk_series SET value = '{' WHERE series = 'histogram'",
        "DELETE FROM fact_risk_series WHERE series = 'accounts'",
        "UPDATE fact_forecast SET value = value * 2",
        "UPDATE fact_forecast SET sha256 = replace(sha256, substr(sha256, 1, 1), 'g') WHERE measure = 'lar_repaid'",
        "UPDATE fact_forecast SET level = 0.5 WHERE measure = 'lar_repaid' AND level = 0.99",
        "DELETE FROM fact_forecast WHERE measure = 'p_deficit'",
        "DELETE FROM fact_forecast",
        "UPDATE fact_risk_run SET n_paths = n_paths * 10",
        "UPDATE fact_risk_run SET scenario = replace(scenario, '1.5', '0.5')",
        "UPDATE fact_risk_run SET seal_sha256 = replace(seal_sha256, substr(seal_sha256, 1, 1), 'g')",
        "UPDATE fact_risk_run SET seal_sha256 = NULL",
    ],
)
def test_what_was_changed_is_refused_and_mended_by_computing_again(own_warehouse, store, saved, simulated, change):
    market, result = simulated
    execute(own_warehouse, change)

    with pytest.raises(ResultRefused, match=rf"risk run {saved.run_id[:12]}.*python -m flows risk-scenarios"):
        results.latest()
    assert results.find(market.snapshot, result.scenario, **ASKED) is None

    results.save_result(store, result, market)
    assert replace(results.latest(), created_at=saved.created_at) == saved


def test_text_that_is_no_utf_8_is_named(own_warehouse, saved):
    execute(own_warehouse, "UPDATE fact_risk_series SET value = CAST(x'ff' AS TEXT)")
    with pytest.raises(DamagedValue, match="not UTF-8"):
        results.latest()


@pytest.mark.parametrize(
    "change", [{"low": 2.0}, {"high": 0.5}, {"se": -1.0}, {"value": float("nan")}, {"high": float("inf")}]
)
def test_a_figure_that_none_can_be_is_not_stored(change):
    good = {"measure": "lar_repaid", "level": 0.99, "value": 1.0, "low": 0.5, "high": 1.5, "se": 0.1, "unit": "USD",
            "n_paths": 10, "n_positive": 5, "few_draws": True}  # fmt: skip
    require_sound("run", [Figure(**good)])
    with pytest.raises(ResultRefused, match="expected low <= value <= high"):
        require_sound("run", [Figure(**good | change)])


def test_a_figure_without_an_interval_says_why_and_shows_none(saved: results.RiskRun) -> None:
    """200 paths: two of them lie beyond 99 %."""
    figure = saved.figure("es_repaid", 0.99)
    assert (figure.low, figure.high, figure.se) == (None, None, None)
    assert figure.no_interval == "2 of 200 paths lie beyond the level, 100 are needed for an interval"
    assert saved.figure("lar_repaid", 0.99).no_interval is None
    with pytest.raises(ResultRefused, match=r"has the interval .* and says why there is none"):
        require_sound("run", [replace(figure, low=0.0, high=2 * figure.value)])


def test_a_reason_that_is_not_there_has_no_part_in_the_seal() -> None:
    """So that runs which an older version sealed, before there were reasons, are still whole."""
    assert SEALED[-1] == "no_interval"
    row = tuple(range(len(SEALED)))
    assert sealed((*row[:-1], None)) == row[:-1]
    assert sealed(row) == row


def test_a_changed_forecast_is_kept_in_quarantine_when_the_run_is_computed_again(
    own_warehouse, store, saved, simulated
):
    execute(own_warehouse, "UPDATE fact_forecast SET value = value * 2 WHERE measure = 'lar_repaid' AND level = 0.99")
    results.save_result(store, simulated[1], simulated[0])
    kept = store.rows("SELECT table_name, row, reason FROM quarantine WHERE source = 'risk_core'")
    assert [(table, reason) for table, _, reason in kept] == [("fact_forecast", "does not match its seal")]
    assert str(saved.figure("lar_repaid", 0.99).value * 2) in kept[0][1]


def test_a_run_of_a_version_without_seals_is_computed_again_and_its_forecasts_stay(
    own_warehouse, store, saved, simulated
):
    """As an upgrade meets it: no seal, and a forecast that today's code would make with another lower end."""
    market, result = simulated
    old = store.read("SELECT * FROM fact_forecast WHERE measure = 'p_deficit'").iloc[0].to_dict() | {"low": 2.7e-20}
    seal = seal_of({name: value.item() if hasattr(value, "item") else value for name, value in old.items()})
    execute(own_warehouse, "UPDATE fact_risk_run SET seal_sha256 = NULL")
    execute(own_warehouse, f"UPDATE fact_forecast SET low = 2.7e-20, sha256 = '{seal}' WHERE measure = 'p_deficit'")

    with pytest.raises(ResultRefused, match="older version, without a seal"):
        results.latest()
    results.save_result(store, result, market)
    assert replace(results.latest(), created_at=saved.created_at) == saved
    assert store.rows("SELECT low FROM fact_forecast WHERE measure = 'p_deficit'") == [(2.7e-20,)]
