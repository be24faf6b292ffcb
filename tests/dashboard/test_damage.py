"""Damaged stored values: words on the page that needs them; every other page, every callback and /health answer."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import data
import risk_core as rc
from dashboard import app
from dashboard.__main__ import warm_up
from dashboard.market.checks import Damaged, check_run
from dashboard.market.loaded import ShownRun
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from tests.conftest import SampleOf
from tests.dashboard.conftest import MemorySource, words
from tests.flows.running import ran

BAD_TEXT = "CAST(x'ff41fe' AS TEXT)"
RUN_DAMAGE = {
    "a scenario that is no JSON": "UPDATE fact_risk_run SET scenario = '{'",
    "a scenario of another shape": "UPDATE fact_risk_run SET scenario = '[1, 2]'",
    "a scenario with a volatility below 0": ("UPDATE fact_risk_run SET scenario = replace(scenario, '0.9', '-0.9')"),
    "text that is no UTF-8 in the run": f"UPDATE fact_risk_run SET policy = {BAD_TEXT}",
    "text that is no UTF-8 in a figure": (
        f"UPDATE fact_risk_scenarios SET measure = {BAD_TEXT} WHERE measure = 'lar_repaid' AND level = 0.99"
    ),
    "a negative error": "UPDATE fact_risk_scenarios SET se = -1.0 WHERE measure = 'lar_repaid'",
    "an interval that is none": "UPDATE fact_risk_scenarios SET low = high + 1.0 WHERE measure = 'lar_repaid'",
    "a figure that is infinite": "UPDATE fact_risk_scenarios SET value = 9e999 WHERE measure = 'lar_repaid'",
    "a figure that is gone": "DELETE FROM fact_risk_scenarios WHERE measure = 'es_deficit'",
    "no paths": "UPDATE fact_risk_run SET n_paths = 0",
    "no horizon": "UPDATE fact_risk_run SET horizon_seconds = 0",
    "a curve that is no JSON": "UPDATE fact_risk_series SET value = 'x' WHERE series = 'fan'",
    "a curve without its values": "UPDATE fact_risk_series SET value = '{\"hours\": [0, 1]}' WHERE series = 'fan'",
    "a curve that is a number": "UPDATE fact_risk_series SET value = '3' WHERE series = 'fan'",
    "a curve of words": (
        'UPDATE fact_risk_series SET value = \'{"edges": ["a", "b"], "count": [1]}\' WHERE series = \'histogram\''
    ),
    "a histogram without a path": (
        "UPDATE fact_risk_series SET value = '{\"edges\": [0, 1], \"count\": [0]}' WHERE series = 'histogram'"
    ),
    "a share that is null": "UPDATE fact_risk_series SET value = '{\"WETH\": null}' WHERE series = 'seized_by_reserve'",
    "text that is no UTF-8 in a curve": f"UPDATE fact_risk_series SET value = {BAD_TEXT}",
}
SNAPSHOT_DAMAGE = {
    "text that is no UTF-8 in an account": f"UPDATE raw_aave_balances SET account = {BAD_TEXT} WHERE rowid_is_first",
    "a kind of price that is no UTF-8": f"UPDATE dim_asset SET kind = {BAD_TEXT}",
    "no series of a reserve": "DELETE FROM dim_asset",
    "a market that is no UTF-8": f"UPDATE fact_snapshot SET market = {BAD_TEXT}",
    "prices below 0": "UPDATE dim_prices SET price_usd = 0.0",
}


FIT_DAMAGE = {
    "kinds that are numbers": "UPDATE fact_cluster_calibration SET kinds = '[1, 2, 3]'",
    "kinds that are no list": "UPDATE fact_cluster_calibration SET kinds = '{}'",
    "fewer kinds than the process has": "UPDATE fact_cluster_calibration SET kinds = '[\"ETH\"]'",
    "parameters that are no JSON": "UPDATE fact_cluster_calibration SET parameters = '{'",
    "no interval of the branching": (
        "UPDATE fact_cluster_calibration SET parameters = json_remove(parameters, '$.branching_low')"
    ),
    "an interval of one number": (
        "UPDATE fact_cluster_calibration SET parameters = json_set(parameters, '$.branching_high', json('[[1]]'))"
    ),
    "an interval of words": (
        "UPDATE fact_cluster_calibration SET parameters = json_set(parameters, '$.branching_high', 'x')"
    ),
    "a base rate below 0": (
        "UPDATE fact_cluster_calibration SET parameters = json_set(parameters, '$.mu', json('[-1]'))"
    ),
    "a radius without end": "UPDATE fact_cluster_calibration SET spectral_radius = 9e999",
    "a distance that is infinite": "UPDATE fact_cluster_calibration SET ks_statistic = 9e999",
    "a time far ahead": "UPDATE fact_cluster_calibration SET fitted_at = 9000000000000000",
    "a chance above its interval": "UPDATE mart_cluster_probability SET probability = high + 0.01",
    "a chance above 1": "UPDATE mart_cluster_probability SET probability = 5, high = 5",
    "an interval upside down": "UPDATE mart_cluster_probability SET low = high, high = low",
    "a chance by Poisson below 0": "UPDATE mart_cluster_probability SET poisson = -1.0",
    "no paths of a chance": "UPDATE mart_cluster_probability SET n_paths = 0",
    "a cluster that came five times": "UPDATE mart_cluster_probability SET seen = 5",
    "liquidations that are gone": "DELETE FROM stg_lending_events WHERE event_type = 'liquidation'",
    "liquidations before 1970": "UPDATE stg_lending_events SET block_timestamp = -1 WHERE event_type = 'liquidation'",
    "an infinite amount": "UPDATE stg_lending_events SET amount_usd = 9e999 WHERE event_type = 'liquidation'",
}


@pytest.fixture(scope="module")
def fitted(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same warehouse with a fit of its liquidations."""
    path = tmp_path_factory.mktemp("clusters") / "risk.sqlite"
    shutil.copy(whole, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(path))
        ran("liquidation-clusters", "--paths", "200", "--past-days", "3")
    return path


