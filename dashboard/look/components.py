"""The parts pages are made of. They lay out text that is already formatted; nothing here computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.axes import CONFIG
from dashboard.look.escaping import marked, named, shown
from dashboard.look.shapes import Handle, Shown
from dashboard.look.theme import reserve_token

Children = Any


def icon(name: str) -> html.I:
    """An icon of the sprite, hidden from screen readers: the text beside it says the same."""
    return html.I(className=f"ico ico-{name}", **{"aria-hidden": "true"})


def pill(severity: str, text: str, title: str = "") -> html.Span:
    """Severity as shape, word and colour together: ok, watch, warn, crit; flat is neutral."""
    return html.Span(marked(text), className=f"sev {severity}", title=marked(title) or None)


def passport(text: Children, source: str = "/api/v1/summary") -> dbc.CardFooter:
    """Footer of a card: unit, scenario, paths, seed, block, age, code; a link to its figures as JSON at `source`."""
    words = marked(text) if isinstance(text, str) else None
    parts: list[Children] = [html.Span(words if words is not None else text, className="txt", title=words)]
    if source:
        parts.append(
            html.A(
                icon("down"),
                href=source,
                target="_blank",
                title="The figures as JSON",
                **{"aria-label": "The figures as JSON"},
            )
        )
    return dbc.CardFooter(parts, className="pass")


def card(
    title: str,
    body: Children,
    footer: Children = "",
    sub: Children = "",
    right: Children = None,
    flush: bool = False,
    source: str = "/api/v1/summary",
) -> dbc.Card:
    """A card with title, subtitle, body and passport. flush: the body reaches the edges, as tables do."""
    head = [html.H2(marked(title)), html.Span(marked(sub), className="sub") if isinstance(sub, str) else sub]
    if right is not None:
        head += [html.Span(className="sp"), right]
    parts: list[Children] = [dbc.CardHeader(head), dbc.CardBody(body, className="flush scrollx" if flush else "")]
    if footer != "":  # not `if footer`: a span that a callback fills later is still empty and counts as false
        parts.append(passport(footer, source))
    return dbc.Card(parts)


def row(cards: Iterable[tuple[Children, Mapping[str, int]]], **more: Any) -> dbc.Row:
    """Cards beside each other on the grid of twelve. A card's widths by breakpoint: `{"md": 6}` is half from 768 px."""
    return dbc.Row(
        [dbc.Col(content, **{"width": 12} | dict(widths)) for content, widths in cards], className="g", **more
    )


def graph(component_id: str, height: int, label: str, figure: dict | None = None) -> html.Div:
    """A chart of `height` pixels, kept free while it loads; `label` is its sentence for screen readers."""
    empty = {"data": [], "layout": {"height": height, "xaxis": {"visible": False}, "yaxis": {"visible": False},
                                    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}}  # fmt: skip
    chart = dcc.Graph(id=component_id, figure=figure or empty, config=CONFIG, style={"height": f"{height}px"})
    return html.Div(chart, role="img", **{"aria-label": label})


def error_text(estimate: Shown) -> str:
    """Text beside a figure: its 95 % interval, or that there is none (`why_none` gives the reason); may be empty."""
    if estimate.n_positive == 0:
        return ""  # no draw is above zero, so there is no error; the note says so
    if estimate.few_draws:
        return "few draws"
    if estimate.no_interval:
        return "no interval"
    if estimate.low is None or estimate.high is None:
        return ""
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    if max(below, above) > 1.6 * max(min(below, above), 1e-9):
        return fmt.money_range(estimate.low, estimate.high)
    return fmt.money_error(estimate.value, estimate.half_width)


def money_value(estimate: Shown) -> list[Children]:
    """A figure in dollars with its error beside it, smaller."""
    return [
        html.Span(fmt.money(estimate.value), title=fmt.money_full(estimate.value)),
        html.Span(error_text(estimate), className="err", title=why_none(estimate)),
    ]


def why_none(estimate: Shown) -> str | None:
    """Why a figure has no interval, as a sentence to show; None where it has one."""
    return f"No 95\u202f% interval: {marked(estimate.no_interval)}" if estimate.no_interval else None


def kpi(
    component_id: str,
    label: str,
    value: Children,
    note: Children,
    meta: str,
    severity: Children = None,
    meaning: str = "",
    right: str = "",
) -> dbc.Card:
    """A key figure with its error, a note, and what it is measured over; `meaning` is shown on hover and focus."""
    name = f"{component_id}-label"
    tip = dbc.Tooltip(meaning, target=name, placement="top") if meaning else None
    focus = {"tabIndex": 0} if meaning else {}
    return dbc.Card(
        [
            html.Div([html.Span(label, id=name, **focus), tip, html.Span(className="sp"), severity], className="lab"),
            html.Div(shown(value), className="val", id=component_id),
            html.Div(shown(note), className="del"),
            html.Div([html.Span(meta), html.Span(className="sp"), html.Span(right)], className="meta"),
        ],
        className="kpi",
    )


def strip(items: Iterable[tuple[str, Children, str]]) -> html.Section:
    """Small figures in one line: label, value, note."""
    return html.Section(
        [
            html.Div(
                [
                    html.Div(label, className="l", title=label),
                    html.Div(shown(value), className="v"),
                    html.Div(marked(note), className="n", title=marked(note)),
                ]
            )
            for label, value, note in items
        ],
        className="strip",
    )


def token(symbol: str) -> html.Span:
    """A reserve's name with its colour."""
    dot = html.I(className="dot", style={"background": f"var(--ui-{reserve_token(symbol)})"})
    return html.Span([dot, named(symbol) or fmt.MISSING], className="tok")


