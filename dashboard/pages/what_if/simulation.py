"""The simulated part of What-if: its cards, the first answer that follows a handle, and the full one behind it."""

from __future__ import annotations

from threading import Semaphore
from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, State, html, no_update

import risk_core as rc
from dashboard import ids
from dashboard.look.components import card, empty, graph, skeleton
from dashboard.market.governance import fitted
from dashboard.market.lane import Lane
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.state import WhatIf
from dashboard.pages.what_if import outlook, parts, wording
from dashboard.pages.what_if.spread_chart import nothing, spread_chart
from dashboard.pages.what_if.world import NO_DEPTH, Depth, depth_of

ASK_AGAIN = 250
"""Milliseconds between two questions while a simulation is not done."""
PATIENCE = 1.0
"""Seconds for which a first answer waits for that of another reader: one at a time, so that pages are answered."""
NO_RUN = "python -m flows risk-scenarios"


def then_card() -> dbc.Card:
    """The distribution beside the exact answer."""
    lines = html.Div(id=ids.of("legend", "then"), className="leg")
    chart = graph(ids.THEN, 246, "Share of simulated paths by debt repaid over the horizon: baseline and scenario")
    bar = html.Span(html.I(), id=ids.THEN_BAR, className="part", style={"display": "none"}, **{"aria-hidden": "true"})
    right = html.Span([bar, " ", html.Span(id=ids.THEN_NOTE, className="t2 micro")], className="nowrap")
    footer = "USD repaid · share of paths, log scale · same random numbers for both · band and ± are 95\u202f%"
    return card("And then", [lines, html.Div(chart, id=ids.THEN_BOX)], footer, "simulated", right, source="")


def outlook_card() -> dbc.Card:
    """The measures of both sides with the error of their difference."""
    body = [
        html.Div(id=ids.SIMULATION_PROGRESS, className="prog"),
        html.Div(id=ids.SIMULATION_QUEUE, className="wait", role="status"),
        html.Div(skeleton(6), id=ids.SIMULATION, **{"aria-live": "polite"}, style={"minHeight": "230px"}),
    ]
    note = html.Span(id=ids.SIMULATION_NOTE, className="sub")
    footer = "Monte Carlo · same random numbers for both · errors are 95\u202f% half widths, paired"
    return card("What may happen next", body, footer, note, flush=True, source="")


def simulated(source: PageData, data: dict | None, snapshot: str | None) -> tuple[Any, dict[str, str] | None]:
    """(table of the simulated day, what it was computed for), or (why there is none, None). Waits for the work."""
    loaded = source.loaded(snapshot)
    run = source.run(loaded.market.snapshot)
    if run is None:
        return _no_scenario(), None
    state, _ = fitted(loaded, WhatIf.from_store(data))
    depth = _depth(source, loaded, state)
    return _shown(outlook.simulate(loaded, run.scenario, state, _paths(state), depth=depth), state)


def first_answer(source: PageData, data: dict | None, theme: str | None, snapshot: str | None) -> dict[str, Any]:
    """The distribution from the first paths, or a chart that says why there is none.

    Where liquidators have limits there is none: that takes too long to follow a handle.
    """
    state = WhatIf.from_store(data)
    try:
        loaded = source.loaded(snapshot)
        state, _ = fitted(loaded, state)
        run = source.run(loaded.market.snapshot)
        if run is not None and limited(state):
            return _none("With limits every path takes longer. It begins once the handle rests.", data, theme)
        if run is not None:
            return answered(outlook.first(loaded, run.scenario, state), state, data, theme)
        why = f"No calibrated scenario yet: {NO_RUN}"
    except Unavailable as none:
        why = none.title
    except rc.InputError:
        why = "This day could not be simulated"
    return _none(why, data, theme)


def _none(why: str, asked: dict | None, theme: str | None) -> dict[str, Any]:
    return {"asked": asked, "figure": nothing(why, theme), "note": "", "says": "", "paths": 1, "of": 1}


