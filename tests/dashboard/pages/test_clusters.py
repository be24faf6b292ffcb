"""The Clusters page: what is stored is what is shown."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.clusters import charts, page
from flows import registry
from flows.clusters.liquidation_clusters import FLOW
from tests.dashboard.conftest import MemorySource, words


def test_the_page_in_words_and_charts(fitted: Path):
    said = words(page.build(Warehouse(fitted), ""))
    for part in (
        "8 or more within 1",
        "Spectral radius",
        "stationary",
        "one ETH",
        "two exponentials",
        "lowest AIC",
        "Poisson",
    ):
        assert part in said
    fit = page.stored(Warehouse(fitted))
    for theme in ("dark", "light"):
        assert charts.chance(fit, theme)["data"]
        assert len(charts.intensity(fit, theme, 30)["data"]) == 1 + len(fit.kinds)
        assert charts.residuals(fit, theme)["data"]


def test_the_question_that_was_asked_last_is_shown(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own = tmp_path / "own.sqlite"
    shutil.copy(fitted, own)
    monkeypatch.setenv("RISK_DB", str(own))
    FLOW.run(registry.parser(FLOW).parse_args(["--paths", "100", "--past-days", "2", "--at-least", "3"]))
    assert "3 or more within 1" in words(page.build(Warehouse(own), ""))


def test_json(fitted: Path):
    client = create_app(Warehouse(fitted)).server.test_client()
    told = client.get("/api/v1/clusters/chances").get_json()
    assert len(told["probability"]) == 6
    assert client.get("/api/v1/clusters/fit").get_json()["kinds"] == ["ETH", "BTC", "other"]


def test_without_a_fit_the_command_is_named(source: MemorySource):
    with pytest.raises(Unavailable, match="not fitted yet") as nothing:
        page.build(source, "")
    assert nothing.value.command == "python -m flows liquidation-clusters"
    assert create_app(source).server.test_client().get("/api/v1/clusters/fit").status_code == 503


def test_a_changed_row_changes_the_figure(fitted: Path, tmp_path: Path):
    own = tmp_path / "own.sqlite"
    shutil.copy(fitted, own)
    connection = sqlite3.connect(own)
    connection.execute(
        "UPDATE mart_cluster_probability SET probability = 0.5, low = 0.45, high = 0.55 WHERE ts = "
        "(SELECT max(ts) FROM mart_cluster_probability)"
    )
    connection.commit()
    connection.close()
    assert "has a chance of 50.0" in words(page.build(Warehouse(own), ""))


def test_the_models_side_by_side_follow_their_row(fitted: Path, tmp_path: Path):
    own = tmp_path / "own.sqlite"
    shutil.copy(fitted, own)
    one, two, flat = page.stored(Warehouse(own)).models
    assert one.aic == pytest.approx(2 * 13 - 2 * one.log_likelihood)
    assert (two.n_parameters, flat.n_parameters) == (23, 3)
    assert two.half_lives[0] < two.half_lives[1]

    def change(text: str) -> None:
        connection = sqlite3.connect(own)
        connection.execute(f"UPDATE fact_cluster_calibration SET parameters = {text}")
        connection.commit()
        connection.close()

    change("json_set(parameters, '$.two_speed.log_likelihood', -1.0)")
    said = words(page.models_table(page.stored(Warehouse(own))))
    assert "48.0" in said  # 2 x 23 + 2
    told = create_app(Warehouse(own)).server.test_client().get("/api/v1/clusters/fit").get_json()["models"]
    assert [round(model["aic"], 6) for model in told][1] == 48.0
    change("json_set(parameters, '$.two_speed.converged', json('false'))")
    assert "did not converge" in words(page.models_table(page.stored(Warehouse(own))))
    change("json_set(parameters, '$.two_speed.beta', 'x')")
    with pytest.raises(Unavailable, match="two_speed"):
        page.stored(Warehouse(own))
    change("json_remove(parameters, '$.two_speed')")
    assert "by the next run" in words(page.models_table(page.stored(Warehouse(own))))
