"""Oracles: how each price is made, and what happens when one is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look.components import card, empty, graph, row, segmented
from dashboard.look.escaping import marked
from dashboard.look.shell import Page
from dashboard.market.drivers import BY_KEY
from dashboard.market.page_data import PageData
from dashboard.pages.oracles import charts
from dashboard.pages.oracles.answers import (
    FEEDS,
    borrowables,
    cap_curve,
    cap_low,
    collaterals,
    feeds,
    minted,
    minted_curve,
    priced,
    ratios,
    stuck,
    stuck_curve,
)
from dashboard.pages.oracles.api import (
    START,
    asked,
    cap_json,
    lends,
    oracles_json,
    stuck_json,
    unbacked_json,
    update_json,
    update_of,
)
from dashboard.pages.oracles.parts import (
    models_table,
    says_cap,
    says_minted,
    says_stuck,
    says_update,
    token_name,
    verdict,
)

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


def refused(error: Exception, theme: str | None) -> tuple[list[Any], dict]:
    """What is shown where a choice makes no sense."""
    blank = {"data": [], "layout": charts.layout(theme, charts.HEIGHT)}
    return [empty("No such case", marked(str(error), 400))], blank


def register(app: Dash, source: PageData) -> None:
    """Each lab follows its own knobs."""

    @app.callback(
        Output(ids.ORACLE_CAP_SAYS, "children"),
        Output(ids.ORACLE_CAP, "figure"),
        Input(ids.ORACLE_CAP_OF, "value"),
        Input(ids.ORACLE_CAP_BY, "value"),
        Input(ids.THEME, "data"),
    )
    def show_cap(asset: object, by: object, theme: str | None) -> tuple[list[Any], dict]:
        loaded = source.loaded()
        try:
            error = -asked(by, "too low by", 0, 90) / 100
            gap = cap_low(loaded, str(asset), error)
        except rc.InputError as wrong:
            return refused(wrong, theme)
        figure = charts.cap(cap_curve(loaded, str(asset)), error, (gap.repaid_usd, gap.borrower_loss_usd), theme)
        return says_cap(gap, token_name(loaded.market, str(asset)), error), figure

    @app.callback(
        Output(ids.ORACLE_STUCK_SAYS, "children"),
        Output(ids.ORACLE_STUCK, "figure"),
        Input(ids.ORACLE_STUCK_OF, "value"),
        Input(ids.ORACLE_STUCK_BY, "value"),
        Input(ids.THEME, "data"),
    )
    def show_stuck(what: object, by: object, theme: str | None) -> tuple[list[Any], dict]:
        loaded = source.loaded()
        try:
            fall = asked(by, "market falls by", 0, 95) / 100
            gap = stuck(loaded, str(what), fall)
        except rc.InputError as wrong:
            return refused(wrong, theme)
        at = (gap.honest.repaid_usd - gap.first.repaid_usd, gap.bad_debt_usd)
        figure = charts.stuck(stuck_curve(loaded, str(what)), fall, at, theme)
        name = BY_KEY[str(what)].label if what in FEEDS else token_name(loaded.market, str(what))
        return says_stuck(gap, name, fall, lends(source, loaded)), figure

    @app.callback(
        Output(ids.ORACLE_MINT_SAYS, "children"),
        Output(ids.ORACLE_MINT, "figure"),
        Input(ids.ORACLE_MINT_OF, "value"),
        Input(ids.ORACLE_MINT_FOR, "value"),
        Input(ids.ORACLE_MINT_USD, "value"),
        Input(ids.ORACLE_MINT_BY, "value"),
        Input(ids.ORACLE_MINT_SEEN, "value"),
        Input(ids.THEME, "data"),
    )
    def show_minted(
        asset: object, borrowed: object, millions: object, by: object, seen: object, theme: str | None
    ) -> tuple[list[Any], dict]:
        loaded = source.loaded()
        try:
            usd = asked(millions, "minted", 0, 1e6) * 1e6
            markdown = asked(by, "marked down", 0, 99) / 100
            room = source.headroom(loaded.market)
            answer = minted(loaded, room, str(asset), usd, str(borrowed), markdown, oracle_sees=seen != "no")
        except rc.InputError as wrong:
            return refused(wrong, theme)
        whole = answer.found.gap.deficit_usd if answer.oracle_sees else answer.found.gap.bad_debt_usd
        figure = charts.minted(minted_curve(loaded, str(asset)), markdown, (whole,), theme)
        return says_minted(answer, str(asset), str(borrowed), markdown, usd), figure

    @app.callback(
        Output(ids.ORACLE_UPDATE_SAYS, "children"),
        Output(ids.ORACLE_UPDATE, "figure"),
        Input(ids.ORACLE_UPDATE_OF, "value"),
        Input(ids.ORACLE_UPDATE_RATIO, "value"),
        Input(ids.ORACLE_UPDATE_DAYS, "value"),
        Input(ids.ORACLE_UPDATE_GROWTH, "value"),
        Input(ids.ORACLE_UPDATE_PACE, "value"),
        Input(ids.THEME, "data"),
    )
    def show_update(
        asset: object, ratio: object, days: object, growth: object, pace: object, theme: str | None
    ) -> tuple[list[Any], dict]:
        loaded = source.loaded()
        try:
            found = update_of(source, loaded, {"reserve": asset, "ratio": ratio, "days": days, "growth": growth,
                                               "pace": pace})  # fmt: skip
        except rc.InputError as wrong:
            return refused(wrong, theme)
        return says_update(found), charts.update(found, asked(pace, "ratio grows", -100, 1_000) / 100, theme)


def outline() -> html.Div:
    """The parts that the callbacks fill and read."""
    says = (ids.ORACLE_CAP_SAYS, ids.ORACLE_STUCK_SAYS, ids.ORACLE_MINT_SAYS, ids.ORACLE_UPDATE_SAYS)
    picks = (ids.ORACLE_CAP_OF, ids.ORACLE_STUCK_OF, ids.ORACLE_MINT_OF, ids.ORACLE_MINT_FOR, ids.ORACLE_UPDATE_OF)
    fields = (
        ids.ORACLE_CAP_BY, ids.ORACLE_STUCK_BY, ids.ORACLE_MINT_USD, ids.ORACLE_MINT_BY, ids.ORACLE_UPDATE_RATIO,
        ids.ORACLE_UPDATE_DAYS, ids.ORACLE_UPDATE_GROWTH, ids.ORACLE_UPDATE_PACE,
    )  # fmt: skip
    return html.Div(
        [
            *[html.Div(id=one) for one in says],
            *[dbc.Select(id=one) for one in picks],
            *[dcc.Input(id=one) for one in fields],
            dbc.RadioItems(id=ids.ORACLE_MINT_SEEN),
            *[graph(one, charts.HEIGHT, "") for one in (ids.ORACLE_CAP, ids.ORACLE_STUCK, ids.ORACLE_MINT,
                                                        ids.ORACLE_UPDATE)],
        ]
    )  # fmt: skip


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
