"""The simulated part of What-if: the same paths whether they come at once or in two parts, and what limits them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from dash import html
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.state import PRESETS, WhatIf
from dashboard.pages.what_if import answers as shocks
from dashboard.pages.what_if import compared, on_the_way, outlook, parts, simulation, wording
from dashboard.pages.what_if import world as worlds
from dashboard.pages.what_if.spread import BINS, spread
from dashboard.pages.what_if.spread_chart import figure_words, spread_chart
from data.quotes import Ladder
from tests.dashboard.conftest import MemorySource, words

DAY = 86_400


def test_a_run_in_two_parts_has_the_bits_of_one(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    """The first answer's paths are the first of the full run, and are not drawn twice."""
    state, n = WhatIf(eth=-0.1, vol=1.2), outlook.FIRST + 500
    at_once = rc.simulate(*worlds.world(loaded, scenario, state)[:2], n_paths=n, seed=11)
    head = outlook.run_of(loaded, scenario, state, outlook.FIRST, 11)
    both = outlook.run_of(loaded, scenario, state, n, 11)

    assert head is outlook.run_of(loaded, scenario, state, outlook.FIRST, 11)
    assert np.array_equal(both.path, at_once.path)
    assert np.array_equal(both.path[: outlook.FIRST], head.path)


def test_paths_drawn_together_are_resampled_together() -> None:
    """Of three clusters each draw holds whole ones; errors of a quasi-random run come from its 16 copies."""
    cluster = np.array([0, 1, 0, 2, 1, 2, 0, 1, 2])
    draw = compared.resampling(9, cluster, np.random.default_rng(2))
    for _ in range(20):
        found = np.bincount(draw(), minlength=9)
        assert found.sum() == 9
        for which in range(3):
            assert len(set(found[cluster == which])) == 1


@pytest.mark.parametrize(
    "state", [WhatIf(eth=-0.15), WhatIf(eth=-0.3, lst=-0.04, btc=0.1, vol=1.5, hours=12), WhatIf(stable=-0.02)]
)
def test_on_the_way_every_path_ends_at_the_prices_of_the_exact_answer(
    loaded: LoadedMarket, scenario: rc.Scenario, state: WhatIf
) -> None:
    market, paths = on_the_way.paths_to(loaded, scenario, state, 3)
    wanted = market.price * (1 + loaded.assets.moves(state.moves))
    assert np.allclose(paths.price[:, :, -1], wanted, rtol=1e-9)
    assert np.allclose(paths.price[:, :, 0], market.price, rtol=1e-12)
    assert paths.horizon == timedelta(hours=state.hours)


def test_on_the_way_is_a_row_where_prices_move_alone(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    """A day that ends far below repays more than one that ends where it began, and the exact jump is near it."""

    def row(state: WhatIf) -> compared.Comparison | None:
        found = outlook.simulate(loaded, scenario, state, 500).rows
        return next((row for row in found if row.label == compared.ON_THE_WAY.label), None)

    found = row(WhatIf(eth=-0.3))
    assert found is not None
    assert found.scenario.value > found.baseline.value >= 0
    at_once = rc.what_if(loaded.market, loaded.assets.moves({"eth": -0.3})).repaid_usd
    assert 0.5 * at_once < found.scenario.value < 3 * at_once
    assert row(WhatIf(vol=1.5)) is None
    assert row(WhatIf(eth=-0.3, lag=30)) is None
    assert row(WhatIf(eth=-0.3, corr=1.0)) is None  # moves that are all one have no such paths


def test_the_first_answer_is_partial_and_shows_an_interval(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    first = outlook.first(loaded, scenario, WhatIf(eth=-0.15))
    full = outlook.simulate(loaded, scenario, WhatIf(eth=-0.15))

    assert first.spread.partial
    assert not full.spread.partial
    assert (first.n_paths, first.rows) == (outlook.FIRST, ())
    low, high = first.spread.lar[1].low, first.spread.lar[1].high
    assert low <= full.spread.lar[1].value <= high
    assert " to " in wording.then_says(first, WhatIf())
    assert " to " not in wording.then_says(full, WhatIf())
    assert wording.paths_note(first) == "4,096 of 10,000 paths"


def result(repaid: list[float]) -> SimpleNamespace:
    """What `spread` reads of a run."""
    usd = np.array(repaid)
    return SimpleNamespace(repaid_usd=usd, n_paths=len(usd), cluster=None)


def test_the_shares_of_a_spread_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rc.measures, "lar", lambda r, level: rc.measures.quantile(r.repaid_usd, level))
    found = spread(result([0.0] * 6 + [10.0] * 4), result([48.0] * 9 + [49.0]), 10, changed=True)  # type: ignore[arg-type]

    # The axis ends a bin above the 99.9 % quantile of the larger side, about 49.
    width = found.edges[1]
    assert len(found.edges) == BINS + 1
    assert found.edges[-1] == pytest.approx(48.991 * (1 + 1 / BINS))
    assert found.baseline[0] == 0.6
    assert found.baseline[int(10 / width)] == 0.4
    assert found.scenario[int(48 / width)] == pytest.approx(0.9)
    assert found.baseline.sum() + found.beyond[0] == pytest.approx(1)
    assert found.scenario.sum() + found.beyond[1] == pytest.approx(1)


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=60), st.lists(st.floats(0, 1e9), min_size=2, max_size=60))
def test_no_path_is_lost(one: list[float], two: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rc.measures, "lar", lambda r, level: rc.measures.quantile(r.repaid_usd, level))
        found = spread(result(one), result(two), 100, changed=True)  # type: ignore[arg-type]
    for shares, beyond in zip((found.baseline, found.scenario), found.beyond, strict=True):
        assert shares.sum() + beyond == pytest.approx(1)


