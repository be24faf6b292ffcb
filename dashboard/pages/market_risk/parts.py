"""What the Market page says of a series: the verdict, its tables and where its figures come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import empty, pill, table
from dashboard.market.fits import StoredFit
from dashboard.market.series import Closes
from dashboard.pages.market_risk.answers import (
    FILL_FITS,
    Method,
    Rolling,
)

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
