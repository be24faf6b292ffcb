"""Market: what can a position lose in a day, what does liquidity cost, and which protocol would I lend to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dash_bootstrap_components as dbc
import numpy as np
from dash import Dash, Input, Output, dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import banner, card, empty, graph, legend, pill, row, segmented, table
from dashboard.look.shell import Page
from dashboard.market.fits import StoredFit
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.series import DAY, HOUR, Closes
from dashboard.pages.market_risk import charts, lending
from dashboard.pages.market_risk.answers import (
    FILL_FITS,
    LEAST_WINDOWS,
    LEVELS,
    NAMES,
    POSITION_USD,
    Correlation,
    Method,
    Rolling,
    as_json,
    correlations,
    loss_curve,
    portfolio,
    rolling,
    volatility,
)
from data.prices.portfolio import name_of, parse

DEFAULT = "ETHUSDT"
RANGE = (-25, 25)
FILL = "python -m flows market-prices"
TONE = {
    "holds": "ok",
    "too many": "crit",
    "too few": "watch",
    "in a row": "warn",
    "too short": "flat",
    "withheld": "flat",
}
SAYS = {
    "holds": "The number of exceptions is one that a right method gives, and they do not follow each other",
    "too many": "More exceptions than a right method gives in 95 of 100 such histories",
    "too few": "Fewer exceptions than a right method gives: its forecasts are too high",
    "in a row": "The number is right, but exceptions follow each other",
    "too short": "Too few days to tell",
    "withheld": "There is no fit to forecast with, and no other model is used instead",
}


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


def asset(series: str) -> str:
    """A series by its asset: ETHUSDT is ETH; a portfolio by its shares."""
    if " " in series:
        return ", ".join(
            f"{asset(name)} {share}\u202f%" for name, share in (part.split("=") for part in series.split())
        )
    return series.removesuffix("USDT") or series


def verdict(answer: Rolling, method: Method) -> html.Section:
    """The first sentences: the loss exceeded one day in so many, and whether the method has held."""
    if np.isnan(method.today):
        why = method.refused or "no forecast for the next day"
        return html.Section(
            [pill("flat", "withheld", SAYS["withheld"]), html.P([html.B(f"{method.name}: "), f"{why}."])],
            className="verdict",
        )
    often = {0.95: "One day in twenty", 0.99: "One day in a hundred"}.get(answer.level, fmt.share(1 - answer.level))
    tail = f", the mean of {method.tail_draws} days" if method.tail_draws else ""
    words = [
        f"{often}, a {fmt.money_full(answer.position_usd)} {asset(answer.symbol)} position loses ",
        html.B(f"{fmt.money(max(method.today, 0.0))} or more"),
        ", and on such days ",
        html.B(fmt.money(max(method.today_shortfall, 0.0))),
        f" on average{tail}. ",
    ]
    coverage = method.coverage
    if coverage is not None:
        words.append(
            f"Over {fmt.count(coverage.n)} days the loss was above its forecast {coverage.exceptions} times, "
            f"{coverage.expected:.1f} were expected."
        )
    return html.Section(
        [pill(TONE[method.verdict], method.verdict, SAYS[method.verdict]), html.P(words)], className="verdict"
    )


def methods_table(answer: Rolling, chosen: str) -> Any:
    """One row for each method: figure, exceptions, test results."""
    head = (("Method", False), ("VaR", True), ("ES", True), ("Exceptions", True))
    rows = []
    for method in answer.methods:
        coverage = method.coverage
        name = html.Div(
            [
                html.B(method.name) if method.key == chosen else method.name,
                html.Br(),
                pill(TONE[method.verdict], method.verdict, SAYS[method.verdict]),
                html.Div(withheld_words(method), className="t2 micro"),
            ]
        )
        few = f"{method.tail_draws} draws only" if 0 < method.tail_draws < 30 else ""
        seen = (
            [
                f"{coverage.exceptions} of {coverage.expected:.1f}",
                html.Div(f"P {_p(coverage.kupiec.p_value)}", className="t2 micro"),
            ]
            if coverage
            else [f"{int(method.exceeded.sum())} in {int(np.isfinite(method.var).sum())} d"]
        )
        shortfall = [fmt.money(method.today_shortfall), html.Div(few, className="t2 micro")]
        rows.append((name, fmt.money(method.today), html.Div(shortfall), html.Div(seen)))
    return table(head, rows, tight=True)


def withheld_words(method: Method) -> str:
    """Why a method has no forecast, and for how many past days it had none."""
    past = f"withheld on {fmt.count(method.withheld_days)} past days" if method.withheld_days else ""
    return "; ".join(part for part in (method.refused, past) if part)


def fits_table(fits: Sequence[StoredFit]) -> Any:
    """The fits of a series or portfolio, newest first: parameters with their errors, or why there are none."""
    if not fits:
        return empty("No fit is stored", "GARCH of each series and portfolio is fitted every 20 days by:", FILL_FITS)
    head = (("Fitted", False), ("Days", True), ("alpha", True), ("beta", True), ("Long run, a year", True))
    rows: list[tuple[Any, ...]] = []
    reasons: list[str] = []
    for one in fits[: -MOST_FITS - 1 : -1]:
        day, fit = str(np.datetime64(one.fitted_ts, "s"))[:10], one.fit
        if fit.refused:
            rows.append((day, fmt.count(fit.n), html.Span("withheld", title=fit.refused), fmt.MISSING, fmt.MISSING))
            reasons.append(f"{day}: {fit.refused}. ")
            continue
        rows.append(
            (
                day,
                fmt.count(fit.n),
                _with_error(fit.alpha, fit.alpha_se),
                _with_error(fit.beta, fit.beta_se),
                fmt.share((365 * fit.long_run) ** 0.5),
            )
        )
    return html.Div(
        [table(head, rows, tight=True), html.P(reasons, className="t2 micro", style={"padding": "8px 14px"})]
    )


MOST_FITS = 6


def _with_error(value: float, error: float) -> html.Span:
    error_text = f" ± {error:.2f}" if np.isfinite(error) else " no error"
    return html.Span([f"{value:.2f}", html.Span(error_text, className="err")])


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2f}"


def passport(answer: Rolling) -> str:
    """Unit, closes, window and source of the rolling figures."""
    kind = "synthetic prices" if answer.synthetic else answer.source
    until = fmt.utc(float(answer.ts[-1]))
    days = f"window {answer.window} days · {fmt.count(len(answer.ts))} days to {until}"
    return f"USD · close to close, 00:00 UTC · {days} · {kind}"


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


def range_says(curve: Any, closes: Closes) -> list[Any]:
    """The range in dollars, and the share of the last days inside it."""
    now = float(closes.price[-1]) if len(closes.price) else float("nan")
    words: list[Any] = [
        "Range ",
        html.B(f"{fmt.money_full(now * (1 + curve.low))} to {fmt.money_full(now * (1 + curve.high))}"),
    ]
    if curve.in_range is not None:
        words += ["  ·  inside it for ", html.B(fmt.share(curve.in_range, 0)), f" of the last {curve.days} days"]
    return words


def rolling_of(source: PageData, text: str, level: float) -> Rolling:
    """The rolling figures of a series or a portfolio. Raises `InputError` for an unknown series."""
    closes = portfolio(text, lambda series: daily(source, series))
    return rolling(closes, level, fits=source.fits(closes.symbol))


def daily(source: PageData, series: str) -> Closes:
    """Closes at midnight UTC. Raises `InputError` for an unknown series."""
    known = source.series()
    if series not in known:
        raise rc.InputError(
            f"series: expected one of {', '.join(known) or 'none, there are no prices'}, found {series[:40]!r}"
        )
    return source.closes(series, DAY)


MOST_OTHERS = 4


def correlation_of(source: PageData, series: str) -> Correlation:
    """The correlation of a series with the first few other series."""
    others = [name for name in source.series() if name != series][:MOST_OTHERS]
    return correlations(source.closes(series, HOUR), [source.closes(name, HOUR) for name in others])


def rolling_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/rolling-var?series=ETHUSDT&level=0.95`, or `portfolio=ETHUSDT=60 BTCUSDT=40` for `series`."""
    level = query.get("level", "0.95")
    if level not in {str(known) for known in LEVELS}:
        raise rc.InputError(f"level: expected one of {', '.join(map(str, LEVELS))}, found {level[:40]!r}")
    return as_json(rolling_of(source, query.get("portfolio") or _series(source, query), float(level)))


