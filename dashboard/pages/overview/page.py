"""Overview: how risky is it now, or was it at a stored block? The answer in a sentence, the run, and the evidence."""

from __future__ import annotations

from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, State, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import (
    banner,
    empty,
    error_text,
    graph,
    missing,
    pill,
    strip,
)
from dashboard.look.shell import Page
from dashboard.market.loaded import ShownFigure, ShownRun
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.overview import charts, past_parts
from dashboard.pages.overview.answers import Position, Verdict, position, verdict
from dashboard.pages.overview.cards import NO_RUN, exact_cards, kpis, risk_cards
from dashboard.pages.overview.distribution import repaid_distribution
from dashboard.pages.overview.past import LIST, Chosen, changes_json, chosen, hash_of, query_of, timeline_json
from dashboard.pages.overview.past_parts import AHEAD, changed, command, control, timeline_card, told_as_past
from dashboard.pages.overview.told import brief_json, told
from dashboard.pages.overview.watched import watched

QUESTION = "How risky is it now?"

Item = tuple[str, Any, str]


def build(source: PageData, search: str) -> html.Div:
    """The page of the newest snapshot or of a stored block, or what is missing and the command that fills it."""
    try:
        found = _chosen(source, search)
        loaded = source.loaded(found.at.hash if found is not None and found.is_past else None)
    except Unavailable as nothing:
        return missing(nothing.title, nothing.text, nothing.command)
    except rc.InputError as wrong:
        return missing("This block cannot be shown", str(wrong), LIST)
    past = found if found is not None and found.is_past else None
    text = "The snapshot is here, but no risk run of it is stored. This computes one:"
    if past is not None:
        text = "No risk run of this block is stored. This computes one, on prices up to the block's time only:"
    instead = empty("No run yet", text, NO_RUN if past is None else command(past.at.block))
    try:
        run = source.run(loaded.market.snapshot)
    except Unavailable as nothing:  # exact figures do not need the run, so they are shown
        run, instead = None, empty(nothing.title, nothing.text, nothing.command)
    today, figures = position(loaded), _address(past)
    parts: list[Any] = [] if found is None or len(found.blocks) < 2 else [control(found)]
    parts += [] if past is None else [told_as_past(past, run), timeline_card(past)]
    parts += [banner("watch", "note", text) for text in loaded.market.notes]
    parts += [banner("watch", "look ahead", AHEAD)] if run is not None and run.looks_ahead else []
    if run is None:
        parts += [dbc.Card(instead), strip(_position_items(today))]
    else:
        say = verdict(run, today)
        parts += [
            _verdict(say),
            kpis(run, today, say),
            strip(_position_items(today) + _run_items(run)),
            risk_cards(run, figures),
        ]
    if past is not None:
        parts += [changed(source, past), exact_cards(today, loaded, figures)]
        return html.Div(parts, className="page")
    since = [changed(source, found)]
    since += [] if found is None or len(found.blocks) < 2 else [timeline_card(found)]
    parts += [told(source), *since, exact_cards(today, loaded, figures), watched(source)]
    return html.Div(parts, className="page")


def _chosen(source: PageData, search: str) -> Chosen | None:
    """What the address asks for. The newest snapshot is shown also where the others cannot be listed."""
    query = query_of(search)
    try:
        return chosen(source, query)
    except Unavailable:
        if "block" in query:
            raise
        return None


def question(source: PageData, search: str) -> str:
    """The question that the page at this address answers."""
    try:
        found = _chosen(source, search)
    except (Unavailable, rc.InputError):
        return QUESTION
    return "How risky was it then?" if found is not None and found.is_past else QUESTION


def _address(past: Chosen | None) -> str:
    """Where the page's figures are served as JSON."""
    return "/api/v1/summary" + ("" if past is None else f"?block={past.at.block}")


