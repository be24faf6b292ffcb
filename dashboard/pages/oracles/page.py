"""Oracles: how each price is made, and what happens when one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look.components import card, empty, graph, row, segmented
from dashboard.look.escaping import marked
from dashboard.look.shell import Page
from dashboard.market.page_data import PageData
from dashboard.pages.oracles import charts
from dashboard.pages.oracles.answers import borrowables, collaterals, feeds, priced, ratios
from dashboard.pages.oracles.api import START, cap_json, oracles_json, stuck_json, unbacked_json, update_json
from dashboard.pages.oracles.labs import LABS, Shown
from dashboard.pages.oracles.parts import models_table, verdict

EXACT = "exact, every account · USD at market prices"


def build(source: PageData, _search: str) -> html.Div:
    """The page; the callbacks fill what depends on a choice."""
    loaded = source.loaded()
    adapters = source.adapters(loaded.market)
    rows = priced(loaded, adapters)
    held, owed, by_ratio = collaterals(loaded), borrowables(loaded), ratios(loaded)
    low = lab(
        "Cap too low",
        "the oracle says less than a token is worth",
        [
            select(ids.ORACLE_CAP_OF, by_ratio or held, "Which price"),
            number(ids.ORACLE_CAP_BY, START["error"], "too low by, %", 0, 90),
        ],
        ids.ORACLE_CAP_SAYS,
        ids.ORACLE_CAP,
        "debt repaid, and dashed what borrowers lose",
        "/api/v1/oracles/cap",
    )
    still = lab(
        "Feed stuck",
        "the market falls and the price stays",
        [
            select(ids.ORACLE_STUCK_OF, feeds(loaded), "Which feed"),
            number(ids.ORACLE_STUCK_BY, START["fall"], "market falls by, %", 0, 95),
        ],
        ids.ORACLE_STUCK_SAYS,
        ids.ORACLE_STUCK,
        "debt not liquidated, and dashed bad debt",
        "/api/v1/oracles/stuck",
    )
    fake = lab(
        "Collateral that nothing backs",
        "minted, supplied, borrowed against",
        [
            select(ids.ORACLE_MINT_OF, held, "Which token", 1),
            select(ids.ORACLE_MINT_FOR, owed, "Borrowed"),
            number(ids.ORACLE_MINT_USD, START["usd"], "minted, $M", 0, 1_000_000),
            number(ids.ORACLE_MINT_BY, START["markdown"], "marked down, %", 0, 99),
            segmented(ids.ORACLE_MINT_SEEN, [("oracle follows", "yes"), ("oracle blind", "no")], "yes", "The oracle"),
        ],
        ids.ORACLE_MINT_SAYS,
        ids.ORACLE_MINT,
        "deficit of present accounts; point: with the minted tokens",
        "/api/v1/oracles/unbacked",
    )
    check = card(
        "Check a cap's update before it runs",
        row(
            [
                (
                    [
                        html.Div(
                            [
                                select(ids.ORACLE_UPDATE_OF, by_ratio, "Which token"),
                                number(ids.ORACLE_UPDATE_RATIO, START["ratio"], "snapshot ratio", 0, 1e6),
                                number(ids.ORACLE_UPDATE_DAYS, START["days"], "its age, days", 0, 3650),
                                number(ids.ORACLE_UPDATE_GROWTH, START["growth"], "cap grows, % a year", 0, 655),
                                number(ids.ORACLE_UPDATE_PACE, START["pace"], "ratio grows, % a year", -100, 1000),
                            ],
                            className="bar",
                        ),
                        html.Div(id=ids.ORACLE_UPDATE_SAYS, **{"aria-live": "polite"}),
                    ],
                    {"xl": 6},
                ),
                (graph(ids.ORACLE_UPDATE, 230, "The new cap and the ratio over a year"), {"xl": 6}),
            ]
        )
        if by_ratio
        else empty("No ratio", "No collateral of this market is priced by a ratio, so there is no cap on one."),
        "blue: the new cap · grey: the cap in force, where stored · dashed: the ratio · opens on the update of "
        "10 March 2026 as published",
        "will it bind, from when, who falls",
        source="/api/v1/oracles/update",
    )
    made = card(
        "How each price is made",
        models_table(rows, len(adapters)),
        f"as stored with block {loaded.market.snapshot.block:,} · room: how far the feed may rise before the cap holds "
        "it down",
        flush=True,
        source="/api/v1/oracles",
    )
    return html.Div(
        [
            html.Section(verdict(rows), className="verdict"),
            row([(low, {"xl": 4}), (still, {"xl": 4}), (fake, {"xl": 4})]),
            row([(check, {})]),
            row([(made, {})]),
        ],
        className="page",
    )


def lab(title: str, sub: str, knobs: list[Any], says: str, chart: str, footer: str, source: str) -> dbc.Card:
    """One experiment: its knobs, its figures, its curve."""
    body = [
        html.Div(knobs, className="bar"),
        html.Div(id=says, **{"aria-live": "polite"}, className="lab-says"),
        graph(chart, charts.HEIGHT, f"{title}: {footer}"),
    ]
    return card(title, body, f"{footer} · {EXACT}", sub, source=source)


def select(component_id: str, options: Mapping[str, str], says: str, chosen: int = 0) -> html.Label:
    """A choice of reserves by address, with its label."""
    keys = list(options)
    value = keys[min(chosen, len(keys) - 1)] if keys else None
    known = [{"label": marked(text), "value": key} for key, text in options.items()]
    choice = dbc.Select(known, value, id=component_id, className="pick")
    return html.Label([html.Span(says, className="t2 micro"), choice], className="field")


def number(component_id: str, value: float, says: str, low: float, high: float) -> html.Label:
    """A labelled number field."""
    typed = dcc.Input(
        id=component_id, type="number", value=value, min=low, max=high, step="any", debounce=True, className="find",
        style={"width": "84px"},
    )  # fmt: skip
    return html.Label([html.Span(says, className="t2 micro"), typed], className="field")


def refused(error: Exception, theme: str | None) -> Shown:
    """What is shown where a choice makes no sense."""
    blank = {"data": [], "layout": charts.layout(theme, charts.HEIGHT)}
    return [empty("No such case", marked(str(error), 400))], blank


def register(app: Dash, source: PageData) -> None:
    """Each lab follows its own knobs."""
    for one in LABS:

        @app.callback(
            Output(one.says, "children"),
            Output(one.chart, "figure"),
            Input(ids.THEME, "data"),
            *(Input(knob, "value") for knob in one.knobs),
        )
        def show(theme: str | None, *knobs: object, shown: Callable[..., Shown] = one.shown) -> Shown:
            try:
                return shown(source, theme, *knobs)
            except rc.InputError as wrong:
                return refused(wrong, theme)


def outline() -> html.Div:
    """The parts that the callbacks fill and read."""
    return html.Div(
        [
            *[html.Div(id=one.says) for one in LABS],
            *[dbc.Select(id=pick) for one in LABS for pick in one.picks],
            *[dcc.Input(id=field) for one in LABS for field in one.fields],
            dbc.RadioItems(id=ids.ORACLE_MINT_SEEN),
            *[graph(one.chart, charts.HEIGHT, "") for one in LABS],
        ]
    )


PAGE = Page(
    "/oracles",
    "Oracles",
    "What if a price is wrong?",
    "oracles",
    "Risk",
    build,
    outline,
    register,
    {
        "oracles": oracles_json,
        "oracles/cap": cap_json,
        "oracles/stuck": stuck_json,
        "oracles/unbacked": unbacked_json,
        "oracles/update": update_json,
    },
)
"""How each price is made, and three ways in which one is wrong."""