def test_the_chart_marks_both_figures_and_draws_nothing_where_no_path_is(
    loaded: LoadedMarket, scenario: rc.Scenario
) -> None:
    found = outlook.simulate(loaded, scenario, WhatIf(eth=-0.15), n_paths=2_000).spread
    chart = spread_chart(found, "dark")

    assert [trace["name"] for trace in chart["data"]] == ["baseline", "scenario"]
    said = " ".join(note["text"] for note in chart["layout"]["annotations"])
    assert "baseline, 99\u202f%" in said
    assert "scenario, 99\u202f%" in said
    low = 10 ** chart["layout"]["yaxis"]["range"][0]
    drawn = np.array(chart["data"][1]["y"])[::2]
    assert ((drawn < low) == (found.scenario == 0)).all()


def test_a_partial_figure_is_an_interval() -> None:
    known = ShownFigure(3e6, 2e6, 4e6, 5e5, 100)
    assert figure_words(known, partial=True) == "$2.00M to $4.00M"
    assert figure_words(known, partial=False) == "$3.00M ±\u00a01.0M"
    assert figure_words(ShownFigure(3e6, 3e6, 3e6, 0.0, 100), partial=False) == "$3.00M"
    assert figure_words(replace(known, few_draws=True), partial=True) == "$3.00M, few draws"


def test_correlation_leads_from_each_alone_to_all_as_one() -> None:
    calibrated = np.array([[1.0, 0.4], [0.4, 1.0]])
    assert np.array_equal(worlds.blended(calibrated, 0), calibrated)
    assert np.array_equal(worlds.blended(calibrated, 1), np.ones((2, 2)))
    assert np.array_equal(worlds.blended(calibrated, -1), np.eye(2))
    assert worlds.blended(calibrated, 0.5)[0, 1] == pytest.approx(0.7)


@given(st.integers(0, 2**32 - 1), st.floats(-1, 1))
def test_a_blended_correlation_is_one(seed: int, weight: float) -> None:
    factors = np.random.default_rng(seed).normal(size=(4, 3))
    covariance = factors @ factors.T
    sd = np.sqrt(np.diag(covariance))
    mixed = worlds.blended(covariance / np.outer(sd, sd), weight)
    assert np.linalg.eigvalsh(mixed).min() > -1e-9
    assert (np.diag(mixed) == 1).all()


def test_the_horizon_keeps_the_step_and_a_late_oracle_makes_it_finer(
    loaded: LoadedMarket, scenario: rc.Scenario
) -> None:
    week = worlds.world(loaded, scenario, WhatIf(hours=168)).scenario
    assert (week.horizon, week.n_steps) == (timedelta(days=7), 28)
    late = worlds.world(loaded, scenario, WhatIf(lag=45))
    assert late.scenario.step == timedelta(minutes=15)
    assert late.feeds is not None
    assert late.feeds.times(late.scenario.step).lag.tolist() == [3] * 4
    assert worlds.world(loaded, scenario, WhatIf(vol=2)).feeds is None


