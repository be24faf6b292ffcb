"""How much warning? The time from a health factor's fall below 1.1 to the liquidation, on simulated paths, by debt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import dash_bootstrap_components as dbc
import numpy as np
from dash import Dash, Input, Output, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, layout
from dashboard.look.components import card, empty, graph, row, skeleton, table, why_none
from dashboard.market.loaded import LoadedMarket, ShownFigure
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.liquidity.charts import nothing
from risk_core.warning_time import ZONE, warnings_before

PATHS = 4_096
SEED = 7
HEIGHT = 200
NO_RUN = "python -m flows risk-scenarios"


@dataclass(frozen=True, slots=True, eq=False)
class Warned:
    """The warning before liquidations. hours, at_least: (T + 1,) share of the liquidated debt warned so long before.

    half, most: hours that half and 90 % of it have at least. unwarned: share that fell through the zone in one step.
    n_falls: of `n_paths` those with a liquidation. begun: share of the liquidated debt that is below the zone already.
    """

    hours: np.ndarray
    at_least: np.ndarray
    half: ShownFigure
    most: ShownFigure
    unwarned: ShownFigure
    begun: float
    n_paths: int
    n_falls: int
    step_hours: float


@lru_cache(maxsize=4)
def warned(loaded: LoadedMarket, scenario: rc.Scenario) -> Warned:
    """The warning on the first `PATHS` paths of a scenario, of which the last few answers are kept."""
    plain = replace(scenario, sampling="plain")
    threads = max(1, (os.cpu_count() or 1) - 1)
    found = warnings_before(loaded.market, rc.simulate(loaded.market, plain, n_paths=PATHS, seed=SEED, threads=threads))
    step = found.step.total_seconds() / 3600
    debt = float(found.debt_usd.sum())
    begun = float(found.debt_usd[loaded.health_factor[found.account] < ZONE].sum()) / debt if debt else 0.0
    return Warned(
        hours=step * np.arange(found.n_steps + 1),
        at_least=found.at_least(),
        half=ShownFigure.of(found.quantile_hours(0.5)),
        most=ShownFigure.of(found.quantile_hours(0.1)),
        unwarned=ShownFigure.of(found.unwarned()),
        begun=begun,
        n_paths=found.n_paths,
        n_falls=len(np.unique(found.path)),
        step_hours=step,
    )


def of(source: PageData) -> Warned:
    """The warning in the newest market. Raises `Unavailable` without a stored run, whose scenario it uses."""
    loaded = source.loaded()
    run = source.run(loaded.market.snapshot)
    if run is None:
        raise Unavailable("Not simulated", "The warning is that of the scenario of a stored run.", NO_RUN)
    return warned(loaded, run.scenario)


def warning_card(stamp: str) -> dbc.Card:
    """The card; a callback fills it, since it simulates."""
    says = html.Div(skeleton(4), id=ids.LIQUIDITY_WARNING_SAYS, **{"aria-live": "polite"})
    chart = graph(ids.LIQUIDITY_WARNING, HEIGHT, "Share of the liquidated debt that was warned at least so long before")
    return card(
        "How much warning?",
        row([(says, {"xl": 5}), (chart, {"xl": 7})]),
        f"hours · simulated, liquidators without limits · liquidated accounts by their debt · 95\u202f% intervals, "
        f"bootstrap over paths · {stamp}",
        f"from health factor {ZONE:g} to the liquidation",
        source="/api/v1/liquidity/warning",
    )


def says(found: Warned) -> list[Any]:
    """The figures with their intervals, and what stands behind them."""
    if not found.n_falls:
        return [empty("Nobody is liquidated", f"None of {fmt.count(found.n_paths)} paths has a liquidation.")]
    rows = [
        ("Half has at least", *_hours(found.half)),
        ("90\u202f% has at least", *_hours(found.most)),
        ("Unwarned, in one step", *_share(found.unwarned)),
    ]
    words = (
        f"Debt that is liquidated, on {fmt.count(found.n_falls)} of {fmt.count(found.n_paths)} paths, in steps of "
        f"{fmt.hours(found.step_hours)}. {fmt.share(found.begun, 0)} of it begins below {ZONE:g} and counts from the "
        "snapshot on, so its warning is longer. The zone is assumed."
    )
    return [
        html.Div(
            table((("Liquidated debt", False), ("Warning", True), ("95\u202f%", True)), rows, tight=True),
            className="scrollx",
        ),
        html.P(words, className="t2 micro pad"),
    ]


def _hours(one: ShownFigure) -> tuple[Any, Any]:
    if one.no_interval:
        return html.B(fmt.hours(one.value), title=why_none(one)), fmt.MISSING
    return html.B(fmt.hours(one.value)), f"{one.low:g} to {fmt.hours(one.high or 0.0)}"


def _share(one: ShownFigure) -> tuple[Any, Any]:
    if one.no_interval:
        return html.B(fmt.share(one.value), title=why_none(one)), fmt.MISSING
    return html.B(fmt.share(one.value)), f"{100 * (one.low or 0.0):.1f} to {fmt.share(one.high)}"


def chart(found: Warned, theme: str | None) -> Figure:
    """The falling curve of "at least so much time", with its two figures marked."""
    c = themes.colours(theme)
    data: list[dict[str, Any]] = []
    if found.n_falls:
        line = {"color": c["scenario"], "width": 1.75, "shape": "vh"}
        data = [
            {"type": "scatter", "mode": "lines", "x": found.hours.tolist(), "y": found.at_least.tolist(), "line": line,
             "hovertemplate": "<b>%{y:.0%}</b> is warned %{x:g} h before, or longer<extra></extra>"},
            {"type": "scatter", "mode": "markers+text", "x": [found.half.value, found.most.value], "y": [0.5, 0.9],
             "text": [f" half: {fmt.hours(found.half.value)}", f" 90\u202f%: {fmt.hours(found.most.value)}"],
             "textposition": "top right", "textfont": {"size": 11, "color": c["text"]}, "hoverinfo": "skip",
             "marker": {"size": 8, "color": c["surface"], "line": {"color": c["scenario"], "width": 2}}},
        ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, HEIGHT, margin={"l": 46, "r": 16, "t": 8, "b": 30},
            xaxis={"fixedrange": True, "showgrid": False, "ticksuffix": " h", "range": [0, float(found.hours[-1])],
                   "nticks": 7, **STANDOFF},
            yaxis={"range": [0, 1.05], "tickvals": [0, 0.5, 0.9], "tickformat": ".0%", "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def warning_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/liquidity/warning`: hours of warning before a liquidation, by the debt of the liquidated accounts."""
    found, at = of(source), source.loaded().market.snapshot
    return {
        "zone": ZONE,
        "hours_half": asdict(found.half),
        "hours_90_percent": asdict(found.most),
        "share_unwarned": asdict(found.unwarned),
        "share_begins_below_zone": found.begun,
        "step_hours": found.step_hours,
        "hours": found.hours.tolist(),
        "share_at_least": found.at_least.tolist() if found.n_falls else [],
        "n_paths": found.n_paths,
        "n_paths_with_a_liquidation": found.n_falls,
        "seed": SEED,
        "block": at.block,
        "is_synthetic": at.synthetic,
    }


def register(app: Dash, source: PageData) -> None:
    """The card is filled once the page is there, since it simulates."""

    @app.callback(
        Output(ids.LIQUIDITY_WARNING, "figure"),
        Output(ids.LIQUIDITY_WARNING_SAYS, "children"),
        Input(ids.THEME, "data"),
    )
    def show(theme: str | None) -> tuple[dict, list]:
        try:
            found = of(source)
        except Unavailable as none:
            return nothing("", theme, HEIGHT), [empty(none.title, none.text, none.command)]
        return chart(found, theme), says(found)
