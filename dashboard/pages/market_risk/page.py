"""Market: what can a position lose in a day, what does liquidity cost, and which protocol would I lend to?"""

from __future__ import annotations

from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import banner, card, graph, legend, row, segmented
from dashboard.look.shell import Page
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.series import HOUR
from dashboard.pages.market_risk import charts, lending
from dashboard.pages.market_risk.answers import LEVELS, NAMES, POSITION_USD, loss_curve
from dashboard.pages.market_risk.asked import (
    DEFAULT,
    correlation_json,
    correlation_of,
    curve_json,
    fits_json,
    rolling_json,
    rolling_of,
    volatility_json,
)
from dashboard.pages.market_risk.over_time import LEAST_WINDOWS, volatility
from dashboard.pages.market_risk.parts import asset, fits_table, methods_table, passport, range_says, verdict
from data.prices.portfolio import name_of, parse

RANGE = (-25, 25)
FILL = "python -m flows market-prices"


def build(source: PageData, _search: str) -> html.Div:
    """The page; its charts are filled by the callbacks."""
    known = source.series()
    if not known:
        raise Unavailable("No price series yet", "The page needs hourly prices of at least one asset.", FILL)
    start = DEFAULT if DEFAULT in known else known[0]
    controls = html.Div(
        [
            dbc.Select([{"label": asset(s), "value": s} for s in known], start, id=ids.MARKET_ASSET, className="pick"),
            html.Label("Portfolio", htmlFor=ids.MARKET_PORTFOLIO, className="t2 micro"),
            dcc.Input(
                id=ids.MARKET_PORTFOLIO,
                type="text",
                debounce=True,
                maxLength=400,
                placeholder="or shares: ETHUSDT=60 BTCUSDT=40",
                className="find",
            ),
            segmented(ids.MARKET_METHOD, [(NAMES[key], key) for key in NAMES], "historical", "Method"),
            segmented(ids.MARKET_LEVEL, [(fmt.share(level, 0), str(level)) for level in LEVELS], "0.95", "Level"),
        ],
        className="bar",
    )
    marks = [("cat-other", "result", "block"), ("scenario", "VaR", "solid"), ("text", "ES", "solid")]
    size = fmt.money_full(POSITION_USD)
    left = card(
        f"Loss of a {size} position in one day",
        [controls, graph(ids.MARKET_LOSSES, 300, "Results by day against what was forecast the day before")],
        html.Span(id=ids.MARKET_PASSPORT),
        "each forecast uses only the days before it",
        legend(marks),
        source="/api/v1/rolling-var",
    )
    right = card(
        "Does each method hold?",
        html.Div(id=ids.MARKET_METHODS),
        "Kupiec: how many; Christoffersen: whether they follow each other; both at 5\u202f%",
        "exceptions, expected",
        flush=True,
        source="/api/v1/rolling-var",
    )
    handles = html.Div(
        dcc.RangeSlider(
            -50, 50, 1, value=list(RANGE), id=ids.MARKET_RANGE, marks=None, allow_direct_input=False, pushable=2
        ),
        className="rw-slider range",
    )
    liquidity = card(
        "Providing liquidity against holding",
        [
            html.Div(id=ids.MARKET_RANGE_SAYS, className="t2 micro"),
            graph(ids.MARKET_IL, 260, "Impermanent loss"),
            handles,
        ],
        "Share of the value of holding · before fees · v2: the whole range; v3: the range of the handles",
        "impermanent loss",
        legend([("text-2", "v2", "dashed"), ("scenario", "v3", "solid")]),
        source="/api/v1/il-curve",
    )
    restless = card(
        "How volatile, and for how long?",
        graph(ids.MARKET_VOLATILITY, 260, "Annualised volatility by horizon"),
        "Annualised · overlapping sums of hourly log returns · band: 95\u202f%, from as many windows as fit",
        "a year, by horizon",
        legend(
            [
                ("scenario", "whole history", "solid"),
                ("text", "last 30 days", "block"),
                ("warn", "GARCH ahead", "dashed"),
            ]
        ),
        source="/api/v1/market/volatility",
    )
    together = card(
        "Do they move together, and for how long?",
        graph(ids.MARKET_CORRELATION, 260, "Correlation with other series by horizon"),
        "Overlapping sums of hourly log returns · whiskers: 95\u202f%, from as many independent windows as fit; none "
        f"where {LEAST_WINDOWS} or fewer do",
        "correlation of log returns, by horizon",
        source="/api/v1/market/correlation",
    )
    fitted = card(
        "What GARCH was fitted to",
        html.Div(id=ids.MARKET_FITS),
        "next variance = omega + alpha r² + beta variance, daily · ±: robust standard error · a failed fit is withheld",
        "newest first",
        flush=True,
        source="/api/v1/market/fits",
    )
    return html.Div(
        [
            html.Div(id=ids.MARKET_VERDICT),
            row([(left, {"xl": 8}), (right, {"xl": 4})]),
            row([(restless, {"xl": 6}), (together, {"xl": 6})]),
            row([(fitted, {"xl": 6}), (liquidity, {"xl": 6})]),
            *lending.cards(source),
        ],
        className="page",
    )