def curve_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/il-curve?low=-0.25&high=0.25`: the ends of the range as moves of the price."""
    ends = []
    for name, default in (("low", "-0.25"), ("high", "0.25")):
        try:
            ends.append(float(query.get(name, default)))
        except ValueError:
            raise rc.InputError(f"{name}: expected a number such as {default}, found {query[name][:40]!r}") from None
    if not -1 < ends[0] < 0 < ends[1] < np.inf:
        raise rc.InputError(f"low and high: expected -1 < low < 0 < high, found {ends[0]} and {ends[1]}")
    return as_json(loss_curve(ends[0], ends[1], source.closes(_series(source, query), HOUR)))


def volatility_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/volatility?series=ETHUSDT`."""
    series = _series(source, query)
    return as_json(volatility(source.closes(series, HOUR), source.fits(series)))


def correlation_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/correlation?series=ETHUSDT`."""
    return as_json(correlation_of(source, _series(source, query)))


def fits_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/fits?series=ETHUSDT`, or `portfolio=` as for the rolling figures."""
    name = name_of(parse(query.get("portfolio") or _series(source, query)))
    return {"portfolio": name, "fits": [asdict(one) for one in source.fits(name)]}


def _series(source: PageData, query: Mapping[str, str]) -> str:
    known = source.series()
    series = query.get("series", DEFAULT)
    if series not in known:
        raise rc.InputError(
            f"series: expected one of {', '.join(known) or 'none, there are no prices'}, found {series[:40]!r}"
        )
    return series


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
