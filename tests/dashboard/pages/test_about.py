"""The About page: what was published on a chain, and that it says so where nothing was or a row cannot be shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.about import page
from dashboard.pages.about.published import published_card
from tests.dashboard.conftest import MemorySource, words
from tests.data.conftest import execute


@pytest.fixture
def changed(sample_warehouse: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sample_warehouse, tmp_path / "risk.sqlite"))


def test_the_samples_publication_is_shown_as_made_up(sample_warehouse: Path):
    said = words(published_card(Warehouse(sample_warehouse)))
    for part in ("Liquidations at risk", "99", "24", "0, made up", "confirmed", "made up, as all of the sample"):
        assert part in said, part


def test_a_changed_row_changes_what_the_page_and_its_json_say(changed: Path):
    execute(
        changed,
        "UPDATE fact_metric_publication SET value = 2500000.0, state = 'failed', message = 'the feed refused it', "
        "round_id = NULL, chain_id = 11155111, is_synthetic = 0",
    )
    said = words(page.build(Warehouse(changed), ""))
    assert "$2.50M" in said
    assert "11155111" in said
    assert "failed" in said
    assert "made up" not in words(published_card(Warehouse(changed)))
    answer = create_app(Warehouse(changed)).server.test_client().get("/api/v1/about/publications")
    [row] = answer.get_json()["publications"]
    assert (row["value"], row["state"], row["round_id"], row["message"]) == (
        2.5e6,
        "failed",
        None,
        "the feed refused it",
    )


@pytest.mark.parametrize("source", [MemorySource(None), "no file"])
def test_where_nothing_was_published_it_names_the_command(source, tmp_path: Path):
    found = Warehouse(tmp_path / "none.sqlite") if source == "no file" else source
    assert "python -m " in words(published_card(found))
    assert "Words" in words(page.build(found, ""))


@pytest.mark.parametrize(
    "damage", ["value = 9e999", "state = 'lost'", "metric = CAST(x'ff41fe' AS TEXT)", "as_of = 99999999999999"]
)
def test_a_damaged_row_is_words_and_the_rest_of_the_page_stays(changed: Path, damage: str):
    execute(changed, f"UPDATE fact_metric_publication SET {damage}")
    with pytest.raises(Unavailable, match="The publications cannot be shown"):
        Warehouse(changed).publications()
    said = words(page.build(Warehouse(changed), ""))
    assert "The publications cannot be shown" in said
    assert "What is left out" in said
