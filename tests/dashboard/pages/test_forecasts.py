"""The Forecasts page: what is stored is what is shown, and too few forecasts say so."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.market.checks import Damaged
from dashboard.market.forecasts import Ledger, check_ledger
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages.forecasts import answers, cards, charts, law_cards, page
from tests.dashboard.conftest import MemorySource, words
from tests.flows.running import ran

WEEK = "604800:sample-bursts"


@pytest.fixture(scope="session")
def tested(sample_warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample whose forecasts are tested."""
    own = tmp_path_factory.mktemp("tested") / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(own))
        ran("forecast-ledger")
    return own


@pytest.fixture
def ledger(tested: Path) -> Ledger:
    return page.stored(Warehouse(tested))


def test_the_page_in_words(tested: Path, ledger: Ledger):
    shown = answers.chosen(ledger, None)
    said = words(page.build(Warehouse(tested), ""))

    assert (shown.law, shown.horizon_seconds) == ("sample-bursts", 86_400)
    exceeded = shown.records[0.95].exceptions
    for part in ("Synthetic forecasts and outcomes", f"{exceeded} beyond the 95", "(3.0 expected)", "60 of 100 needed",
                 "Kupiec", "sample-one-by-one", "made up with the sample"):  # fmt: skip
        assert part in said, part


def test_the_law_that_is_too_thin_fails_and_is_not_hidden(ledger: Ledger):
    thin = answers.chosen(ledger, "86400:sample-one-by-one")
    assert thin.records[0.95].fails
    assert "✕" in words(cards.p_value(thin.records[0.95], "kupiec_p"))
    assert not any(record.fails for record in answers.chosen(ledger, None).records.values())
    assert ("sample-one-by-one", 86_400) in ledger.series()


def test_windows_of_seven_days_overlap_and_are_too_few_to_say(ledger: Ledger):
    week = answers.chosen(ledger, WEEK)
    assert answers.states(week) == {"not over": 1, "overlaps": 51, "tested": 8}
    assert "8 forecasts are tested; 10 are needed" in words(page.verdict(week))
    assert "overlapping windows are left out" in words(page.ledger_card(week, None))
    assert words(cards.p_value(week.records[0.9], "kupiec_p")) == "too few"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_charts_show_every_forecast_and_outcome(ledger: Ledger, theme: str):
    shown = answers.chosen(ledger, None)
    drawn = charts.ledger(shown, theme)["data"]
    assert len(drawn[0]["y"]) == 2 * 60
    assert sum(len(marks["x"]) for marks in drawn[2:5]) == 60
    beyond = len([1 for one in shown.tested if one.outcome > one.value_95])
    assert sum(len(marks["x"]) for marks in drawn[3:5]) == beyond == shown.records[0.95].exceptions
    assert charts.counts(shown.judged, theme)["data"][0]["x"][0] == 0
    assert len(charts.evidence(shown, theme)["data"][0]["y"]) == 60
    assert len(charts.calibration(shown, theme)["data"]) == 3


def test_chances_of_counts_are_the_binomial_ones(ledger: Ledger):
    """Of 60 windows at 95 %: none with 0.95^60, the zones as `traffic_light` has them."""
    found = answers.chances(answers.chosen(ledger, None).records[0.95])
    assert found[0][1] == pytest.approx(0.95**60)
    assert [zone for *_, zone in found][:6] == ["green"] * 6
    assert found[-1][2] == "red"


def test_laws_are_compared_on_windows_that_both_forecast(ledger: Ledger):
    """The difference is that of the stored scores: mean pinball of one minus that of the other."""
    shown = answers.chosen(ledger, None)
    (found,) = answers.compared(ledger, shown)
    assert (found.law, found.windows) == ("sample-one-by-one", 60)
    mine, theirs = (ledger.record(law, 86_400, 0.95).pinball_usd for law in (shown.law, found.law))
    assert found.gap is not None
    assert found.gap.mean == pytest.approx(theirs - mine)
    back = answers.compared(ledger, answers.chosen(ledger, "86400:sample-one-by-one"))[0].gap
    assert back is not None
    assert back.mean == pytest.approx(-found.gap.mean)
    drawn = charts.compared(answers.compared(ledger, shown), "light")
    assert drawn["data"][0]["x"] == [found.gap.mean]
    assert "sample-one-by-one" in words(law_cards.compared_card(ledger, shown, None))


def test_too_few_common_windows_name_what_is_missing(ledger: Ledger):
    week = answers.chosen(ledger, WEEK)
    assert all(one.gap is None for one in answers.compared(ledger, week))
    assert "No other law has forecast 30 of the same windows" in words(law_cards.compared_card(ledger, week, None))


def test_json_holds_what_the_charts_show(tested: Path):
    client = create_app(Warehouse(tested)).server.test_client()
    told = client.get("/api/v1/forecasts/ledger").get_json()
    assert (told["law"], told["unit"], told["is_synthetic"], len(told["forecasts"])) == (
        "sample-bursts",
        "USD",
        True,
        60,
    )
    week = client.get("/api/v1/forecasts/ledger", query_string={"series": WEEK}).get_json()
    assert week["horizon_seconds"] == 604_800
    assert len(client.get("/api/v1/forecasts/records").get_json()["records"]) == 9
    assert len(client.get("/api/v1/forecasts/calibration").get_json()["places"]) == len(answers.PLACES)
    beside = client.get("/api/v1/forecasts/compared").get_json()
    assert [one["law"] for one in beside["laws"]] == ["sample-one-by-one"]
    assert client.get("/api/v1/forecasts/evidence").get_json()["alarm"] == 20


def test_without_a_ledger_the_command_is_named(source: MemorySource):
    with pytest.raises(Unavailable, match="not tested yet") as nothing:
        page.build(source, "")
    assert nothing.value.command == "python -m flows forecast-ledger"
    assert create_app(source).server.test_client().get("/api/v1/forecasts/records").status_code == 503


def test_a_changed_outcome_changes_the_page(tested: Path, tmp_path: Path):
    own = tmp_path / "own.sqlite"
    shutil.copy(tested, own)
    connection = sqlite3.connect(own)
    connection.execute(
        "UPDATE mart_forecast_score SET outcome = 987654321.0 WHERE law = 'sample-bursts' "
        "AND made_at = (SELECT max(made_at) FROM mart_forecast_score WHERE state = 'tested')"
    )
    connection.commit()
    connection.close()
    assert "$987.7M" in words(page.build(Warehouse(own), ""))


@pytest.mark.parametrize(
    ("changes", "words_of_it"),
    [({"value_99": 0.0}, "rise with their level"), ({"outcome": -1.0}, "as outcome"), ({"outcome": None}, "found none"),
     ({"made_at": -1}, "as made_at"), ({"value_95": float("inf")}, "as value_95")],
)  # fmt: skip
def test_a_stored_value_that_none_can_be_is_named(ledger: Ledger, changes: dict, words_of_it: str):
    broken = replace(ledger, told=(replace(ledger.told[0], **changes), *ledger.told[1:]))
    with pytest.raises(Damaged, match=words_of_it):
        check_ledger(broken)
