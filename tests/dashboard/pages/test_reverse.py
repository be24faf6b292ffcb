"""What would it take: the card of What-if, its sliders, and the same as JSON."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import risk_core as rc
from dashboard.app import create_app
from dashboard.market.loaded import LoadedMarket, ShownRun
from dashboard.pages.what_if import charts, reverse
from dashboard.pages.what_if import page as what_if
from dashboard.pages.what_if.page import reversed_to
from tests.dashboard.conftest import MemorySource, words

FALL = 1 - 1 / (0.8 * 10_000 / 7_000)
"""WETH at which the weak account, $10,000 at 0.8 against $7,000 of USDC, can be liquidated: down 12.5 %."""


def test_the_nearest_move_is_the_fall_of_eth_that_brings_the_weak_account_down(
    loaded: LoadedMarket, run: ShownRun
) -> None:
    found = reverse.answer(loaded, run, "liquidated", 3_000.0)
    [(name, move)] = found.moved
    assert (name, move) == ("ETH", pytest.approx(-FALL, abs=2e-4))
    assert found.sliders.eth == pytest.approx(-0.13)  # the next whole step away from today
    assert found.sliders_usd == pytest.approx(3_500)
    assert found.sliders_usd == rc.what_if(loaded.market, {"WETH": -0.13, "wstETH": -0.13}).repaid_usd


def test_a_slider_is_the_mean_of_its_group_by_what_is_held_and_owed(loaded: LoadedMarket, run: ShownRun) -> None:
    """WETH down to half, wstETH unmoved: $35,000 and $9,000 of the one, $12,000 of the other."""
    plan = replace(run.scenario, factors=("ETH", "wstETH"), factor=[0, 1, -1, -1])
    stress = replace(
        reverse.answer(loaded, run, "liquidated", 3_000.0).stress, scenario=plan, log_move=np.log([0.5, 1.0])
    )
    share = 44_000 / 56_000
    assert reverse.nearest_sliders(loaded, stress).eth == pytest.approx(-np.ceil(100 * (1 - 0.5**share)) / 100)


def test_the_card_says_move_distance_chance_and_that_it_is_not_proven(source: MemorySource) -> None:
    chart, text, sliders, disabled = reversed_to(source, "liquidated", 0.003, "dark", None)
    told = words(text)
    assert chart["data"][0]["x"] == [pytest.approx(-12.5, abs=0.02)]
    assert "ETH −12.5" in told
    assert "$4k of debt repaid, 1 account below" in told
    assert "2.13 standard deviations over 24\u00a0h" in told
    assert "not proven the least" in told
    assert "0x00…00a3" in told
    assert sliders["eth"] == -13
    assert disabled is False


@pytest.mark.parametrize(
    ("millions", "said"),
    [(None, "USD million above 0"), (-1, "USD million above 0"), (5_000, "expected at most"), ("x", "above 0")],
)
def test_what_cannot_be_answered_says_why(source: MemorySource, millions: object, said: str) -> None:
    chart, text, sliders, disabled = reversed_to(source, "liquidated", millions, "light", None)
    assert said in words(text)
    assert chart["data"][0]["x"] == []
    assert sliders is None
    assert disabled is True


def test_without_a_run_the_card_names_the_command(loaded: LoadedMarket) -> None:
    _, text, _, disabled = reversed_to(MemorySource(loaded), "liquidated", 1, "light", None)
    assert "python -m flows risk-scenarios" in words(text)
    assert disabled is True


def test_the_page_opens_with_an_amount_that_is_not_reached_yet(source: MemorySource, loaded: LoadedMarket) -> None:
    """1 % of $24,000 of debt, rounded up to one digit."""
    assert reverse.start_target(loaded, "liquidated") == 300
    assert "What would it take?" in words(what_if.build(source, ""))


def test_the_same_as_json(source: MemorySource) -> None:
    client = create_app(source).server.test_client()
    told = client.get("/api/v1/what-if/reverse?liquidated_usd=3000").get_json()
    assert told["reached_usd"] == pytest.approx(3_500, abs=1)  # half of 7,000 USDC, which hardly moves
    assert told["factors"][0]["move"] == pytest.approx(-FALL, abs=2e-4)
    assert told["most_hit"][0]["debt_usd"] == pytest.approx(7_000, abs=1)
    assert told["sliders"]["query"] == "eth=-13"
    assert told["proven_least"] is False
    assert client.get("/api/v1/what-if/reverse").get_json()["target_usd"] == 300
    for wrong in ("liquidated_usd=x", "liquidated_usd=1&deficit_usd=1", "deficit_usd=-1", "liquidated_usd=1e15"):
        assert client.get(f"/api/v1/what-if/reverse?{wrong}").status_code == 400


def test_the_chart_shows_the_largest_moves_and_counts_the_others() -> None:
    figure = charts.moves([(f"F{k}", -0.1 + 0.01 * k) for k in range(10)], "dark")
    assert figure["data"][0]["customdata"][0] == "F0"
    assert len(figure["data"][0]["x"]) == 8
    assert "and 2 more" in figure["layout"]["annotations"][0]["text"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "50.0"), (0.0123, "1.23"), (0.0005, "1 in 2,000"), (1e-12, "less than 1 in a billion")]
)
def test_chances_in_words(value: float, text: str) -> None:
    assert text in reverse.chance(value)
