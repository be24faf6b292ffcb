"""The brief on the Overview: words, rows on hover, JSON, the empty state, and that a changed row changes the page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.overview.told import told
from data import brief
from data.store.store import Store
from tests.dashboard.conftest import MemorySource, words
from tests.flows.running import ran

FIVE = brief.Number("5 USD", (brief.Ref("fact_snapshot", {"block": 1}),))
FOUND = brief.Brief(
    market="Sample", block=1, block_time=1_751_328_000, synthetic=True, before_block=None,
    sentences=(
        brief.Sentence("debt", "state", ("Debt is ", FIVE, ".")),
        brief.Sentence("pegs", "missing", ("No state is stored.",), "python -m flows peg-health"),
    ),
)  # fmt: skip


def test_every_number_carries_its_row_and_what_is_missing_its_command(source: MemorySource):
    source.told = FOUND
    page = told(source)
    assert "Debt is 5 USD." in words(page)
    assert "missing" in words(page)
    assert "python -m flows peg-health" in words(page)
    assert "fact_snapshot block=1" in str(page)
    found = create_app(source).server.test_client().get("/api/v1/overview/brief").get_json()
    assert found["sentences"][0]["numbers"] == [
        {"text": "5 USD", "rows": [{"table": "fact_snapshot", "key": {"block": 1}}]}
    ]
    assert found["sentences"][1]["command"] == "python -m flows peg-health"


def test_before_the_first_brief_the_command_is_named(source: MemorySource):
    assert "python -m flows brief" in words(told(source))
    assert create_app(source).server.test_client().get("/api/v1/overview/brief").status_code == 503


def test_a_changed_row_changes_the_page(sample_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own = Path(shutil.copy(sample_warehouse, tmp_path / "own.sqlite"))
    monkeypatch.setenv("RISK_DB", str(own))
    ran("brief")
    assert "Debt is" in words(told(Warehouse(own)))
    with Store.open(own) as store, store.transaction() as connection:
        connection.execute("UPDATE mart_daily_brief SET parts = replace(parts, 'Debt is', 'All debt is')")
    assert "All debt is" in words(told(Warehouse(own)))
    with Store.open(own) as store, store.transaction() as connection:
        connection.execute("UPDATE mart_daily_brief SET parts = 'x' WHERE topic = 'debt'")
    with pytest.raises(Unavailable, match="mart_daily_brief: debt"):
        Warehouse(own).brief()
    assert "python -m flows brief" in words(told(Warehouse(own)))
