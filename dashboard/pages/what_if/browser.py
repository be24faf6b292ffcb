"""What of What-if must not wait for the server; the functions are in assets/workbench.js."""

from __future__ import annotations

from typing import Any

from dash import ALL, MATCH, ClientsideFunction, Dash, Input, Output, State

from dashboard import ids


def register(app: Dash) -> None:
    """Sliders, chips, the pair of scenarios, and which of the two simulated answers is drawn."""

    def run(function: str, *arguments: Any, initial: bool = False) -> None:
        app.clientside_callback(ClientsideFunction("workbench", function), *arguments, prevent_initial_call=not initial)

    def part(kind: str) -> dict[str, Any]:
        return ids.of(kind, MATCH)

    run(
        "row",
        Output(part("slider"), "value"),
        Output(part("typed"), "value"),
        Output(part("row"), "className"),
        Output(part("fill"), "style"),
        Output(part("problem"), "children"),
        Input(part("slider"), "value"),
        Input(part("typed"), "value"),
        Input(part("reset"), "n_clicks"),
        State(part("driver"), "data"),
        initial=True,
    )
    run(
        "collect",
        Output(ids.WHAT_IF, "data"),
        Input(ids.of("slider", ALL), "value"),
        Input(ids.HELD, "data"),
        Input(ids.TERMS, "data"),
    )
    terms = Output(ids.TERMS, "data", allow_duplicate=True)
    run("drop", terms, Input(ids.of("drop", ALL), "n_clicks"), State(ids.TERMS, "data"))
    run(
        "hold",
        Output(ids.HELD, "data"),
        Output(ids.PAIR, "className"),
        Output(ids.of("slider", ALL), "value", allow_duplicate=True),
        terms,
        Input(ids.HOLD, "n_clicks"),
        Input(ids.SWAP, "n_clicks"),
        Input(ids.STOP_COMPARING, "n_clicks"),
        State(ids.WHAT_IF, "data"),
        State(ids.HELD, "data"),
        State(ids.of("driver", ALL), "data"),
    )
    run(
        "save",
        Output(ids.SAVED, "data"),
        Output(ids.SAVE_NAME, "value"),
        Input(ids.SAVE, "n_clicks"),
        Input(ids.SAVE_NAME, "n_submit"),
        Input(ids.of("forget", ALL), "n_clicks"),
        State(ids.SAVE_NAME, "value"),
        State(ids.WHAT_IF, "data"),
        State(ids.SAVED, "data"),
        State(ids.QUERY, "data"),
    )
    run("settle", Output(ids.SETTLED, "data"), Input(ids.WHAT_IF, "data"), initial=True)
    run(
        "preset",
        Output(ids.of("slider", ALL), "value", allow_duplicate=True),
        terms,
        Input(ids.of("chip", ALL), "n_clicks"),
        Input(ids.RESET_ALL, "n_clicks"),
        State(ids.PRESET_VALUES, "data"),
        State(ids.SAVED, "data"),
        State(ids.of("driver", ALL), "data"),
    )
    run(
        "reverse",
        Output(ids.of("slider", ALL), "value", allow_duplicate=True),
        terms,
        Input(ids.REVERSE_SET, "n_clicks"),
        State(ids.REVERSE_VALUES, "data"),
        State(ids.of("driver", ALL), "data"),
    )
    run("curve", Output(ids.of("slider", "eth"), "value", allow_duplicate=True), Input(ids.SWEEP, "clickData"))
    run("address", Output(ids.LINK_TEXT, "children"), Input(ids.QUERY, "data"))
    drawn = (
        (ids.THEN, "figure"), (ids.THEN_NOTE, "children"), (ids.THEN_BAR, "style"), (ids.THEN_SAYS, "children"),
        (ids.THEN_BOX, "className"),
    )  # fmt: skip
    # Two callbacks: Dash runs one only when nothing that leads to an input of it is under way, and the full answer is
    # under way from the moment that a handle moves. Not three, with the distribution before the exact answer: it then
    # came later, after 740 ms and not 580 in the median (`mc_drag_p95_ms`).
    run(
        "sharpen",
        *(Output(*one) for one in drawn),
        Input(ids.FIRST_ANSWER, "data"),
        Input(ids.QUERY, "data"),
        State(ids.WHAT_IF, "data"),
        State(ids.FULL_ANSWER, "data"),
    )
    run(
        "full",
        *(Output(*one, allow_duplicate=True) for one in drawn),
        Input(ids.FULL_ANSWER, "data"),
        State(ids.FIRST_ANSWER, "data"),
        State(ids.WHAT_IF, "data"),
    )
    run(
        "stale",
        Output(ids.SIMULATION, "className"),
        Output(ids.SIMULATION_NOTE, "children"),
        Input(ids.QUERY, "data"),
        Input(ids.SIMULATION_FOR, "data"),
    )
