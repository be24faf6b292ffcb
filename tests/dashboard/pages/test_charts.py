"""Charts: plotly accepts them, axes keep the grammar, and what they draw is what was computed."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go
import pytest

from dashboard.look import axes
from dashboard.look import theme as themes
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.state import WhatIf
from dashboard.pages.overview import charts as today
from dashboard.pages.overview.answers import position
from dashboard.pages.overview.distribution import repaid_distribution
from dashboard.pages.what_if import charts as shocks
from dashboard.pages.what_if.answers import Pair, outcome


def every_figure(loaded: LoadedMarket, run: ShownRun, theme: str) -> dict[str, dict]:
    said = outcome(loaded, WhatIf(eth=-0.20))
    return {
        "fan": today.lar_fan(run, theme),
        "seized": today.seized_bars(run.seized_by_reserve, theme),
        "distribution": repaid_distribution(run, theme),
        "debt": today.debt_by_health_factor(position(loaded).buckets, theme),
        "sweep": shocks.sweep(said.curve, theme),
        "sold": shocks.sold(said.sold, theme),
    }


@pytest.mark.parametrize("theme", themes.THEMES)
def test_plotly_accepts_every_property(loaded: LoadedMarket, run: ShownRun, theme: str) -> None:
    for name, figure in every_figure(loaded, run, theme).items():
        assert go.Figure(figure).layout.height > 0, name


@pytest.mark.parametrize("theme", themes.THEMES)
def test_line_and_text_colours_are_the_themes(loaded: LoadedMarket, run: ShownRun, theme: str) -> None:
    c = themes.colours(theme)
    sweep = every_figure(loaded, run, theme)["sweep"]
    baseline, scenario, _ = sweep["data"]

    assert baseline["line"]["color"] == c["baseline"]
    assert "dash" in baseline["line"]
    assert scenario["line"]["color"] == c["scenario"]
    assert "dash" not in scenario["line"]


def test_money_axes_start_at_zero_and_hold_every_point(loaded: LoadedMarket, run: ShownRun) -> None:
    for name in ("fan", "debt", "sweep"):
        figure = every_figure(loaded, run, "dark")[name]
        low, high = figure["layout"]["yaxis"]["range"]
        assert low == 0
        assert all(max(trace["y"]) <= high for trace in figure["data"]), name


def test_the_curve_is_drawn_beyond_a_deep_fall(loaded: LoadedMarket) -> None:
    figure = shocks.sweep(outcome(loaded, WhatIf(eth=-0.50)).curve, "dark")
    assert figure["layout"]["xaxis"]["range"] == [0, -60]
    assert figure["data"][2]["x"] == [pytest.approx(-50)]


def test_a_rise_of_eth_leaves_the_handle_at_today(loaded: LoadedMarket) -> None:
    assert shocks.sweep(outcome(loaded, WhatIf(eth=0.10)).curve, "dark")["data"][2]["x"] == [0]


def test_the_whisker_is_the_stored_interval(run: ShownRun) -> None:
    point = today.lar_fan(run, "dark")["data"][-1]
    assert point["y"] == [118.6e6]
    assert point["error_y"]["array"] == [pytest.approx(4.1e6)]
    assert point["error_y"]["arrayminus"] == [pytest.approx(4.1e6)]


def test_a_run_without_an_interval_has_no_whisker(run: ShownRun) -> None:
    bare = replace(run, estimates={**run.estimates, ("lar_repaid", 0.99): ShownFigure(118.6e6)})
    assert all("error_y" not in trace for trace in today.lar_fan(bare, "dark")["data"])


def test_bars_of_reserves_add_up_and_keep_their_colours() -> None:
    seized = {f"T{i}": float(i) for i in range(1, 12)} | {"WETH": 100.0}
    (bars,) = today.seized_bars(seized, "dark")["data"]

    assert sum(bars["x"]) == sum(seized.values())
    assert len(bars["y"]) == 7
    assert bars["y"][0] == "WETH"
    assert bars["marker"]["color"][0] == themes.colours("dark")["cat-1"]


def test_nothing_to_sell_is_an_empty_chart_not_an_error() -> None:
    assert go.Figure(shocks.sold((), "dark")).layout.height > 0
    assert go.Figure(today.seized_bars({}, "dark")).layout.height > 0
    assert go.Figure(shocks.sold((("WETH", Pair(0.0, 0.0)),), "dark")).layout.height > 0


@pytest.mark.parametrize(
    ("top", "text"),
    [
        (430e6, ["0", "$200M", "$400M"]),
        (1.9e9, ["0", "$500M", "$1B", "$1.5B"]),
        (90.0, ["0", "$25", "$50", "$75"]),
        (0, ["0"]),
    ],
)
def test_ticks_are_round(top: float, text: list[str]) -> None:
    assert axes.money_ticks(top)[1] == text


def test_labels_keep_apart_and_in_order() -> None:
    placed = axes.spread([0.5, 0.49, 0.0], 0.2)
    assert placed == [pytest.approx(0.69), pytest.approx(0.49), 0.0]


def test_no_chart_sends_anything_anywhere() -> None:
    assert axes.CONFIG["showSendToCloud"] is False
    assert axes.CONFIG["displaylogo"] is False
    assert axes.CONFIG["plotlyServerURL"] == ""


def test_the_distribution_is_shares_of_paths_with_the_tail_marked(run: ShownRun) -> None:
    figure = repaid_distribution(run, "dark")
    bars, mean = figure["data"]
    c = themes.colours("dark")

    assert bars["y"] == [0.9, 0.08, 0.015, 0.005]
    assert bars["marker"]["color"] == [c["cat-other"], *[c["scenario"]] * 3]  # LaR 95 % is 51 of 40 to 80
    assert mean["x"] == [140e6]
    assert [s["x0"] for s in figure["layout"]["shapes"] if s["type"] == "line"] == [51e6, 118.6e6]
    assert [(s["x0"], s["x1"]) for s in figure["layout"]["shapes"] if s["type"] == "rect"][1] == (114.5e6, 122.7e6)


def test_a_distribution_without_any_liquidation_is_one_bar_at_zero(run: ShownRun) -> None:
    nothing = {key: ShownFigure(0.0, 0.0, 0.0, 0.0, 0, True) for key in run.estimates}
    figure = repaid_distribution(
        replace(run, estimates=nothing, histogram={"edges": [-0.5, 0.0, 0.5], "count": [0, 400]}), "light"
    )

    assert len(figure["data"]) == 1
    assert figure["data"][0]["y"] == [1.0]
    assert figure["layout"]["xaxis"]["range"][0] == 0
    assert go.Figure(figure).layout.height > 0


def test_where_nothing_is_sold_the_panel_says_so():
    said = [
        [note["text"] for note in shocks.sold(lines, "dark")["layout"]["annotations"]]
        for lines in ((), (("WETH", Pair(0.0, 0.0)),), (("WETH", Pair(0.0, 5.0)),))
    ]

    assert said == [["Nothing is sold at these prices"], ["Nothing is sold at these prices"], []]