def ladder(sold: int, depth: float) -> Ladder:
    size = np.array([1e3, 1e4, 1e5])
    return Ladder(
        sold=sold, bought=2, size_usd=size, received_usd=size * np.exp(-size / depth), source=("test",) * 3,
        quoted_at=np.full(3, 1_787_356_000), assumed=np.array([True] * 3),
    )  # fmt: skip


@pytest.fixture
def source(loaded: LoadedMarket, run: ShownRun) -> MemorySource:
    return MemorySource(loaded, run)


def test_limits_are_the_stored_ones_times_the_sliders(source: MemorySource, scenario: rc.Scenario) -> None:
    source.ladders = (ladder(0, 1e6),)
    loaded = source.loaded()
    depth = replace(worlds.depth_of(source, loaded.market), capital_usd=500.0)
    state = WhatIf(depth=0.5, capital=2.0)

    assert state.limited
    found = worlds.world(loaded, scenario, state, depth)
    assert depth.impact is not None
    assert found.impact is not None
    assert np.array_equal(found.impact.sold_usd, 0.5 * depth.impact.sold_usd)
    assert found.liquidators is not None
    assert found.liquidators.capital_usd == 1_000.0
    assert found.liquidators.window == timedelta(days=1)
    said = worlds.limits_words(state, depth)
    assert said == "assumed depth × 0.5, at most $1k repaid in 24 h"
    assert "no quotes stored" in worlds.limits_words(state, worlds.NO_DEPTH)
    assert worlds.limits_words(WhatIf(eth=-0.1), depth) == ""


