"""The Dash application: a factory, and `server` for any WSGI host."""

from __future__ import annotations

import importlib.util
import logging
from functools import cache
from pathlib import Path
from typing import Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, html, set_props
from flask import Flask, Response, send_from_directory

from dashboard import api, guard, ids
from dashboard.look import formatting as fmt
from dashboard.look import shell as layout
from dashboard.look.components import banner, empty, missing
from dashboard.look.escaping import marked
from dashboard.look.shell import Page
from dashboard.market.page_data import AGE_LIMIT, PageData, Unavailable
from dashboard.market.warehouse import Warehouse
from dashboard.pages import PAGES

log = logging.getLogger(__name__)

WHAT_A_BUG_SAYS = "An unexpected error; the log of the server shows where"
BOOTSTRAP = "/vendor/bootstrap.min.css"
BOTTOM = 5
"""Pages in the bar at the bottom of a phone."""


def create_app(source: PageData | None = None, names: guard.Names | None = None) -> Dash:
    """A Dash app that shows `source`; None is the warehouse of `RISK_DB`. Nothing is read before a page asks for it.

    names: host names that the server answers to; None takes them from `HOST` and `DASHBOARD_HOSTS`. A request with any
    other `Host` is refused.
    """
    source = source or Warehouse()
    app = Dash(
        "dashboard",
        server=Flask("dashboard"),
        title="Liquidation risk workbench",
        update_title=None,
        index_string=layout.INDEX,
        external_stylesheets=[BOOTSTRAP],
        on_error=say_what_failed,
        assets_folder=str(Path(__file__).parent / "assets"),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    _serve_bootstrap(app.server)
    api.register(app.server, source)
    app.layout = layout.shell()
    # Dash shows one page at a time, so it needs the components of all pages here to check the callbacks.
    app.validation_layout = html.Div([app.layout, *[page.outline() for page in PAGES]])
    _register_shell(app, source)
    for page in PAGES:
        page.register(app, source)
    # Last, because each callback may add an inline script and the policy needs the hashes of all of them.
    hashes = [*app.csp_hashes(), guard.script_hash(layout.FIRST_SCRIPT)]
    guard.protect(app.server, names or guard.Names.of_environment(), guard.policy(hashes))
    return app


def open_page(source: PageData, path: str, search: str) -> tuple[Any, ...]:
    """(content, title, question, side links, bottom links, snapshot hash) of the page at `path`."""
    page = next((p for p in PAGES if p.path == path), None)
    if page is None:
        content: Any = dbc.Card(empty("No such page", f"Nothing is at {path}. The pages are in the navigation."))
        title, question = "Not found", ""
    else:
        asked = page.question_of(source, search) if page.question_of else page.question
        content, title, question = build(page, source, search), page.title, asked
    # A phone has room for five; the others are in its menu.
    links = [layout.nav_links(PAGES, path, grouped=True), layout.nav_links(PAGES[:BOTTOM], path, grouped=False)]
    return content, title, question, *links, source.status().snapshot_hash


def build(page: Page, source: PageData, search: str) -> Any:
    """The content of a page; where it fails, a card with the reason, so that the other pages can still be opened."""
    try:
        return page.build(source, search)
    except Unavailable as nothing:
        return missing(nothing.title, nothing.text, nothing.command)
    except Exception as error:
        log.exception("the page %s failed", page.path)
        return missing("This page cannot be shown", f"{WHAT_A_BUG_SAYS} ({type(error).__name__}: {error}).")


def show_status(source: PageData, shown: str | None) -> tuple[Any, ...]:
    """(badge, its class, foot of the navigation, banner); the banner tells of a newer snapshot or of an old one."""
    status = source.status()
    arrived = None
    if shown and status.block is not None and status.snapshot_hash != shown:
        arrived = banner(
            "flat",
            "new",
            "A new snapshot arrived while you work. This page stays on the one it was opened with.",
            html.A("Switch", href=""),
        )
    elif status.stale:
        age = fmt.age(status.age_seconds).removesuffix(" ago")
        text = f"The positions are {age} old, the limit is {fmt.hours(AGE_LIMIT / 3600)}. For newer ones run "
        arrived = banner("watch", "stale", [text, html.Code("python -m flows daily")])
    return *layout.badge(status), layout.foot(status), arrived


def say_what_failed(error: Exception) -> None:
    """Show above the page why a callback failed; the page itself stays as it is."""
    if isinstance(error, Unavailable):
        words: list[Any] = [html.B(marked(f"{error.title}. ")), error.text]
    else:
        log.error("a callback failed", exc_info=error)
        words = [html.B("This could not be answered. "), f"{WHAT_A_BUG_SAYS} ({type(error).__name__}: {error})."]
    set_props(ids.BANNER, {"children": banner("crit", "failed", words, html.A("Reload", href=""))})


def _register_shell(app: Dash, source: PageData) -> None:
    @app.callback(
        Output(ids.PAGE, "children"),
        Output(ids.TITLE, "children"),
        Output(ids.QUESTION, "children"),
        Output(ids.NAV, "children"),
        Output(ids.BOTTOM_NAV, "children"),
        Output(ids.SNAPSHOT, "data"),
        Input(ids.URL, "pathname"),
        State(ids.URL, "search"),
    )
    def route(path: str, search: str) -> tuple[Any, ...]:
        return open_page(source, path or "/", search or "")

    @app.callback(Output(ids.MENU_NAV, "children"), Input(ids.URL, "pathname"))
    def menu(path: str) -> list[Any]:
        return layout.nav_links(PAGES, path or "/", grouped=True)

    @app.callback(
        Output(ids.STATUS, "children"),
        Output(ids.STATUS, "className"),
        Output(ids.NAV_FOOT, "children"),
        Output(ids.MENU_FOOT, "children"),
        Output(ids.BANNER, "children"),
        Input(ids.CLOCK, "n_intervals"),
        Input(ids.SNAPSHOT, "data"),
    )
    def tick(_: int, shown: str | None) -> tuple[Any, ...]:
        badge, style, foot, warning = show_status(source, shown)
        return badge, style, foot, foot, warning

    app.clientside_callback(
        ClientsideFunction("workbench", "theme"),
        Output(ids.THEME, "data"),
        Input(ids.THEME_BUTTON, "n_clicks"),
        State(ids.THEME, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("workbench", "share"),
        Output(ids.COPIED, "children"),
        Output(ids.COPIED, "is_open"),
        Input(ids.SHARE, "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("workbench", "menu"),
        Output(ids.MENU, "is_open"),
        Input(ids.MENU_BUTTON, "n_clicks"),
        Input(ids.URL, "pathname"),
        prevent_initial_call=True,
    )


def _serve_bootstrap(server: Flask) -> None:
    """Serve Bootstrap's style sheet from its Python package: it is not committed here, and no other site is asked."""
    spec = importlib.util.find_spec("flask_bootstrap")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package bootstrap-flask is not installed; run: pip install -r requirements.txt")
    folder = Path(next(iter(spec.submodule_search_locations))) / "static" / "bootstrap5" / "css"

    @server.get(BOOTSTRAP)
    def bootstrap() -> Response:
        return send_from_directory(folder, "bootstrap.min.css", max_age=86_400)


@cache
def _server() -> Flask:
    return create_app().server


def __getattr__(name: str) -> Any:
    """`server`, the WSGI application, made when first asked for: `gunicorn dashboard.app:server --threads 4`."""
    if name == "server":
        return _server()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
