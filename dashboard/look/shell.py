"""The shell around every page: navigation, top bar with the page's question, badge with the data's age, theme."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import icon
from dashboard.look.escaping import marked, named
from dashboard.look.shapes import Snapshot

FIRST_SCRIPT = """
// Before the first paint: the theme of the link (?theme=light), else the one chosen last.
(function () {
  var asked = new URLSearchParams(location.search).get("theme");
  try {
    if (asked === "dark" || asked === "light") localStorage.setItem("theme", JSON.stringify(asked));
    asked = JSON.parse(localStorage.getItem("theme"));
  } catch (e) {}
  if (asked === "light") document.documentElement.dataset.bsTheme = "light";
})();
"""
"""Our only inline script; the content security policy allows it by its hash."""

INDEX = (
    """<!doctype html>
<html lang="en" data-bs-theme="dark">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" type="image/svg+xml" href="/assets/mark.svg">
{%css%}
<script>"""
    + FIRST_SCRIPT
    + """</script>
</head>
<body>
<a class="skip" href="#page">Skip to the figures</a>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where it is, the question it answers, and the three functions that make it.

    build: content from a source and the address' query. outline: the same without data, with every component that a
    callback names, so that Dash checks the callbacks when the workbench starts. register: adds the callbacks to an
    app that shows a source. charts: what its charts show as JSON, by the address below `/api/v1/`, each a function of
    the source and the query that raises `InputError` for a query it cannot answer. question_of: the question of an
    address whose query changes it; never raises.
    """

    path: str
    title: str
    question: str
    icon: str
    group: str
    build: Callable[[Any, str], Any]
    outline: Callable[[], Any] = html.Div
    register: Callable[[Any, Any], None] = lambda app, source: None
    charts: Mapping[str, Callable[[Any, Mapping[str, str]], dict[str, Any]]] = field(default_factory=dict)
    question_of: Callable[[Any, str], str] | None = None


def shell() -> html.Div:
    """The frame that stays while pages change."""
    return html.Div(
        [
            dcc.Location(id=ids.URL, refresh="callback-nav"),
            dcc.Store(id=ids.THEME, storage_type="local"),
            dcc.Store(id=ids.SNAPSHOT),
            dcc.Interval(id=ids.CLOCK, interval=30_000),
            html.Nav(
                [
                    html.Div(
                        [
                            html.Img(src="/assets/mark.svg", alt=""),
                            html.Span(["Liquidation risk", html.Span("workbench", className="of")]),
                        ],
                        className="brand",
                    ),
                    dbc.Nav(id=ids.NAV, vertical=True),
                    html.Div(id=ids.NAV_FOOT, className="foot"),
                ],
                className="side",
                **{"aria-label": "Pages"},
            ),
            html.Div(
                [
                    html.Header(
                        [
                            html.Button(
                                icon("menu"),
                                id=ids.MENU_BUTTON,
                                className="ctl icon only-s",
                                n_clicks=0,
                                title="Pages and snapshot",
                                **{"aria-label": "Pages and snapshot"},
                            ),
                            html.H1(id=ids.TITLE),
                            html.Span(id=ids.QUESTION, className="q"),
                            html.Span(className="sp"),
                            html.Span(id=ids.STATUS, className="badge-s"),
                            html.Button(
                                icon("sun"),
                                id=ids.THEME_BUTTON,
                                className="ctl icon",
                                n_clicks=0,
                                title="Light or dark",
                                **{"aria-label": "Light or dark"},
                            ),
                            html.Button(
                                [icon("share"), html.Span("Share")],
                                id=ids.SHARE,
                                className="ctl opt",
                                n_clicks=0,
                                title="Copy the link, it holds the whole scenario",
                            ),
                        ],
                        className="top",
                    ),
                    html.Main([html.Div(id=ids.BANNER), html.Div(id=ids.PAGE)]),
                ],
                style={"minWidth": 0},
            ),
            html.Nav(dbc.Nav(id=ids.BOTTOM_NAV, fill=True), className="bottom", **{"aria-label": "Pages"}),
            dbc.Offcanvas(
                [dbc.Nav(id=ids.MENU_NAV, vertical=True), html.Div(id=ids.MENU_FOOT, className="foot")],
                id=ids.MENU,
                title="Liquidation risk",
                is_open=False,
                className="side-s",
            ),
            dbc.Toast(
                id=ids.COPIED, header="Share", is_open=False, dismissable=True, duration=3_000, className="toast-s"
            ),
        ],
        className="shell",
    )


def nav_links(pages: tuple[Page, ...], path: str, grouped: bool) -> list[Any]:
    """Links to the pages that exist, the open one marked; with group headings in the side bar."""
    links: list[Any] = []
    group = None
    for page in pages:
        if grouped and page.group != group:
            links.append(html.H6(page.group))
            group = page.group
        on = page.path == path
        links.append(
            dbc.NavLink(
                [icon(page.icon), html.Span(page.title, title=page.title)],
                href=page.path,
                className="on" if on else "",
                active=on,
            )
        )
    return links


def badge(status: Snapshot) -> tuple[list[Any], str]:
    """(content, class) of the badge that names the snapshot on every page."""
    if status.block is None:
        words = "Unreadable" if status.fault else "No data"
        return [html.Span(words, title=marked(status.fault) or None)], "badge-s sample"
    when = fmt.utc(status.block_time)
    if status.synthetic:
        content = [icon("about"), html.Span("Sample"), html.Span(f"data · {when}", className="opt")]
        return content, "badge-s sample"
    content = [
        html.Span(named(status.market)),
        html.Span(f"· block {fmt.count(status.block)} · {when}", className="opt"),
        html.Span(f"· {fmt.age(status.age_seconds)}"),
    ]
    return content, "badge-s old" if status.stale else "badge-s"


def foot(status: Snapshot) -> list[Any]:
    """Snapshot and protocol revision at the foot of the navigation."""
    if status.block is None:
        return [marked(status.fault) or "No snapshot yet"]
    return [
        "Snapshot ",
        html.Span(marked(fmt.short_hash(status.snapshot_hash)), className="mono", title=marked(status.snapshot_hash)),
        html.Br(),
        named(status.market),
        html.Br(),
        f"Pool revision {status.revision} ({status.version})",
        html.Br(),
        "This market alone; Aave v4 is not read",
    ]