def register(app: Dash, source: PageData) -> None:
    """Charts follow the asset, method, level, range and theme."""

    @app.callback(
        Output(ids.MARKET_LOSSES, "figure"),
        Output(ids.MARKET_METHODS, "children"),
        Output(ids.MARKET_VERDICT, "children"),
        Output(ids.MARKET_PASSPORT, "children"),
        Input(ids.MARKET_ASSET, "value"),
        Input(ids.MARKET_METHOD, "value"),
        Input(ids.MARKET_LEVEL, "value"),
        Input(ids.MARKET_PORTFOLIO, "value"),
        Input(ids.THEME, "data"),
    )
    def show_losses(series: str, method: str, level: str, shares: str | None, theme: str | None) -> tuple[Any, ...]:
        try:
            answer = rolling_of(source, (shares or "").strip() or series, float(level))
        except rc.InputError as wrong:
            words = banner("watch", "no figure", str(wrong))
            return charts.nothing(theme, 300), words, words, ""
        chosen = answer.method(method)
        return (
            charts.losses(answer, chosen, theme),
            methods_table(answer, method),
            verdict(answer, chosen),
            passport(answer),
        )

    @app.callback(
        Output(ids.MARKET_IL, "figure"),
        Output(ids.MARKET_RANGE_SAYS, "children"),
        Input(ids.MARKET_ASSET, "value"),
        Input(ids.MARKET_RANGE, "value"),
        Input(ids.THEME, "data"),
    )
    def show_liquidity(series: str, ends: list[int], theme: str | None) -> tuple[Any, ...]:
        low, high = held_range(ends)
        curve = loss_curve(low, high, source.closes(series, HOUR))
        return charts.impermanent(curve, theme), range_says(curve, source.closes(series, HOUR))

    @app.callback(Output(ids.MARKET_VOLATILITY, "figure"), Input(ids.MARKET_ASSET, "value"), Input(ids.THEME, "data"))
    def show_volatility(series: str, theme: str | None) -> dict:
        try:
            return charts.restlessness(volatility(source.closes(series, HOUR), source.fits(series)), theme)
        except rc.InputError as short:
            return charts.nothing(theme, 260, str(short))

    lending.register(app, source)

    @app.callback(Output(ids.MARKET_CORRELATION, "figure"), Input(ids.MARKET_ASSET, "value"), Input(ids.THEME, "data"))
    def show_correlation(series: str, theme: str | None) -> dict:
        return charts.together(correlation_of(source, series), theme)

    @app.callback(
        Output(ids.MARKET_FITS, "children"), Input(ids.MARKET_ASSET, "value"), Input(ids.MARKET_PORTFOLIO, "value")
    )
    def show_fits(series: str, shares: str | None) -> Any:
        try:
            return fits_table(source.fits(name_of(parse((shares or "").strip() or series))))
        except rc.InputError as wrong:
            return banner("watch", "no figure", str(wrong))


def held_range(ends: list[int]) -> tuple[float, float]:
    """The handles as moves; the range always has the price of now inside."""
    low, high = min(ends), max(ends)
    return min(low, -1) / 100, max(high, 1) / 100


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    charted = (ids.MARKET_LOSSES, ids.MARKET_IL, ids.MARKET_VOLATILITY, ids.MARKET_CORRELATION)
    inner = (ids.MARKET_METHODS, ids.MARKET_FITS, ids.MARKET_VERDICT, ids.MARKET_PASSPORT, ids.MARKET_RANGE_SAYS)
    return html.Div(
        [
            *[graph(chart, 260, "") for chart in charted],
            *[html.Div(id=part) for part in inner],
            dbc.Select(id=ids.MARKET_ASSET),
            dcc.Input(id=ids.MARKET_PORTFOLIO),
            dbc.RadioItems(id=ids.MARKET_METHOD),
            dbc.RadioItems(id=ids.MARKET_LEVEL),
            dcc.RangeSlider(id=ids.MARKET_RANGE, min=-50, max=50),
            *lending.outline(),
        ]
    )


PAGE = Page(
    "/market", "Market", "What can a position lose in a day?", "market", "Markets", build, outline, register,
    {
        "rolling-var": rolling_json, "il-curve": curve_json, "market/volatility": volatility_json,
        "market/correlation": correlation_json, "market/fits": fits_json, "market/scores": lending.scores_json,
        "market/letter": lending.moves_json, "market/value-locked": lending.locked_json,
    },
)  # fmt: skip
