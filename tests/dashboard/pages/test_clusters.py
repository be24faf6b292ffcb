"""The Clusters page: what is stored is what is shown."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.clusters import charts, compared, page
from tests.dashboard.conftest import MemorySource, words
from tests.flows.running import ran


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
    ran("liquidation-clusters", "--paths", "100", "--past-days", "2", "--at-least", "3")
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
    one, two, hours, renewal, flat = page.stored(Warehouse(own)).models
    assert one.aic == pytest.approx(2 * 13 - 2 * one.log_likelihood)
    assert (two.n_parameters, flat.n_parameters) == (23, 3)
    assert two.half_lives[0] < two.half_lives[1]
    assert (hours.n_parameters, renewal.n_parameters, renewal.half_lives) == (36, 6, ())

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
    change("json_set(parameters, '$.two_speed.beta', json_extract(parameters, '$.beta'))")
    change("json_set(parameters, '$.renewal.log_likelihood', -2.0)")
    said = words(page.models_table(page.stored(Warehouse(own))))
    assert "Weibull renewal" in said
    assert "16.0" in said  # 2 x 6 + 4
    change("json_set(parameters, '$.renewal.shape', json('[1, -1, 1]'))")
    with pytest.raises(Unavailable, match="renewal"):
        page.stored(Warehouse(own))
    change("json_remove(parameters, '$.two_speed', '$.renewal')")
    assert "next run" in words(page.models_table(page.stored(Warehouse(own))))


def changed(fitted: Path, tmp_path: Path, *statements: str) -> Warehouse:
    own = tmp_path / f"own{len(list(tmp_path.iterdir()))}.sqlite"
    shutil.copy(fitted, own)
    connection = sqlite3.connect(own)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return Warehouse(own)


def test_prices_alone_stand_beside_what_was_seen(fitted: Path, tmp_path: Path):
    said = words(compared.compared_card(page.stored(Warehouse(fitted))))
    assert "What prices alone bring is not known: no risk run" in said
    figures = ", ".join(f"dispersion_window{end} = {{}}" for end in ("", "_low", "_high"))
    known = (
        "UPDATE mart_cluster_comparison SET missing = '', n_windows = 100, mean = 7, "
        + figures
        + " WHERE of = 'prices'"
    )
    seen = "UPDATE mart_cluster_comparison SET dispersion_window = 5, dispersion_window_low = 4, " \
           "dispersion_window_high = 6, mean = 9.5 WHERE of = 'seen'"  # fmt: skip
    for ends, part in (((3.5, 3.2, 3.9), "less than was seen"), ((5, 4, 7), "no clear difference"),
                       ((9, 8, 11), "more than was seen")):  # fmt: skip
        source = changed(fitted, tmp_path, seen, known.format(*ends))
        said = words(compared.compared_card(page.stored(source)))
        assert part in said
        assert "scatter 5.0 times" in said
        assert "7.0 of them instead of 9.5" in said
        told = create_app(source).server.test_client().get("/api/v1/clusters/compared").get_json()["rows"]
        assert [row["of"] for row in told] == ["seen", "prices", "process", "independent"]
        assert told[1]["dispersion_window"] == {"value": ends[0], "low": ends[1], "high": ends[2]}
    # 1 - 1 / sqrt(4) followers.
    source = changed(fitted, tmp_path, seen, known.format(4, 4, 4))
    assert "0.50" in words(compared.compared_table(page.stored(source)))
    for theme in ("dark", "light"):
        lines = [line for line in charts.compared(page.stored(source), theme)["data"] if "name" in line]
        assert [line["name"] for line in lines] == ["seen", "fitted process", "independent"]


def test_rates_by_hour_follow_their_row(fitted: Path, tmp_path: Path):
    found = page.stored(Warehouse(fitted))
    drawn = charts.hours(found, "dark")["data"][0]
    told = create_app(Warehouse(fitted)).server.test_client().get("/api/v1/clusters/hours").get_json()
    assert drawn["y"] == pytest.approx(told["rate"])
    assert len(told["rate"]) == 24
    assert told["constant"] == pytest.approx(found.model.mu.sum())
    set_rate = "UPDATE fact_cluster_calibration SET parameters = json_set(parameters, '$.by_hour.rates[3]', {})"
    source = changed(fitted, tmp_path, set_rate.format("9.5"))
    assert charts.hours(page.stored(source), "light")["data"][0]["y"][3] == 9.5
    with pytest.raises(Unavailable, match="24 rates"):
        page.stored(changed(fitted, tmp_path, set_rate.format("-1")))


@pytest.mark.parametrize(
    ("statement", "words_of_it"),
    [
        ("UPDATE mart_cluster_comparison SET curve = '{}' WHERE of = 'seen'", "expected a curve"),
        ("UPDATE mart_cluster_comparison SET curve = json_set(curve, '$.low[0]', 2) WHERE of = 'seen'", "from 0 to 1"),
        ("UPDATE mart_cluster_comparison SET step_seconds = 0 WHERE of = 'seen'", "a step, a window"),
    ],
)
def test_a_comparison_that_cannot_be_is_said(fitted: Path, tmp_path: Path, statement: str, words_of_it: str):
    with pytest.raises(Unavailable, match=words_of_it):
        page.stored(changed(fitted, tmp_path, statement))


def test_without_a_comparison_its_card_names_the_command(fitted: Path, tmp_path: Path):
    source = changed(
        fitted, tmp_path, "DELETE FROM mart_cluster_comparison",
        "UPDATE fact_cluster_calibration SET parameters = json_remove(parameters, '$.by_hour')",
    )  # fmt: skip
    said = words(page.build(source, ""))
    assert "Not compared yet" in said
    assert "Not fitted yet" in said
    client = create_app(source).server.test_client()
    assert client.get("/api/v1/clusters/compared").get_json()["rows"] == []
    assert "rate" not in client.get("/api/v1/clusters/hours").get_json()
