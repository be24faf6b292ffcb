"""What-if: what becomes liquidatable when prices move, exact while a slider moves; then a simulated next day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import dash_bootstrap_components as dbc
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import banner, card, graph, missing, row
from dashboard.look.escaping import marked
from dashboard.look.shell import Page
from dashboard.market.drivers import DRIVERS
from dashboard.market.governance import fitted
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.state import HELD, PRESETS, WhatIf, opened
from dashboard.pages.what_if import answers as shocks
from dashboard.pages.what_if import browser, charts, panel, parameters, parts, reverse, simulation, wording
from data.payloads import UndecodablePayload


def build(source: PageData, search: str) -> html.Div:
    """The page with the state of the link in its sliders, or what is missing and the command that fills it."""
    try:
        loaded = source.loaded()
    except Unavailable as nothing:
        return missing(nothing.title, nothing.text, nothing.command)
    state, problems = opened(search)
    state, refused = fitted(loaded, state)
    at = loaded.market.snapshot
    stamp = f"block {fmt.count(at.block)} · {fmt.utc(at.block_time)}"
    asked = reverse.start_target(loaded, "liquidated")
    card_of = parameters.parameters_card(loaded, stamp)
    held = parts.terms(loaded, state)
    said = (*problems, *refused)
    return _frame(state, shocks.driver_notes(loaded), loaded.assets.fixed, stamp, said, asked, card_of, held)


def outline() -> html.Div:
    """The page before any data: every component that a callback names."""
    notes = {driver.key: driver.note for driver in DRIVERS}
    return _frame(WhatIf(), notes, (), "", (), 0.0, parameters.parameters_card(None, ""))


def _frame(
    state: WhatIf,
    notes: Mapping[str, str],
    fixed: Sequence[str],
    stamp: str,
    problems: Sequence[str],
    asked: float,
    card_of: dbc.Card,
    held: Sequence[Any] = (),
) -> html.Div:
    """asked: USD that the reverse stress opens with. card_of: that of the parameters; held: those that are changed."""
    answers = html.Div(
        [
            dbc.Row(id=ids.COMPARE, className="g"),
            row([(_sweep_card(stamp), {"xl": 6}), (simulation.then_card(), {"xl": 6})]),
            row([(simulation.outlook_card(), {"xl": 7}), (_accounts_card(stamp), {"xl": 5})]),
            _sold_card(stamp),
            reverse.reverse_card(asked, stamp),
            html.Div(card_of, id=ids.TERMS_CARD),
        ],
        className="grid",
    )
    return html.Div(
        [
            *[banner("watch", "link", text) for text in problems],
            html.Section(
                [
                    html.Span(id=ids.of("verdict", "pill")),
                    html.P([html.Span(id=ids.of("verdict", "now")), html.Span(id=ids.THEN_SAYS)]),
                ],
                className="verdict",
            ),
            html.Div([html.Div(id=ids.CHIPS, className="chips scroll"), panel.actions(state)], className="cases"),
            html.Div(id=ids.PINNED, className="pinned", **{"aria-live": "polite"}),
            html.Div([panel.drivers(state, notes, fixed, held), answers], className="wi"),
            dcc.Store(id=ids.WHAT_IF, data=state.to_store() | ({HELD: state.held.to_store()} if state.held else {})),
            dcc.Store(id=ids.HELD, data=state.held.to_store() if state.held else {}),
            dcc.Store(id=ids.TERMS, data=dict(state.terms)),
            dcc.Store(id=ids.SAVED, storage_type="local"),
            dcc.Store(id=ids.SETTLED),
            dcc.Store(id=ids.FIRST_ANSWER),
            dcc.Store(id=ids.FULL_ANSWER),
            dcc.Store(id=ids.READER, data=uuid4().hex),
            dcc.Interval(id=ids.SIMULATION_CLOCK, interval=simulation.ASK_AGAIN, disabled=True),
            dcc.Store(id=ids.QUERY),
            dcc.Store(id=ids.SIMULATION_FOR),
            dcc.Store(id=ids.PRESET_VALUES, data={p.key: p.state.to_store() for p in PRESETS}),
        ],
        className="page",
    )


def _sweep_card(stamp: str) -> dbc.Card:
    lines = html.Div(id=ids.of("legend", "curve"), className="leg")
    chart = graph(ids.SWEEP, 246, "Debt that liquidators repay at once, against the move of ETH: baseline and scenario")
    footer = f"USD · exact, every account · e-modes on · oracle prices · {stamp}"
    return card("Debt repaid as ETH falls", [lines, chart], footer, "click the curve")


def _sold_card(stamp: str) -> dbc.Card:
    blocks = html.Div(id=ids.of("legend", "sold"), className="leg")
    chart = graph(ids.SOLD, 246, "Collateral seized at once, by reserve: baseline and scenario")
    return card(
        "Collateral to be sold", [blocks, chart], f"USD seized at these prices · {stamp}", "at once, by reserve"
    )


def _accounts_card(stamp: str) -> dbc.Card:
    note = html.Span(id=ids.ACCOUNTS_COUNT, className="sub")
    return card(
        "Accounts that fall",
        html.Div(id=ids.ACCOUNTS),
        f"largest repayments first · {stamp}",
        note,
        flush=True,
        source="",
    )


def answer_to(
    source: PageData, data: dict | None, theme: str | None, snapshot: str | None, saved: object = None
) -> tuple[Any, ...]:
    """Everything exact on the page, for one state of the drivers."""
    loaded = source.loaded(snapshot)
    state, problems = fitted(loaded, WhatIf.from_store(data))
    outcome = shocks.outcome(loaded, state)
    return (
        parts.cards(outcome),
        parts.pinned(outcome),
        parts.chips(state, saved),
        charts.sweep(outcome.curve, theme, state.sides),
        charts.sold(outcome.sold, theme, state.sides),
        *parts.accounts(outcome),
        [outcome.captions[d.key] for d in DRIVERS],
        state.to_query(),
        *wording.verdict(outcome),
        *wording.all_values(state),
        wording.legends(state),
        parts.terms(loaded, state, problems),
    )


def reversed_to(
    source: PageData, measure: str, millions: object, theme: str | None, snapshot: str | None
) -> tuple[Any, ...]:
    """The nearest move that reaches an amount: (chart, words, drivers that come closest, whether there are none)."""
    try:
        usd = reverse.asked(millions)
        loaded, run = reverse.with_run(source, snapshot)
        found = reverse.answer(loaded, run, measure, usd)
    except (rc.InputError, Unavailable) as none:
        return charts.moves((), theme), reverse.refused(none), None, True
    return charts.moves(found.moved, theme), reverse.says(found, loaded), found.sliders.to_store(), False


def register(app: Dash, source: PageData) -> None:
    """Sliders work in the browser; one callback gives the exact answer; the simulation starts once the slider rests.

    Simulations have a queue of their own, so that exact answers never wait for them.
    """
    browser.register(app)
    simulation.register(app, source)

    @app.callback(
        Output(ids.COMPARE, "children"),
        Output(ids.PINNED, "children"),
        Output(ids.CHIPS, "children"),
        Output(ids.SWEEP, "figure"),
        Output(ids.SOLD, "figure"),
        Output(ids.ACCOUNTS, "children"),
        Output(ids.ACCOUNTS_COUNT, "children"),
        Output(ids.of("caption", ALL), "children"),
        Output(ids.QUERY, "data"),
        Output(ids.of("verdict", "pill"), "children"),
        Output(ids.of("verdict", "now"), "children"),
        Output(ids.of("values", ALL), "children"),
        Output(ids.of("values", ALL), "className"),
        Output(ids.of("legend", ALL), "children"),
        Output(ids.TERMS_LIST, "children"),
        Input(ids.WHAT_IF, "data"),
        Input(ids.THEME, "data"),
        Input(ids.SAVED, "data"),
        State(ids.SNAPSHOT, "data"),
    )
    def show_answer(data: dict, theme: str | None, saved: object, snapshot: str) -> tuple[Any, ...]:
        return answer_to(source, data, theme, snapshot, saved)

    @app.callback(
        Output(ids.REVERSE_MOVES, "figure"),
        Output(ids.REVERSE_SAYS, "children"),
        Output(ids.REVERSE_VALUES, "data"),
        Output(ids.REVERSE_SET, "disabled"),
        Input(ids.REVERSE_USD, "value"),
        Input(ids.REVERSE_MEASURE, "value"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        running=[(Output(ids.REVERSE_SAYS, "className"), "stale", "")],
    )
    def show_reverse(millions: object, measure: str, theme: str | None, snapshot: str | None) -> tuple[Any, ...]:
        return reversed_to(source, measure, millions, theme, snapshot)

    @app.callback(
        Output(ids.TERMS, "data"),
        Output(ids.TERMS_PROBLEM, "children"),
        Input(ids.TERMS_USE, "n_clicks"),
        State(ids.TERMS_NAME, "value"),
        State(ids.TERMS_FIELD, "value"),
        State(ids.TERMS_VALUE, "value"),
        State(ids.TERMS, "data"),
        State(ids.SNAPSHOT, "data"),
        prevent_initial_call=True,
    )
    def use_terms(
        _: int, name: object, field: object, percent: object, held: object, snapshot: str | None
    ) -> tuple[Any, str]:
        try:
            return parameters.used(source.loaded(snapshot), held, name, field, percent), ""
        except rc.InputError as refused:
            return no_update, marked(f"Not used: {refused}", 400)

    @app.callback(
        Output(ids.TERMS, "data", allow_duplicate=True),
        Output(ids.TERMS_READ_SAYS, "children"),
        Input(ids.TERMS_READ, "n_clicks"),
        State(ids.TERMS_PAYLOAD, "value"),
        State(ids.TERMS, "data"),
        State(ids.SNAPSHOT, "data"),
        prevent_initial_call=True,
    )
    def use_payload(_: int, text: object, held: object, snapshot: str | None) -> tuple[Any, str]:
        try:
            return parameters.pasted(source.loaded(snapshot), held, text)
        except (rc.InputError, UndecodablePayload) as refused:
            return no_update, marked(f"Not used: {refused}", 400)

    @app.callback(
        Output(ids.TERMS_SAYS, "children"),
        Input(ids.TERMS_NAME, "value"),
        Input(ids.TERMS_FIELD, "value"),
        Input(ids.TERMS_VALUE, "value"),
        State(ids.SNAPSHOT, "data"),
    )
    def show_terms(name: object, field: object, percent: object, snapshot: str | None) -> list[Any]:
        return parameters.answer(source, name, field, percent, snapshot)


PAGE = Page(
    "/what-if", "What-if", "What if prices move?", "whatif", "Now", build, outline, register,
    {"what-if/reverse": reverse.reverse_json, "what-if/parameters": parameters.parameters_json},
)  # fmt: skip