def table(head: Sequence[tuple[str, bool]], rows: Iterable[Sequence[Children]], tight: bool = False) -> html.Table:
    """A table. head: (text, whether it holds figures) of each column; figures are aligned right.

    tight: for narrow cards.
    """
    numeric = ["num" if is_figure else None for _, is_figure in head]
    return html.Table(
        [
            html.Thead(html.Tr([html.Th(text, className=cls) for (text, _), cls in zip(head, numeric, strict=True)])),
            html.Tbody(
                [
                    html.Tr([html.Td(shown(cell), className=cls) for cell, cls in zip(row, numeric, strict=True)])
                    for row in rows
                ]
            ),
        ],
        className="t tight" if tight else "t",
    )


def empty(title: str, text: Children, command: str = "") -> html.Div:
    """What is missing, what it means, and the command that fills it."""
    parts: list[Children] = [html.B(marked(title)), html.P(shown(text))]
    if command:
        parts.append(html.Code(marked(command)))
    return html.Div(parts, className="empty")


def missing(title: str, text: Children, command: str = "") -> html.Div:
    """A page that has nothing to show yet."""
    return html.Div(dbc.Card(empty(title, text, command)), className="page")


def skeleton(rows: int) -> html.Div:
    """Grey bars in the place of a table that is still computed."""
    bars = [dbc.Placeholder(className="skel w-100", animation="glow") for _ in range(rows)]
    return html.Div(bars, className="skels", **{"aria-hidden": "true"})


def legend(items: Iterable[tuple[str, str, str]]) -> html.Div:
    """A legend where lines cannot be labelled at their end. items: (colour token, text, solid | dashed | block)."""
    marks = []
    for colour, text, kind in items:
        if kind == "block":
            mark = html.I(className="sq", style={"background": f"var(--ui-{colour})"})
        else:
            mark = html.I(style={"borderColor": f"var(--ui-{colour})", "borderTopStyle": kind})
        marks.append(html.Span([mark, text]))
    return html.Div(marks, className="leg")


def banner(severity: str, word: str, text: Children, action: Children = None) -> dbc.Alert:
    """A line above the page: severity in shape and word, what happened, and what can be done."""
    return dbc.Alert(
        [pill(severity, word), html.Span(shown(text)), html.Span(className="sp"), action],
        className=f"banner {severity}",
        color="secondary",
        fade=False,
    )


def compare(
    component_id: str,
    label: str,
    value: str,
    baseline: str,
    change: str,
    tone: str,
    title: str = "",
    beside: str = "baseline",
) -> dbc.Card:
    """A figure in the scenario, the same in the one beside it, and the difference in words and colour."""
    tag = pill("flat", "exact", "Exact: every account, no sampling")
    return dbc.Card(
        [
            html.Div([html.Span(label), html.Span(className="sp"), tag], className="lab"),
            html.Div(value, className="val", id=component_id, title=title or None),
            html.Div(f"{beside} {baseline}", className="bl"),
            html.Div(change, className=f"dl {tone}"),
        ],
        className="cmp",
    )


def segmented(component_id: str, options: Sequence[tuple[str, str]], value: str, says: str) -> html.Div:
    """Buttons, one of which is chosen. options: (text, value) of each; says: what is chosen, for screen readers."""
    choice = dbc.RadioItems(
        options=[{"label": text, "value": key} for text, key in options],
        value=value,
        id=component_id,
        className="seg",
        inputClassName="btn-check",
        labelClassName="ctl",
        labelCheckedClassName="on",
    )
    return html.Div(choice, role="group", **{"aria-label": says})


def address(text: str) -> html.Span:
    """A short form of an address or a hash; the tooltip shows all of it."""
    return html.Span(marked(fmt.short_hash(text)), className="mono", title=marked(text))


def slider_row(driver: Handle, value: float, note: str) -> html.Div:
    """A driver: label, number, reset, track with a fill from the baseline to the handle, and what it moves."""
    position = driver.position(driver.baseline)
    props = {k: getattr(driver, k) for k in ("key", "low", "high", "baseline", "unit")}
    changed = abs(value - driver.baseline) > 1e-9
    # No min and max here: a number out of range must reach the callback, which keeps the old one and says why.
    typed = dcc.Input(id=ids.of("typed", driver.key), type="number", value=value, step="any", debounce=True)
    slider = dcc.Slider(
        id=ids.of("slider", driver.key), min=driver.low, max=driver.high, step=driver.step, value=value, marks=None,
        updatemode="drag", allow_direct_input=False, included=False,
    )  # fmt: skip
    return html.Div(
        [
            html.Label(driver.label, htmlFor=ids.in_page(ids.of("typed", driver.key))),
            html.Span([typed, html.Span(driver.unit, className="unit")], className="inp"),
            html.Button(icon("reset"), id=ids.of("reset", driver.key), className="rs", n_clicks=0,
                        title=f"Reset {driver.label}", **{"aria-label": f"Reset {driver.label}"}),
            html.Div(
                [
                    html.Div(className="rail"),
                    html.Div(id=ids.of("fill", driver.key), className="fill"),
                    html.I(className="tick", style={"left": f"calc(8px + {position:.4f} * (100% - 16px) - 1px)"}),
                    html.Div(slider, className="rw-slider"),
                ],
                className="trk",
            ),
            html.Div(id=ids.of("problem", driver.key), className="no", role="alert"),
            html.Div([html.B(id=ids.of("caption", driver.key)), html.Span(note)], className="cap"),
            dcc.Store(id=ids.of("driver", driver.key), data=props),
        ],
        className="sl chg" if changed else "sl", id=ids.of("row", driver.key),
    )  # fmt: skip