def answered(result: outlook.Simulation, state: WhatIf, asked: dict | None, theme: str | None) -> dict[str, Any]:
    """A distribution as the browser keeps it: drawn, and in words. The figure says for which drivers it was drawn.

    asked: the drivers as the browser sent them, by which it finds out that the answer is the newest.
    """
    figure = spread_chart(result.spread, theme, state.sides)
    figure["layout"]["meta"] = result.query
    return {
        "asked": asked,
        "figure": figure,
        "note": wording.paths_note(result),
        "says": wording.then_says(result, state),
        "paths": result.n_paths,
        "of": result.spread.of_paths,
    }


def limited(state: WhatIf) -> bool:
    """Whether liquidators have limits in the scenario or in what it is compared with."""
    return state.limited or state.base.limited


def _paths(state: WhatIf) -> int:
    return outlook.LIMITED if limited(state) else outlook.PATHS


def _depth(source: PageData, loaded: LoadedMarket, state: WhatIf) -> Depth:
    return depth_of(source, loaded.market) if limited(state) else NO_DEPTH


def waited_for(
    source: PageData, lane: Lane, reader: str, data: dict | None, theme: str | None, snapshot: str | None
) -> tuple[Any, ...]:
    """State of a reader's simulation: (table, what it is for, words on the wait, class of the bar, clock off, chart).

    Returns at once. While the work waits or runs, the previous table stays on screen, and the clock asks again.
    """
    state = WhatIf.from_store(data)
    try:
        loaded = source.loaded(snapshot)
        state, _ = fitted(loaded, state)
        run = source.run(loaded.market.snapshot)
        depth = _depth(source, loaded, state)
    except Unavailable as nothing:
        return empty(nothing.title, nothing.text, nothing.command), None, "", "prog", True, None
    if run is None:
        return _no_scenario(), None, "", "prog", True, None
    key = (loaded.market.snapshot.hash, run.scenario.name, run.created_at, state, depth.key)
    found = lane.ask(
        reader,
        key,
        lambda told: outlook.simulate(loaded, run.scenario, state, _paths(state), progress=told, depth=depth),
    )
    if found.name == "done":
        return *_shown(found.value, state), "", "prog", True, answered(found.value, state, data, theme)
    if found.name == "failed":
        words = f"The engine said: {type(found.error).__name__}: {found.error}. Other values of the drivers may work."
        return empty("This day could not be simulated", words), None, "", "prog", True, None
    return no_update, no_update, parts.wait_words(found), "prog on", False, no_update


def _no_scenario() -> Any:
    return empty("No calibrated scenario yet", "The next day cannot be simulated before one is stored:", NO_RUN)


def _shown(result: outlook.Simulation, state: WhatIf) -> tuple[Any, dict[str, str]]:
    return parts.outlook_table(result, state.sides), {"query": result.query, "note": parts.outlook_note(result)}


def register(app: Dash, source: PageData) -> None:
    """The first answer follows the handle; the full one starts once it rests, in a queue of its own.

    So exact answers never wait for simulations.
    """
    lane, turn = Lane(), Semaphore()

    @app.callback(
        Output(ids.FIRST_ANSWER, "data"),
        Input(ids.WHAT_IF, "data"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.READER, "data"),
    )
    def show_first(data: dict, theme: str | None, snapshot: str, reader: str | None) -> dict[str, Any]:
        lane.leave(reader or "")  # the handle moves on: the full run of the drivers before would only be in the way
        if not turn.acquire(timeout=PATIENCE):
            return no_update  # others drag, too; the full answer comes through the queue
        try:
            return first_answer(source, data, theme, snapshot)
        finally:
            turn.release()

    @app.callback(
        Output(ids.SIMULATION, "children"),
        Output(ids.SIMULATION_FOR, "data"),
        Output(ids.SIMULATION_QUEUE, "children"),
        Output(ids.SIMULATION_PROGRESS, "className"),
        Output(ids.SIMULATION_CLOCK, "disabled"),
        Output(ids.FULL_ANSWER, "data"),
        Input(ids.SETTLED, "data"),
        Input(ids.SIMULATION_CLOCK, "n_intervals"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.READER, "data"),
        prevent_initial_call=True,
    )
    def show_outlook(
        data: dict | None, _: int, theme: str | None, snapshot: str | None, reader: str | None
    ) -> tuple[Any, ...]:
        if data is None:
            return (no_update,) * 6  # the theme came before the drivers
        return waited_for(source, lane, reader or "", data, theme, snapshot)