@pytest.fixture(scope="module")
def whole(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with a sample of 300 accounts and one stored run."""
    path = sample_of(300, 7, tmp_path_factory.mktemp("damage") / "risk.sqlite")
    market = data.load_market(db=path)
    scenario = rc.Scenario(
        name="baseline-24h",
        horizon=timedelta(hours=24),
        n_steps=6,
        factors=("ALL",),
        volatility=[0.9],
        correlation=np.eye(1),
        factor=np.zeros(market.n_reserves, dtype=int),
    )
    with data.store.Store.open(path) as store:
        data.results.save_result(store, rc.simulate(market, scenario, n_paths=400), market)
    return path


def damaged(whole: Path, folder: Path, sql: str) -> Warehouse:
    path = folder / "risk.sqlite"
    shutil.copy(whole, path)
    with sqlite3.connect(path) as store:
        sql = sql.replace("WHERE rowid_is_first", "WHERE account = (SELECT min(account) FROM raw_aave_balances)")
        assert store.execute(sql).rowcount > 0, sql
    store.close()
    return Warehouse(path)


def every_answer(source: Warehouse) -> dict[str, str]:
    """Words of each page; /health and the summary answered, the callbacks of the charts and the warm-up ended."""
    warm_up(source)
    client = app.create_app(source).server.test_client()
    health = client.get("/health")
    assert (health.status_code, health.json["status"]) == (200, "ok")
    said = client.get("/api/v1/summary")
    assert said.status_code in (200, 503)
    json.loads(said.text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for output in ("overview-debt.figure", "overview-distribution.figure"):
        name, prop = output.split(".")
        question = {
            "output": output,
            "outputs": {"id": name, "property": prop},
            "inputs": [{"id": "theme", "property": "data", "value": "dark"}],
            "state": [
                {"id": "snapshot", "property": "data", "value": None},
                {"id": "url", "property": "search", "value": ""},
            ],
            "changedPropIds": ["theme.data"],
        }
        assert client.post("/_dash-update-component", json=question).status_code == 200
    pages = {page.title: words(app.open_page(source, page.path, "")[0]) for page in app.PAGES}
    assert "What this is" in pages["About"]
    assert app.show_status(source, "x")
    return pages


@pytest.mark.parametrize("kind", RUN_DAMAGE)
def test_a_damaged_run_is_words_beside_what_is_exact(whole: Path, tmp_path: Path, kind: str) -> None:
    pages = every_answer(damaged(whole, tmp_path, RUN_DAMAGE[kind]))
    assert "The risk run cannot be shown" in pages["Overview"] or "No run yet" in pages["Overview"]
    assert "python -m flows risk-scenarios" in pages["Overview"]
    assert "Debt by health factor" in pages["Overview"]
    assert "Drivers" in pages["What-if"]


@pytest.mark.parametrize("kind", SNAPSHOT_DAMAGE)
def test_a_damaged_snapshot_is_words_and_the_rest_lives(whole: Path, tmp_path: Path, kind: str) -> None:
    pages = every_answer(damaged(whole, tmp_path, SNAPSHOT_DAMAGE[kind]))
    for title in ("Overview", "What-if"):
        assert pages[title]


@pytest.mark.parametrize("kind", FIT_DAMAGE)
def test_a_damaged_fit_is_words_at_the_door_on_every_surface(fitted: Path, tmp_path: Path, kind: str) -> None:
    source = damaged(fitted, tmp_path, FIT_DAMAGE[kind])
    with pytest.raises(Unavailable, match="The clusters cannot be shown"):
        source.clusters()
    client = app.create_app(source).server.test_client()
    for figure in ("clusters/fit", "clusters/chances"):
        said = client.get(f"/api/v1/{figure}")
        assert (said.status_code, said.json["error"]) == (503, "The clusters cannot be shown")
    assert "The clusters cannot be shown" in words(app.open_page(source, "/clusters", "")[0])


@pytest.mark.parametrize("price", ["-1.0", "0.0", "9e999"])
def test_a_price_that_none_can_be_is_words_and_no_figure(whole: Path, tmp_path: Path, price: str) -> None:
    source = damaged(whole, tmp_path, f"UPDATE dim_prices SET price_usd = {price}")
    client = app.create_app(source).server.test_client()
    for figure in ("rolling-var", "il-curve", "market/volatility", "pegs/status"):
        said = client.get(f"/api/v1/{figure}")
        assert (said.status_code, said.json["error"]) == (503, "The prices cannot be shown")
        assert "expected positive prices" in said.json["detail"]
    assert "The prices cannot be shown" in words(app.open_page(source, "/pegs", "")[0])


@pytest.mark.parametrize(
    "error", [KeyError("x"), ZeroDivisionError("y"), UnicodeError("z"), RecursionError(), OSError()]
)
def test_whatever_a_page_raises_the_frame_stays(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(source, "loaded", fails)
    content, title, *_ = app.open_page(source, "/", "")
    assert title == "Overview"
    assert "This page cannot be shown" in words(content)
    assert type(error).__name__ in words(content)


def test_health_answers_when_the_status_itself_fails(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.create_app(source).server.test_client()
    monkeypatch.setattr(source, "status", lambda: 1 / 0)
    answer = client.get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")
    assert "ZeroDivisionError" in answer.json["warehouse"]


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "risk.sqlite"
    path.write_bytes(b"\xff" * 8_192)
    source = Warehouse(path)
    with pytest.raises(Unavailable):
        source.loaded()
    assert source.status().fault
    assert all(every_answer(source).values())


def test_a_whole_run_passes_the_check_and_a_broken_one_names_its_place(run: ShownRun) -> None:
    assert check_run(run) is run
    with pytest.raises(Damaged, match="fan: usd: expected the shape"):
        check_run(replace(run, fan={**run.fan, "levels": [0.5]}))
    with pytest.raises(Damaged, match=r"seized_by_reserve: .* found nan"):
        check_run(replace(run, seized_by_reserve={"WETH": float("nan")}))
