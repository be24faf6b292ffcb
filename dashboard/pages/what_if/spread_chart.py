"""The chart of a spread: steps of the share of paths by debt repaid, on a log axis, baseline behind scenario."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, money_ticks
from dashboard.market.loaded import ShownFigure
from dashboard.pages.what_if.spread import Array, Spread

HEIGHT = 246
UNSEEN = 1e-9
"""Share that stands for none on the log axis, far below its end."""


def spread_chart(found: Spread, theme: str | None, sides: tuple[str, str] = ("baseline", "scenario")) -> Figure:
    """Steps by amount with a line at each 99 % figure; a bin without a path is a gap. The scenario has its interval.

    sides: what the two are called.
    """
    c = themes.colours(theme)
    end = float(found.edges[-1])
    floor = math.log10(0.5 / found.of_paths)
    base, then = found.lar
    data = [_steps(sides[0], found.edges, found.baseline, {"color": c["baseline"], "width": 1.5, "dash": "5px,4px"},
                   c["band-base"])]  # fmt: skip
    shapes = [_line(base.value, {"color": c["baseline"], "width": 1.25, "dash": "5px,4px"})]
    notes = []
    if found.changed:
        data.append(_steps(sides[1], found.edges, found.scenario, {"color": c["scenario"], "width": 2}, c["band"]))
        shapes.append(_line(then.value, {"color": c["scenario"], "width": 1.5}))
        if not then.few_draws and then.low is not None and then.high is not None:
            shapes.append(_interval(then.low, min(then.high, end), c["band"]))
        notes += [
            _mark(sides[0], fmt.money(base.value), base.value, end, c["text-2"], row=1),
            _mark(sides[1], figure_words(then, partial=found.partial), then.value, end, c["text"]),
        ]
    else:
        notes.append(_mark(sides[0], figure_words(base, partial=found.partial), base.value, end, c["text"]))
    values, texts = money_ticks(end, 4)
    powers = [p for p in (0, -1, -2, -3, -4, -5) if p >= floor]
    return {
        "data": data,
        "layout": layout(
            theme, HEIGHT, shapes=shapes, annotations=notes, hovermode="x unified",
            margin={"l": 52, "r": 18, "t": 40, "b": 26},
            xaxis={"range": [0, end], "tickvals": values, "ticktext": texts, "fixedrange": True,
                   "unifiedhovertitle": {"text": "from %{x:$.3s}"}, **STANDOFF},
            yaxis={"type": "log", "range": [floor, 0.05], "tickvals": [10.0**p for p in powers],
                   "ticktext": [f"{100 * 10.0**p:g}\u202f%" for p in powers], "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def figure_words(figure: ShownFigure, *, partial: bool) -> str:
    """The figure with its error; from the first paths alone its interval, without a middle that could be taken for it.

    >>> figure_words(ShownFigure(3e6, 2e6, 4e6), partial=True)
    '$2.00M to $4.00M'
    """
    if figure.few_draws or figure.low is None or figure.high is None:
        return (
            f"{fmt.money(figure.value)}, few draws"
            if figure.few_draws and figure.value > 0
            else fmt.money(figure.value)
        )
    if partial:
        return fmt.money_range(figure.low, figure.high)
    sure = figure.half_width < 1e-3 * figure.value  # all paths bring the same, as where capital ends
    return fmt.money(figure.value) + ("" if sure else f" {fmt.money_error(figure.value, figure.half_width)}")


def nothing(text: str, theme: str | None) -> Figure:
    """The chart where there is no run to simulate."""
    c = themes.colours(theme)
    hidden = {"visible": False, "range": [0, 1], "fixedrange": True}
    words = label(text, 0.5, 0.5, c["text-2"], xref="paper", yref="paper")
    return {"data": [], "layout": layout(theme, HEIGHT, annotations=[words], xaxis=hidden, yaxis=hidden)}


def _steps(name: str, edges: Array, shares: Array, line: dict[str, Any], fill: str) -> dict[str, Any]:
    """The outline. Where no path is, it lies below the axis, out of sight: a gap would be filled across."""
    x = np.repeat(edges, 2)[1:-1]
    y = np.repeat(np.where(shares > 0, shares, UNSEEN), 2)
    return {
        "type": "scatter", "mode": "lines", "x": x.tolist(), "y": y.tolist(), "name": name, "line": line,
        "fill": "tozeroy", "fillcolor": fill, "customdata": [fmt.share(v, 2) for v in np.repeat(shares, 2)],
        "hovertemplate": f"{name} <b>%{{customdata}}</b> of paths<extra></extra>",
    }  # fmt: skip


def _line(x: float, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _interval(low: float, high: float, colour: str) -> dict[str, Any]:
    return {"type": "rect", "x0": low, "x1": high, "y0": 0, "y1": 1, "yref": "paper", "fillcolor": colour,
            "line": {"width": 0}, "layer": "below"}  # fmt: skip


def _mark(name: str, words: str, x: float, end: float, colour: str, row: int = 0) -> dict[str, Any]:
    """The label above a line, in a row of its own, so that two never meet; kept inside the plot near its ends."""
    anchor = "left" if x < 0.3 * end else "right" if x > 0.7 * end else "center"
    return label(f"{name}, 99\u202f%: <b>{words}</b>", min(x, end), 1.0, colour, yref="paper", xanchor=anchor,
                 yanchor="bottom", yshift=15 * row)  # fmt: skip
