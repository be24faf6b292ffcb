"""The Clusters page: what is stored is what is shown."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.market.warehouse import Unavailable, Warehouse
from dashboard.pages.clusters import charts, page
from flows import registry
from flows.clusters.liquidation_clusters import FLOW
from tests.dashboard.conftest import MemorySource, words


def test_the_page_in_words_and_charts(fitted: Path):
    said = words(page.build(Warehouse(fitted), ""))
    for part in ("8 or more within 1", "Spectral radius", "stationary", "one ETH", "better"):
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
