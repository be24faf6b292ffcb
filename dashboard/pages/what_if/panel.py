"""The controls of What-if: the drivers, and what is done with a whole scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dashboard import ids
from dashboard.look.components import slider_row
from dashboard.look.escaping import named
from dashboard.market.drivers import DRIVERS
from dashboard.market.state import WhatIf
from dashboard.pages.what_if import parts, wording


def actions(state: WhatIf) -> html.Div:
    """Save this scenario under a name; compare it with the next one."""
    name = dcc.Input(
        id=ids.SAVE_NAME, type="text", placeholder="name", maxLength=parts.LONGEST_NAME, className="find", value="",
        style={"width": "108px"},
    )  # fmt: skip
    return html.Div(
        [
            html.Label("Save as", htmlFor=ids.SAVE_NAME, className="t3 micro"),
            name,
            html.Button("Save", id=ids.SAVE, className="ctl", n_clicks=0),
            html.Button("Compare two", id=ids.HOLD, className="ctl", n_clicks=0,
                        title="Keep this scenario as A; the drivers then change B"),
            html.Span(
                [
                    html.Button("Swap", id=ids.SWAP, className="ctl", n_clicks=0, title="The drivers change A instead"),
                    html.Button("Stop comparing", id=ids.STOP_COMPARING, className="ctl", n_clicks=0),
                ],
                id=ids.PAIR,
                className="acts" if state.held else "off",
            ),
        ],
        className="acts",
    )  # fmt: skip


def drivers(state: WhatIf, notes: Mapping[str, str], fixed: Sequence[str], terms: Sequence[Any] = ()) -> html.Aside:
    """Every driver in its group; a folded group states its values.

    fixed: reserves that no driver moves. terms: the changed parameters, see `parts.terms`.
    """
    store = state.to_store()
    words = (
        f"Fixed price at their oracle, moved by no driver: {', '.join(map(named, fixed))}."
        if fixed
        else "No reserve here has a fixed oracle."
    )
    reset = html.Button("Reset all", id=ids.RESET_ALL, className="ctl", n_clicks=0)
    names = wording.group_names()
    held = html.Div(list(terms), id=ids.TERMS_LIST, **{"aria-live": "polite"})
    groups = dbc.Accordion(
        [
            dbc.AccordionItem(
                held
                if name == wording.GOVERNANCE
                else [slider_row(d, store[d.key], notes[d.key]) for d in DRIVERS if d.group == name],
                title=[name, html.Span(wording.values_of(state, name), id=ids.of("values", name), className="sum")],
                item_id=name,
            )
            for name in names
        ],
        always_open=True,
        flush=True,
        active_item=names[:1],
    )
    return html.Aside(
        [
            html.Div(
                [html.B("Drivers"), html.Span("drag, or type", className="t3 micro"), html.Span(className="sp"), reset],
                className="hd",
            ),
            groups,
            html.Div(words, className="t3 micro", style={"padding": "0 14px 10px"}),
            html.Div(html.Span(id=ids.LINK_TEXT, className="txt mono"), className="pass"),
        ],
        className="card panel",
        **{"aria-label": "Drivers"},
    )
