"""`risk-scenarios` on a small warehouse: figures with a passport, computed once, refused when nothing stands behind."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import risk_core
from data import load_market, results
from data.errors import NoPrices, NoSnapshot, UnmappedReserve, WarehouseMissing
from data.sample import prices
from data.snapshot.identity import snapshot_hash
from data.store.store import Store
from flows.risk.calibration_inputs import InsufficientHistory
from flows.risk.report import amount
from risk_core.laws.from_returns import NAMES
from tests.flows.running import ran


def run(*words: str) -> str:
    return ran("risk-scenarios", "--paths", "256", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def test_figures_arrive_with_their_passport_and_a_forecast(sample):
    text = run("--seed", "11")

    figure = results.latest().figure("lar_repaid", 0.99)
    assert figure.value > 0
    assert figure.low <= figure.value <= figure.high
    assert amount(figure.value, "USD") in text
    passport = rows("SELECT DISTINCT seed, n_paths, scenario_id, snapshot_hash, code_version FROM fact_risk_scenarios")
    assert passport == [(11, 256, "baseline-24h", load_market().snapshot.hash, risk_core.code_version())]
    assert rows("SELECT count(*) > 0, min(valid_until - made_at) FROM fact_forecast") == [(1, 86_400)]
    assert rows("SELECT flow, state FROM fact_run WHERE flow = 'risk-scenarios'") == [("risk-scenarios", "completed")]


def test_the_table_names_sample_block_seed_unit_and_error(sample):
    text = run()
    passport = ("SAMPLE: synthetic", "block 1 of 2025-07-01", "300 accounts", "256 paths of 24 h", "seed 7")
    for part in (*passport, "USD  ±", "95 % interval"):
        assert part in text, part
    assert "no interval: no path has a loss" in text  # of the deficit, on a calm day of 300 accounts


def test_the_figures_are_those_of_the_engine_on_the_stored_scenario(sample):
    run()
    stored = results.latest()
    again = risk_core.simulate(load_market(), stored.scenario(), n_paths=256, seed=7)
    assert stored.figure("lar_repaid", 0.99).value == risk_core.measures.lar(again, 0.99).value


def test_a_second_run_computes_nothing_and_shows_the_same_figures(sample, monkeypatch):
    first = run()
    monkeypatch.setattr(risk_core, "simulate", lambda *_, **__: pytest.fail("computed again"))
    second = run()

    assert (
        second.replace(
            "These figures were stored before; --force computes them again.", "Stored in fact_risk_scenarios."
        )
        == first
    )
    assert rows("SELECT count(*) FROM fact_run WHERE flow = 'risk-scenarios'") == [(1,)]


@pytest.mark.parametrize(
    "change", [["--seed", "8"], ["--policy", "most_profitable"], ["--horizon-hours", "6"], ["--steps", "12"]]
)
def test_another_question_is_computed_and_kept_beside_the_first(sample, change):
    run()
    run(*change)
    assert rows("SELECT count(*) FROM fact_risk_run WHERE policy <> 'synthetic'") == [(2,)]


def test_the_law_is_an_option_that_the_calibration_the_report_and_the_run_name(sample):
    for name, words in (("t4", "Student-t moves with 4 degrees"), ("two-speed-jumps", "normal moves and common jumps")):
        said = run("--law", name)
        assert f"law {name}: {words}" in said
        assert rows(f"SELECT count(*) FROM fact_calibration WHERE method LIKE '%\"{name}\"%'") == [(1,)]
    kept = {
        json.loads(value)["law"] for (value,) in rows("SELECT value FROM fact_risk_series WHERE series = 'calibration'")
    }
    assert {"t4", "two-speed-jumps"} <= kept
    with pytest.raises(SystemExit):
        run("--law", "gauss")


def test_unless_another_is_asked_for_the_law_is_the_one_that_held_in_the_backtest(sample):
    assert "law two-speed-t5: Student-t moves with 5 degrees, volatility of two speeds" in run()
    assert results.latest().law[0] == "two-speed-t5"
    assert results.latest().scenario().law == risk_core.StudentT(5.0)


def test_beside_the_figure_stands_the_same_under_stress(sample):
    said = run()
    stored = results.latest()
    worse, words = stored.stressed(0.99)
    assert "highest one-day volatility of the last year" in words
    assert amount(worse.value, "USD") in said
    assert "not a forecast, and no probability" in said
    volatility = stored.series["stressed"]["volatility"]
    assert all(volatility[f] >= v for f, v in zip(stored.scenario().factors, stored.scenario().volatility, strict=True))
    again = replace(stored.scenario(), volatility=[volatility[f] for f in stored.scenario().factors])
    result = risk_core.simulate(load_market(), again, n_paths=256, seed=7)
    assert worse.value == risk_core.measures.lar(result, 0.99).value > stored.figure("lar_repaid", 0.99).value


def test_the_envelope_has_every_law_on_the_same_paths_and_the_runs_own_figure(sample):
    run()
    stored = results.latest()
    models = {one["name"]: one for one in stored.series["envelope"]}
    assert set(NAMES) < set(models)
    assert [name for name, one in models.items() if one["in_use"]] == ["two-speed-t5"]
    assert models["two-speed-t5"]["figure"]["value"] == stored.figure("lar_repaid", 0.99).value
    run("--law", "normal")
    normal = results.latest().figure("lar_repaid", 0.99)
    assert models["normal"]["figure"]["value"] == normal.value  # as if the run had been made with that law
    assert {one["group"] for one in models.values()} == {"Price law", "Simulation", "Depth", "Oracle", "Behaviour"}
    respond = risk_core.simulate(load_market(), stored.scenario(), n_paths=256, seed=7, borrowers=risk_core.Borrowers())
    figure = models["borrowers respond"]["figure"]["value"]
    assert figure == risk_core.measures.lar(respond, 0.99).value < stored.figure("lar_repaid", 0.99).value
    assert models["half of it"]["figure"]["value"] <= models["assumed depth"]["figure"]["value"]
    assert "assumed depth" in models["half of it"]["words"]
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM dim_quote_ladder")
    run("--seed", "9")
    sql = "SELECT s.value FROM fact_risk_series AS s JOIN fact_risk_run AS r ON r.run_id = s.run_id "
    ((bare,),) = rows(sql + "WHERE s.series = 'envelope' AND r.seed = 9")
    # No depth without quotes.
    assert {one["group"] for one in json.loads(bare)} == {"Price law", "Simulation", "Oracle", "Behaviour"}


def test_another_sampling_is_the_engines_own_and_a_run_of_its_own(sample):
    run("--law", "normal")
    run("--law", "normal", "--sampling", "quasi")
    stored = {
        json.loads(text).get("sampling", "plain"): key
        for key, text in rows("SELECT run_id, scenario FROM fact_risk_run")
    }
    assert set(stored) == {"plain", "quasi"}
    quasi = replace(results.latest().scenario(), sampling="quasi")
    again = risk_core.simulate(load_market(), quasi, n_paths=256, seed=7)
    assert again.cluster is not None
    sql = f"FROM fact_risk_scenarios WHERE run_id = '{stored['quasi']}' AND measure = 'lar_repaid' AND level = 0.99"
    assert rows(f"SELECT value {sql}") == [(risk_core.measures.lar(again, 0.99).value,)]
    ((text,),) = rows(f"SELECT value FROM fact_risk_series WHERE run_id = '{stored['quasi']}' AND series = 'envelope'")
    models = {one["name"]: one["figure"]["value"] for one in json.loads(text)}
    finer = risk_core.simulate(load_market(), replace(quasi, n_steps=96), n_paths=256, seed=7)
    assert models["4 times the steps"] == risk_core.measures.lar(finer, 0.99).value
    with pytest.raises(SystemExit):
        run("--sampling", "random")


def test_a_law_made_of_past_returns_is_stored_whole_and_steps_that_do_not_fit_it_are_said(sample):
    assert "law filtered-history: drawn from 120 days of hours" in run("--law", "filtered-history")
    stored = results.latest()
    models = {one["name"]: one for one in stored.series["envelope"]}
    assert models["filtered-history"]["in_use"]
    assert "4 times the steps" not in models  # its rows are of hours
    again = risk_core.simulate(load_market(), stored.scenario(), n_paths=256, seed=7)
    assert stored.figure("lar_repaid", 0.99).value == risk_core.measures.lar(again, 0.99).value
    ((kept,),) = rows("SELECT fitted FROM fact_calibration WHERE fitted IS NOT NULL")
    assert set(json.loads(kept)["fits"]) >= {"ETHUSDT", "BTCUSDT"}
    with pytest.raises(risk_core.InputError, match="every 1 h and a step is 2 h"):
        run("--law", "garch", "--steps", "12")
    run("--steps", "12")
    words = {one["name"]: one["words"] for one in results.latest().series["envelope"]}
    assert words["garch"].endswith(", in 24 steps of an hour")
    assert words["bootstrap"].endswith("in blocks of a day on average")


def test_a_law_that_the_prices_do_not_make_is_named_and_the_run_goes_on(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM dim_prices WHERE ts < (SELECT max(ts) FROM dim_prices) - 20 * 86400")
    said = run()
    assert "note: bootstrap is not beside the figure: law bootstrap: 20.0 days of hourly returns are stored" in said
    assert "bootstrap" not in {one["name"] for one in results.latest().series["envelope"]}
    assert results.latest().series["left_out"][0].startswith("bootstrap is not beside")
    assert said.replace("Stored in fact_risk_scenarios.", "") == run().replace(
        "These figures were stored before; --force computes them again.", ""
    )


def test_a_run_of_a_version_that_stored_no_shares_is_computed_again(sample, monkeypatch):
    run()
    stored = results.latest()
    older = replace(stored, series={name: curve for name, curve in stored.series.items() if name != "shares"})
    monkeypatch.setattr(results, "find", lambda *_, **__: older)
    assert "Stored in fact_risk_scenarios." in run()
    assert results.latest() == stored


def test_force_computes_again_and_changes_nothing(sample):
    run()
    before = rows("SELECT * FROM fact_risk_scenarios ORDER BY measure, level")
    assert "Stored in fact_risk_scenarios." in run("--force")
    assert rows("SELECT * FROM fact_risk_scenarios ORDER BY measure, level") == before


def test_the_calibration_is_a_version_that_the_run_names(sample):
    run()
    run("--seed", "8")
    found = rows("SELECT calibration_id, n_returns, looks_ahead, factors FROM fact_calibration")
    assert len(found) == 1
    assert found[0][1:3] == (2160, 0)
    assert json.loads(found[0][3])["ETH"] == "ETHUSDT"
    assert results.latest().series["calibration"]["calibration_id"] == found[0][0]


def test_without_a_warehouse_or_snapshot_it_says_what_to_run(own_warehouse):
    with pytest.raises(WarehouseMissing, match=r"python -m data\.sample"):
        run()
    Store.open().close()
    with pytest.raises(NoSnapshot, match="aave-market"):
        run()


def test_without_prices_it_says_what_to_run_and_leaves_nothing(live):
    with pytest.raises(NoPrices, match="market-prices"):
        run()
    assert rows("SELECT count(*) FROM fact_risk_run WHERE policy <> 'synthetic'") == [(0,)]


def test_a_live_warehouse_with_the_exchanges_prices_alone_is_computed_and_says_what_its_pegs_rest_on(live):
    """As an older version left it: no quote of USDT, none of DAI."""
    pairs = prices.frame(7)
    pairs = pairs[~pairs["symbol"].str.contains("/")]
    with Store.open() as store:
        at = store.rows("SELECT max(block_time) FROM fact_snapshot")[0][0]
        observed = pairs.assign(
            source="binance",
            is_synthetic=0,
            usd_proxy="USDT",
            price_usdt=pairs["price_usd"],
            ts=pairs["ts"] - pairs["ts"].max() + at // 3600 * 3600,
        )
        store.write_batch("binance", "k", {"dim_prices": observed})

    said = run("--paths", "64")

    assert "USDT/USD by binance's USDCUSDT, split by which of USDC and USDT had moved" in said
    assert "too few prices of DAI/USD are stored: its reserves follow USDC (USDCUSDT)" in said
    ((factors,),) = rows("SELECT factors FROM fact_calibration")
    assert json.loads(factors)["USDT"] == "USDT/USD"
    assert "USD" not in json.loads(factors)


def test_an_unmapped_reserve_is_refused_by_name(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute(
            "UPDATE raw_aave_reserves SET symbol = 'NEWTOKEN', price_description = '' WHERE symbol = 'LINK'"
        )
    changed = snapshot_hash(load_market(verify=False))
    with Store.open() as store, store.transaction() as connection:
        connection.execute("UPDATE fact_snapshot SET snapshot_hash = ?", (changed,))
    with pytest.raises(UnmappedReserve, match=r"no price series for NEWTOKEN"):
        run()


def test_a_short_price_history_is_refused(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM dim_prices WHERE ts < (SELECT max(ts) FROM dim_prices) - 5 * 86400")
    with pytest.raises(InsufficientHistory, match=r"5\.0 days"):
        run()


def test_an_interrupted_run_leaves_no_figures_and_the_next_completes(sample, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(risk_core, "simulate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert rows("SELECT count(*) FROM fact_risk_scenarios") == [(0,)]
    assert rows("SELECT state FROM fact_run WHERE flow = 'risk-scenarios'") == [("failed",)]

    run()
    assert rows("SELECT count(*) FROM fact_risk_run WHERE policy <> 'synthetic'") == [(1,)]


@pytest.mark.parametrize(
    "words", ["--paths 0", "--horizon-hours -1", "--steps x", "--policy greedy", "--force --skip-if-stored"]
)
def test_a_senseless_parameter_is_a_usage_error(words):
    with pytest.raises(SystemExit) as exit_:
        run(*words.split())
    assert exit_.value.code == 2


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "USD", "0.00 USD"),
        (999.994, "USD", "999.99 USD"),
        (1_234.0, "USD", "1.23 k USD"),
        (2.5e9, "USD", "2.50 B USD"),
        (0.5, "fraction", "50.00 %"),
        (12.34, "count", "12.3"),
    ],
)
def test_amounts_read_well(value, unit, text):
    assert amount(value, unit) == text
