"""The part of the Market page on lending: parts, letter, value locked, and that a changed row changes what is shown."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.look import formatting as fmt
from dashboard.market.checks import Damaged
from dashboard.market.page_data import Unavailable
from dashboard.market.scores import LossChance, ScorePart, ShownScore, check_score
from dashboard.market.warehouse import Warehouse
from dashboard.pages.market_risk import lending, page, score_charts, score_parts
from dashboard.pages.market_risk.score_charts import paths_words
from tests.dashboard.conftest import MemorySource, words
from tests.flows.running import ran

PART = ScorePart(
    part="concentration_debt", title="Few borrowers", says="debt of the ten largest borrowers", value=0.3, unit="share",
    points=30.0, none_at=0.0, full_at=1.0, weight=0.5, used_weight=1.0, missing="", command="",
    figures={"hhi": 0.01, "gini": 0.9, "n": 1200, "largest_usd": 2e6}, tables="stg_positions",
)  # fmt: skip
UNKNOWN = replace(
    PART, part="depth", title="Largest position to sell", value=None, points=None, used_weight=0.0, unit="times",
    none_at=0.1, full_at=10.0, missing="no depth is stored", command="python -m flows x", figures={},
)  # fmt: skip
CHANCE = LossChance(
    assumption="as_it_stands", says="as it stands", method="plain", horizon_seconds=86_400, threshold_usd=1e6,
    n_paths=100_000, n_hits=40, few_draws=False, probability_horizon=4e-4, high_horizon=6e-4, probability_year=0.02,
    low_year=0.014, high_year=0.028, letter="B", letter_low="B+", letter_high="B", small_losses_year=1e-5,
)  # fmt: skip
FEW = replace(
    CHANCE, n_hits=0, few_draws=True, probability_horizon=0.0, probability_year=0.0, low_year=0.0, high_year=0.0134,
    letter="A+", letter_low="A+", letter_high="B+",
)  # fmt: skip
SCORE = ShownScore(
    market="Sample", block=1, block_time=1_751_328_000, score=30.0, weight_known=0.5, supplied_usd=1e8,
    borrowed_usd=5e7, n_accounts=1200, synthetic=True, options={}, parts=(PART, UNKNOWN), chances=(CHANCE, FEW),
)  # fmt: skip


def test_paths_drawn_where_losses_lie_are_not_told_as_a_share():
    assert paths_words(CHANCE) == "40 of 100,000 paths"
    assert paths_words(replace(CHANCE, method="importance")) == "importance sampling, 100,000 paths"


def test_what_is_not_known_is_said_and_its_weight_is_shared_out_in_sight(source: MemorySource):
    source.score = (SCORE,)
    said = " ".join(words(card) for card in lending.cards(source))
    assert "HHI 0.0100 · Gini 0.90 · 1,200 accounts · largest $2.00M" in said
    assert "not known" in said
    assert "no depth is stored" in said
    assert "python -m flows x" in said
    assert "1 part is not known: 50\u202f% of the weight went to the others" in said
    assert "stated 50\u202f%" in said
    assert "No standard has such a score" in said


def test_a_letter_with_few_draws_is_a_span_and_one_with_many_stands_beside_its_interval():
    assert words(lending.letter(FEW)) == "A+ to B+"
    assert words(lending.chance_words(FEW)).startswith("at most 1.34\u202f%")
    assert words(lending.letter(CHANCE)).split(maxsplit=1) == ["B", "B+ to B"]
    assert "1.40\u202f% to 2.80\u202f%" in words(lending.chance_words(CHANCE))
    assert "1,345,768 without one would prove A+" in lending.letter_says(replace(SCORE, chances=(FEW,)))


def test_the_chart_has_a_dot_only_where_draws_are_enough():
    for theme in ("light", "dark"):
        data = score_charts.letter_moves(SCORE.chances, theme)["data"]
        marks = [trace for trace in data if trace["mode"] == "markers"]
        assert [mark["marker"]["symbol"] for mark in marks] == ["circle", "line-ns"]
        assert [mark["x"] for mark in marks] == [[0.02], [0.0134]]


def test_an_empty_warehouse_names_the_commands(source: MemorySource):
    assert "python -m flows protocol-scores" in " ".join(words(card) for card in lending.cards(source))
    client = create_app(source).server.test_client()
    assert client.get("/api/v1/market/scores").status_code == 503
    assert client.get("/api/v1/market/value-locked").get_json() == {"protocols": []}
    source.score = (replace(SCORE, chances=()),)
    assert "python -m flows risk-scenarios" in " ".join(words(card) for card in lending.cards(source))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(SCORE, parts=()), "expected its parts"),
        (replace(SCORE, parts=(replace(PART, used_weight=0.5),)), "do not sum to 1"),
        (replace(SCORE, parts=(replace(PART, points=None),)), "a value with its points"),
        (replace(SCORE, parts=(replace(PART, points=140.0),)), "from 0 to 100, found 140.0"),
        (replace(SCORE, chances=(replace(CHANCE, low_year=0.5),)), "expected 0 <= low"),
        (replace(SCORE, block_time=-1), "seconds since 1970"),
    ],
)
def test_damaged_rows_are_named(wrong: ShownScore, says: str):
    with pytest.raises(Damaged, match=says):
        check_score(wrong)


@pytest.fixture
def scored(sample_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, own)
    monkeypatch.setenv("RISK_DB", str(own))
    ran("protocol-scores", "--paths", "1000")
    return own


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_a_changed_row_changes_the_figure_and_a_damaged_one_is_words(scored: Path):
    source = Warehouse(scored)
    before = lending.scores_json(source, {})["scores"][0]
    assert before["score"] > 0
    assert [part["value"] for part in before["parts"] if part["part"] == "oracle_staleness"] == [None]
    assert len(lending.locked_json(source, {})["protocols"][0]["ts"]) == 91
    change(scored, "UPDATE mart_protocol_score SET score = 77.0")
    change(scored, "UPDATE fact_protocol_snapshot SET tvl_usd = 5e9 WHERE snapshot_ts = 1751328000")
    assert "77" in words(page.build(source, ""))
    assert lending.locked_json(source, {})["protocols"][0]["tvl_usd"][-1] == 5e9
    change(scored, "UPDATE mart_protocol_score_part SET used_weight = 0.0")
    with pytest.raises(Unavailable, match="do not sum to 1"):
        source.scores()
    assert "do not sum to 1" in words(page.build(source, ""))


def test_depth_and_cover_show_their_inputs(scored: Path):
    parts = {part.part: part for part in lending.chosen(Warehouse(scored)).parts}
    told = score_parts.details(parts["depth"])
    assert "assumed at 1 Jul 2025" in told
    assert f"over {fmt.money(parts['depth'].figures['depth_usd'])}" in told
    assert "depth known for" in told
    figures = {
        "booked_usd": 2e6, "next_usd": 3e6, "cover_usd": 1e6, "offset_usd": 2e5, "uncovered_usd": 4e6,
        "origin": "Umbrella at block 24,000,000", "worst_reserve": "<b>WETH", "reserves": ["WETH", "USDC"],
    }  # fmt: skip
    told = score_parts.details(replace(parts["cover"], figures=figures))
    for words_of_it in ("$2.00M booked", "$3.00M of the worst", "$1.00M of cover for WETH, USDC", "$200k of it offsets",
                        "Umbrella at block 24,000,000", "$4.00M without cover"):  # fmt: skip
        assert words_of_it in told, told
    assert score_parts.details(replace(parts["cover"], figures={"booked_usd": 1.0})) == ""
