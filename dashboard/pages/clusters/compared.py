"""Clusters implied by prices beside clusters seen: the table, the sentence and the figures of that card."""

from __future__ import annotations

import math
from typing import Any

from dash import html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, graph, legend, table
from dashboard.look.escaping import marked
from dashboard.market.cluster_models import Compared
from dashboard.market.clusters import ClusterFit
from dashboard.pages.clusters.charts import COLOURS, WORDS
from data.liquidations import HOUR
from risk_core.analytics import hawkes
from risk_core.analytics.hawkes import INDEPENDENT, PRICES, PROCESS, SEEN

FILL = "python -m flows liquidation-clusters"
SAYS = {
    SEEN: "stored liquidations",
    PRICES: "the engine: no liquidation causes another",
    PROCESS: "as fitted to what was seen",
    INDEPENDENT: "Poisson, at the rate seen",
}


def compared_card(fit: ClusterFit) -> Any:
    """The card, or what fills it."""
    title = "Do prices alone explain the bursts?"
    if not fit.compared:
        text = "What was seen has not been compared with the engine's liquidations yet. This does it:"
        return card(title, empty("Not compared yet", text, FILL), source="")
    first = fit.compared[0]
    step, window = fmt.hours(first.step_seconds / HOUR), fmt.hours(first.window_seconds / HOUR)
    keys = [
        (COLOURS[one.of][0], WORDS[one.of], "dashed" if COLOURS[one.of][1] == "dash" else "solid")
        for one in fit.compared
        if one.greatest.size
    ]
    prices = _of(fit, PRICES)
    engine = f"{fmt.count(prices.n_windows)} paths of the engine" if prices and prices.n_windows else "no engine paths"
    return card(
        title,
        [
            html.P(sentence(fit), className="t2 note-s"),
            graph(ids.CLUSTERS_COMPARED, 300, f"Chance that the fullest {step} of {window} has at least so many"),
            html.Div(compared_table(fit), className="scrollx"),
        ],
        f"dispersion: variance over mean of counts, 1 where independent · gain: log-likelihood per event under the "
        f"excitement fitted to what was seen, above independent events, at the row's own rate · {engine}, book and "
        f"prices of the newest snapshot · 95\u202f% intervals from resampled windows · grey: interval of what was seen",
        f"chance that the fullest {step} of {window} has at least so many liquidations",
        legend(keys),
        source="/api/v1/clusters/compared",
    )


def _of(fit: ClusterFit, of: str) -> Compared | None:
    return next((one for one in fit.compared if one.of == of), None)


def sentence(fit: ClusterFit) -> str:
    """What the comparison says, in words; nothing is claimed inside the intervals."""
    seen, prices = _of(fit, SEEN), _of(fit, PRICES)
    if seen is None or seen.missing:
        return f"Not known: {seen.missing if seen else 'nothing was counted'}."
    window = fmt.hours(seen.window_seconds / HOUR)
    value, low, high = seen.figures["dispersion_window"]
    words = f"Counts of {window} scatter {value:.1f} times as much as independent ones would{_ends(low, high)}. "
    if prices is None or prices.missing:
        return words + f"What prices alone bring is not known: {marked(prices.missing) if prices else 'not counted'}."
    alone, alone_low, alone_high = prices.figures["dispersion_window"]
    if not math.isfinite(alone):
        return words + "On the engine's paths nothing was liquidated."
    words += (
        f"By prices alone it would be {alone:.1f}{_ends(alone_low, alone_high)}, with {prices.figures['mean'][0]:,.1f} "
        f"of them instead of {seen.figures['mean'][0]:,.1f}: "
    )
    if math.isfinite(high + alone_low) and alone_low > high:
        words += "more than was seen, so common moves of prices are enough to explain the bursts."
    elif math.isfinite(low + alone_high) and alone_high < low:
        words += "less than was seen, so part of the bursts does not come from prices that move on this book."
    else:
        words += "no clear difference."
    return words


def _ends(low: float, high: float) -> str:
    return f" ({low:.1f} to {high:.1f})" if math.isfinite(low + high) else ""


def compared_table(fit: ClusterFit) -> Any:
    """A row for what was seen and each of what would be expected."""
    first = fit.compared[0]
    step, window = fmt.hours(first.step_seconds / HOUR), fmt.hours(first.window_seconds / HOUR)
    head = (
        ("", False), (f"In {window}", True), (f"Dispersion, {step}", True), (f"Dispersion, {window}", True),
        ("Followers it looks like", True), (f"In hours with {first.at_least}+" if step == fmt.hours(1) else
        f"In steps with {first.at_least}+", True), ("Gain", True),
    )  # fmt: skip
    return table(head, [_row(one) for one in fit.compared], tight=True)


def _row(one: Compared) -> tuple[Any, ...]:
    name = html.Div([html.B(WORDS[one.of]), html.Div(SAYS[one.of], className="t2 micro")])
    if one.missing:
        why = html.Span("not known", className="t3", title=marked(one.missing))
        return (name, why, *[fmt.MISSING] * 5)
    dispersion = one.figures["dispersion_window"][0]
    followers = fmt.MISSING if math.isnan(dispersion) else f"{hawkes.branching_of(dispersion):.2f}"
    return (
        name,
        _figure(one, "mean", lambda v: f"{v:,.1f}"),
        _figure(one, "dispersion_step", lambda v: f"{v:,.1f}"),
        _figure(one, "dispersion_window", lambda v: f"{v:,.1f}"),
        followers,
        _figure(one, "in_bursts", fmt.share),
        _figure(one, "gain", lambda v: f"{v:+.2f}".replace("-", fmt.MINUS)),
    )


def _figure(one: Compared, name: str, words: Any) -> Any:
    value, low, high = one.figures[name]
    if math.isnan(value):
        return "0" if one.of == INDEPENDENT and name == "gain" else fmt.MISSING
    if one.of == INDEPENDENT or not math.isfinite(low + high):
        return words(value)
    return html.Div([words(value), html.Div(f"{words(low)} to {words(high)}", className="t2 micro")])


def compared_json(fit: ClusterFit) -> dict[str, Any]:
    """`/api/v1/clusters/compared`: every row with its curve, unrounded."""
    return {
        "calibration_id": fit.calibration_id,
        "rows": [
            {
                "of": one.of, "missing": one.missing or None, "at_least": one.at_least, "run_id": one.run_id,
                "step_seconds": one.step_seconds, "window_seconds": one.window_seconds, "n_windows": one.n_windows,
                "n_events": one.n_events,
                **{name: dict(zip(("value", "low", "high"), of, strict=True)) for name, of in one.figures.items()},
                "levels": one.levels, "greatest": one.greatest, "greatest_low": one.low, "greatest_high": one.high,
            }
            for one in fit.compared
        ],
    }  # fmt: skip
