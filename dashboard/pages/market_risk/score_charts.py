"""Charts of the section on lending: the letter by assumption, and the value locked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, moments, money_axis, spread
from dashboard.look.escaping import charted
from dashboard.market.scores import Locked, LossChance
from risk_core.analytics.scores import LETTERS


def paths_words(one: LossChance) -> str:
    """How many paths a chance rests on; under importance sampling the paths that lose are not a share of them."""
    if one.method == "importance":
        return f"importance sampling, {fmt.count(one.n_paths)} paths"
    return f"{fmt.count(one.n_hits)} of {fmt.count(one.n_paths)} paths"


LEAST = 1e-4
"""Left end of the axis: smaller chances are drawn there."""
ROW = 34
TOP = 34


def height(n: int) -> int:
    """Height of the chart of `n` assumptions, pixels."""
    return TOP + ROW * max(n, 1) + 30


def letter_moves(chances: Sequence[LossChance], theme: str | None) -> Figure:
    """The yearly chance by assumption with its interval, over the bands of the letters; log scale.

    Where fewer than 30 paths had such a loss there is only the line of the interval, and no dot.
    """
    c = themes.colours(theme)
    n = len(chances)
    edges = [LEAST, *(most for _, most in LETTERS if most < 1), 1.0]
    shapes, notes = [], []
    for i, (name, _) in enumerate(LETTERS):
        low, high = edges[i], edges[i + 1]
        if i % 2 == 0:
            shapes.append({"type": "rect", "x0": low, "x1": high, "y0": -0.5, "y1": n - 0.5,
                           "fillcolor": c["band-base"], "line": {"width": 0}, "layer": "below"})  # fmt: skip
        if name != "D":  # a sliver at the right end
            middle = float(np.log10(low * high) / 2)
            notes.append(label(name.replace("-", fmt.MINUS), middle, 1.0, c["text-2"], yref="paper", yanchor="bottom"))
    data = []
    for place, one in enumerate(chances):
        colour = c["scenario"] if place == 0 else c["text-2"]
        low, high = max(one.low_year, LEAST), max(one.high_year, LEAST)
        hover = f"{charted(one.says)}: <b>{_per_cent(one)}</b> a year, {paths_words(one)}"
        data.append({
            "type": "scatter", "mode": "lines", "x": [low, high], "y": [place, place],
            "line": {"color": colour, "width": 3 if place == 0 else 2}, "hoverinfo": "skip",
        })  # fmt: skip
        dot = max(one.high_year if one.few_draws else one.probability_year, LEAST)
        data.append({
            "type": "scatter", "mode": "markers", "x": [dot], "y": [place], "hovertemplate": hover + "<extra></extra>",
            "marker": {"size": 9, "color": colour, "line": {"width": 2, "color": colour},
                       "symbol": "line-ns" if one.few_draws else "circle"},
        })  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, height(n), shapes=shapes, annotations=notes, margin={"l": 158, "r": 12, "t": TOP - 12, "b": 30},
            xaxis={
                "type": "log", "range": [np.log10(LEAST), 0], "fixedrange": True, "showgrid": False, **STANDOFF,
                "tickvals": [1e-4, 1e-3, 1e-2, 1e-1, 1],
                "ticktext": ["≤ 0.01", "0.1", "1", "10", "100\u202f%"],
            },
            yaxis={
                "tickvals": list(range(n)), "ticktext": [charted(one.says) for one in chances], "fixedrange": True,
                "range": [n - 0.5, -0.5], "showgrid": False, "zeroline": False,
            },
            hovermode="closest",
        ),
    }  # fmt: skip


def _per_cent(one: LossChance) -> str:
    if one.few_draws:
        return f"at most {fmt.share(one.high_year, 2)}"
    return f"{fmt.share(one.probability_year, 2)} ({fmt.share(one.low_year, 2)} to {fmt.share(one.high_year, 2)})"


def value_locked(found: Sequence[Locked], theme: str | None) -> Figure:
    """USD over time, one line for each protocol, with its name at the end."""
    c = themes.colours(theme)
    top = max((float(one.usd.max()) for one in found), default=0.0)
    data = [
        {
            "type": "scatter", "mode": "lines", "x": moments(one.ts), "y": one.usd.tolist(), "name": charted(one.slug),
            "line": {"color": c["scenario"] if i == 0 else c["text-2"], "width": 2 if i == 0 else 1.5},
            "customdata": [fmt.money(v) for v in one.usd],
            "hovertemplate": f"{charted(one.slug)} <b>%{{customdata}}</b><extra></extra>",
        }
        for i, one in enumerate(found)
    ]  # fmt: skip
    places = spread([float(one.usd[-1]) / top if top > 0 else 0.0 for one in found], 0.13)
    notes = [
        label(
            f"<b>{fmt.money(float(one.usd[-1]))}</b><br>{fmt.move(float(one.usd[-1] / one.usd[0] - 1))}", 1.0,
            place * top, c["text-2"], xref="paper", xanchor="left", yanchor="middle", xshift=8, align="left",
        )
        for one, place in zip(found, places, strict=True)
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 240, annotations=notes, margin={"l": 52, "r": 74, "t": 10, "b": 28},
            xaxis={"type": "date", "fixedrange": True, "nticks": 5, **STANDOFF}, yaxis=money_axis(top),
        ),
    }  # fmt: skip