def _verdict(say: Verdict) -> html.Section:
    words = [html.B(text) if bold else text for text, bold in say.parts]
    rule = "LaR 99 % as a share of all debt; the limits are on the About page"
    return html.Section([pill(say.severity, say.word, rule), html.P(words)], className="verdict")


def _position_items(today: Position) -> list[Item]:
    ratio = today.borrowed_usd / today.collateral_usd if today.collateral_usd else 0.0
    return [
        ("Supplied as collateral", fmt.money(today.collateral_usd), f"{fmt.count(today.n_reserves)} reserves"),
        ("Borrowed", fmt.money(today.borrowed_usd), f"{fmt.share(ratio)} of collateral"),
        ("Accounts", fmt.count(today.n_accounts), "all of them are included"),
        ("With debt", fmt.count(today.n_with_debt), f"{fmt.count(today.n_below_one)} below HF 1 now"),
    ]


def _run_items(run: ShownRun) -> list[Item]:
    seized, chance = run.estimate("lar_seized", 0.99), run.get("p_deficit")
    items: list[Item] = [
        ("Collateral seized, 99\u202f%", fmt.money(seized.value), error_text(seized) or "what liquidators get")
    ]
    if chance is not None:
        hits = f"{fmt.count(chance.n_positive or 0)} of {fmt.count(run.n_paths)} paths"
        items.append((f"P(deficit > $0), {fmt.hours(run.horizon_hours)}", _chance(chance), hits))
    return items


def _chance(chance: ShownFigure) -> Any:
    if not chance.n_positive:
        return f"< {fmt.share(chance.high, 2).removeprefix('< ')}" if chance.high else fmt.share(chance.value)
    error = "" if chance.few_draws else f"{fmt.PLUS_MINUS}{fmt.NO_BREAK}{chance.half_width * 100:.2g}"
    return [fmt.share(chance.value), html.Span(error, className="err")]


def register(app: Dash, source: PageData) -> None:
    """Charts follow the theme; they are drawn from the snapshot that the page was built from."""

    @app.callback(
        Output(ids.OVERVIEW_FAN, "figure"),
        Output(ids.OVERVIEW_SEIZED, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.URL, "search"),
    )
    def show_run(theme: str | None, snapshot: str, search: str | None) -> tuple[dict, dict]:
        run = _run(source, snapshot, search)
        return charts.lar_fan(run, theme), charts.seized_bars(run.seized_by_reserve, theme)

    @app.callback(
        Output(ids.OVERVIEW_DISTRIBUTION, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.URL, "search"),
    )
    def show_distribution(theme: str | None, snapshot: str, search: str | None) -> dict:
        return repaid_distribution(_run(source, snapshot, search), theme)

    @app.callback(
        Output(ids.OVERVIEW_DEBT, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.URL, "search"),
    )
    def show_debt(theme: str | None, snapshot: str, search: str | None) -> dict:
        loaded = source.loaded(hash_of(source, query_of(search), snapshot))
        return charts.debt_by_health_factor(position(loaded).buckets, theme)

    past_parts.register(app, source)


def _run(source: PageData, snapshot: str, search: str | None = None) -> ShownRun:
    """The stored run of a snapshot. Raises `Unavailable` if it was deleted while the page was open."""
    run = source.run(source.loaded(hash_of(source, query_of(search), snapshot)).market.snapshot)
    if run is None:
        raise Unavailable("No run yet", "The run that this page showed is not stored any more.", NO_RUN)
    return run


def outline() -> html.Div:
    """The charts that the callbacks fill."""
    charts = (ids.OVERVIEW_FAN, ids.OVERVIEW_DISTRIBUTION, ids.OVERVIEW_SEIZED, ids.OVERVIEW_DEBT)
    return html.Div([*[graph(chart, 234, "") for chart in charts], *past_parts.outline()])


PAGE = Page(
    "/",
    "Overview",
    QUESTION,
    "home",
    "Now",
    build,
    outline,
    register,
    {"overview/brief": brief_json, "overview/changes": changes_json, "overview/timeline": timeline_json},
    question,
)