def test_what_waits_stands_in_the_table_where_capital_is_short(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    state = WhatIf(eth=-0.15, limits=1)
    # 1 USD of capital a day: nearly all of what falls waits.
    found = outlook.simulate(loaded, scenario, state, n_paths=400, depth=worlds.Depth(capital_usd=1.0))
    rows = {row.label: row for row in found.rows}

    assert rows["Debt repaid, LaR 99 %"].scenario.value <= 1.0
    assert rows["Waiting, 99 %"].scenario.value > 5_000
    assert rows["Waiting, 99 %"].baseline.value == 0
    assert not rows["Debt repaid, LaR 99 %"].is_loss  # less is repaid because more waits
    assert rows["Waiting, 99 %"].is_loss
    assert "or more waiting" in wording.then_says(found, state)
    endless = outlook.simulate(loaded, scenario, replace(state, limits=0), n_paths=400)
    assert "Waiting, 99 %" not in {row.label for row in endless.rows}


def test_borrowers_who_respond_lower_what_is_liquidated(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    """weak stands at 1.143: a fall that ends near 1 warns him first, and with hours of warning he repays."""
    alone = outlook.simulate(loaded, scenario, WhatIf(eth=-0.05), n_paths=600)
    found = outlook.simulate(loaded, scenario, WhatIf(eth=-0.05, respond=1.0), n_paths=600)
    rows = {row.label: row for row in found.rows}
    assert rows["By borrowers, mean"].scenario.value > 0
    assert not rows["By borrowers, mean"].is_loss
    assert found.spread.scenario[0] > alone.spread.scenario[0]
    assert found.limits == "100\u202f% of borrowers respond after 1 h"
    assert wording.values_of(WhatIf(respond=0.65), "Behaviour") == "65\u202f% respond"
    assert wording.values_of(WhatIf(), "Behaviour") == "nobody responds"
    assert wording.case_words(WhatIf(respond=0.65)) == "respond 65\u202f%"


def test_with_limits_the_first_answer_says_that_it_takes_longer(source: MemorySource) -> None:
    held = simulation.first_answer(source, {"limits": 1, "eth": -10}, None, None)
    assert held["asked"] == {"limits": 1, "eth": -10}
    assert "takes longer" in held["figure"]["layout"]["annotations"][0]["text"]
    moving = simulation.first_answer(source, {"eth": -10}, None, None)
    assert (moving["paths"], moving["of"]) == (outlook.FIRST, outlook.PATHS)


def test_without_a_run_the_chart_names_the_command(loaded: LoadedMarket) -> None:
    found = simulation.first_answer(MemorySource(loaded), {"eth": -10}, None, None)
    assert simulation.NO_RUN in found["figure"]["layout"]["annotations"][0]["text"]


def test_the_verdict_says_what_moves_and_what_falls(loaded: LoadedMarket) -> None:
    pill, sentence = wording.verdict(shocks.outcome(loaded, WhatIf()))
    assert words(pill) == "Nothing falls"
    assert words(sentence) == "Nothing is liquidated at today's prices."

    # At -20 %: weak has $8,000 of WETH at threshold 0.8 against $7,000, and loop falls with neither of its sides.
    pill, sentence = wording.verdict(shocks.outcome(loaded, WhatIf(eth=-0.20)))
    assert words(pill) == "Liquidations"
    assert "if ETH falls 20\u202f%, by 1 account; most of what is sold is WETH" in words(sentence)
    pill, sentence = wording.verdict(shocks.outcome(loaded, WhatIf(eth=-0.50)))
    assert words(pill) == "Deficit"
    assert "of debt is left without collateral." in words(sentence)


def test_moves_are_told_largest_first_and_the_rest_is_counted() -> None:
    state = WhatIf(eth=-0.1, btc=-0.3, usdc=0.02, lst=-0.01)
    assert wording.moved_words(state) == (
        "if BTC falls 30\u202f%, ETH falls 10\u202f%, USDC rises 2\u202f% and 1 more moves"
    )


def test_a_folded_group_states_its_values() -> None:
    assert wording.values_of(WhatIf(), "Prices") == "as today"
    assert wording.values_of(WhatIf(eth=-0.1), "Prices") == "1 changed"
    assert wording.values_of(WhatIf(), "Market") == "vol ×\u202f1 · horizon 24\u202fh"
    assert wording.values_of(WhatIf(corr=-0.5), "Market") == "vol ×\u202f1 · corr −0.5 · horizon 24\u202fh"
    assert wording.values_of(WhatIf(), "Liquidity") == "no limits"
    assert wording.values_of(WhatIf(depth=0.5), "Liquidity") == "with limits · depth ×\u202f0.5"
    texts, classes = wording.all_values(WhatIf(lag=30))
    groups = wording.group_names()
    assert [name for name, look in zip(groups, classes, strict=True) if look == "sum chg"] == ["Liquidity"]
    assert texts[groups.index("Liquidity")] == "no limits · lag 30\u202fmin"


# --- two scenarios ---------------------------------------------------------------------------------------------------


def test_two_scenarios_are_compared_with_each_other(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    """Held as A, today's place is taken by the other scenario: on cards, curve and in the simulation."""
    a, b = WhatIf(eth=-0.20), WhatIf(eth=-0.30, vol=1.5)
    both, alone = shocks.outcome(loaded, b.beside(a)), shocks.outcome(loaded, b)

    assert both.repaid.baseline == shocks.outcome(loaded, a).repaid.scenario
    assert both.repaid.scenario == alone.repaid.scenario
    run = outlook.simulate(loaded, scenario, b.beside(a), n_paths=1_000)
    own = outlook.simulate(loaded, scenario, a, n_paths=1_000)
    assert [row.baseline for row in run.rows] == [row.scenario for row in own.rows]
    assert words(parts.outlook_table(run, ("A", "B"))).startswith("ABDifference")
    assert [words(one) for one in wording.legends(b.beside(a))[0]] == [
        "A · ETH −20\u202f%",
        "B · ETH −30\u202f%, vol ×\u202f1.5",
    ]
    assert "B repays" in words(wording.verdict(both)[1])


def test_a_scenario_beside_itself_is_no_difference(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    state = WhatIf(eth=-0.15).beside(WhatIf(eth=-0.15))
    assert not state.differs
    assert all(row.change == 0 == row.error for row in outlook.simulate(loaded, scenario, state, n_paths=200).rows)


def test_chips_show_what_the_browser_kept_and_survive_what_it_should_not_have() -> None:
    saved = {"Board stress": {"eth": -33}, "<b>x</b>": {"eth": "abc"}, "broken": 7}
    shown = parts.chips(WhatIf(eth=-0.33), saved)
    text = words(shown)
    assert "Board stress" in text
    assert "broken" not in text
    assert "changed" not in text  # the saved one is in use
    assert parts.chips(WhatIf(), "nonsense")


def test_no_name_makes_two_parts_of_the_page_one() -> None:
    """A scenario saved as `eth10` or `baseline` is not the preset of that key: Dash refuses two parts with one id."""
    saved = {preset.key: {"eth": -7} for preset in PRESETS}
    built = html.Div(parts.chips(WhatIf(), saved))
    keys = [str(part.id) for part in built._traverse() if getattr(part, "id", None)]
    assert len(keys) == len(set(keys)) == 3 * len(PRESETS)
