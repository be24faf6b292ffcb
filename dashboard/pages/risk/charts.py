"""Charts of the Risk page: the figure by model, when and where collateral is sold, convergence, when it begins."""

from __future__ import annotations

from typing import Any

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, money_axis, money_ticks
from dashboard.look.escaping import charted
from dashboard.pages.risk.answers import FEW, Answer, Envelope, Heat, Judged, begun

LEVEL = 0.99
"""Of the estimate whose convergence is shown."""


def envelope(found: Envelope, theme: str | None, height: int = 262) -> Figure:
    """A dot with its 95 % interval for each model, by group; grey: from the lowest to the highest that did not fail."""
    c = themes.colours(theme)
    groups = list(dict.fromkeys(one.model.group for one in found.models))
    ticks, texts, data, y = [], [], [], 0
    top = found.high
    for group in groups:
        ticks.append(y)
        texts.append(f"<i>{charted(group)}</i>")
        y += 1
        for one in (m for m in found.models if m.model.group == group):
            name = charted(one.model.name)
            ticks.append(y)
            texts.append(f"<b>{name}</b>" if one.model.in_use else name)
            data.append(_model(one, y, c))
            top = max(top, one.model.figure.high or one.model.figure.value)
            y += 1
    values, money = money_ticks(top, 3)
    used = next((one.model.figure.value for one in found.models if one.model.in_use), None)
    shapes = [
        {"type": "rect", "x0": found.low, "x1": found.high, "y0": -0.6, "y1": y - 0.4, "layer": "below",
         "fillcolor": c["band-base"], "line": {"width": 0}},
    ]  # fmt: skip
    if used is not None:
        line = {"color": c["scenario"], "width": 1, "dash": "dot"}
        shapes.append({"type": "line", "x0": used, "x1": used, "y0": -0.6, "y1": y - 0.4, "line": line})
    return {
        "data": data,
        "layout": layout(
            theme, height, hovermode="closest", shapes=shapes, margin={"l": 112, "r": 14, "t": 4, "b": 26},
            xaxis={"range": [0, top * 1.05], "tickvals": values, "ticktext": money, "fixedrange": True, **STANDOFF},
            yaxis={"range": [y - 0.4, -0.6], "tickvals": ticks, "ticktext": texts, "showgrid": False,
                   "fixedrange": True, "tickfont": {"size": 11, "color": c["text-2"]}, **STANDOFF},
        ),
    }  # fmt: skip


def _model(one: Judged, y: int, c: Any) -> dict[str, Any]:
    figure = one.model.figure
    colour = c["scenario"] if one.model.in_use else c["worse-mark"] if one.fails else c["baseline"]
    ends = None if figure.low is None or figure.high is None or figure.few_draws else (figure.low, figure.high)
    said = fmt.money_range(*ends) if ends else "few draws"
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "x": [figure.value], "y": [y],
        "marker": {"size": 9, "color": colour, "symbol": "x-thin" if one.fails else "circle",
                   "line": {"width": 2 if one.fails else 0, "color": colour}},
        "customdata": [[fmt.money(figure.value), said, charted(one.model.words)]],
        "hovertemplate": "<b>%{customdata[0]}</b> (%{customdata[1]})<br>%{customdata[2]}<extra></extra>",
    }  # fmt: skip
    if ends:
        trace["error_x"] = {
            "type": "data", "symmetric": False, "array": [ends[1] - figure.value],
            "arrayminus": [figure.value - ends[0]], "color": colour, "thickness": 1.5, "width": 3,
        }  # fmt: skip
    return trace


def heat(found: Heat, theme: str | None, height: int = 290) -> Figure:
    """USD by reserve and step; above the sums by step, to the right those by reserve."""
    c = themes.colours(theme)
    names = [charted(row.name) if row.name else "others" for row in found.rows]
    z = [[value if value > 0 else None for value in row.usd] for row in found.rows]
    hours = [f"{hour:g}" for hour in found.hours]
    sums = found.by_step
    totals = [label(fmt.money(sum(row.usd)), 1.0, k, c["text"], xref="paper", yref="y", xanchor="left", xshift=8)
              for k, row in enumerate(found.rows)]  # fmt: skip
    every = label(f"<b>{fmt.money(float(sums.sum()))}</b>", 1.0, 0.88, c["text"], xref="paper", yref="paper",
                  xanchor="left", yanchor="bottom", xshift=8)  # fmt: skip
    step = next(s for s in (1, 2, 3, 4, 6, 8, 12, 24) if len(hours) / s <= 6)
    shown = hours[step - 1 :: step]
    return {
        "data": [
            {"type": "bar", "x": hours, "y": sums.tolist(), "yaxis": "y2", "marker": {"color": c["cat-other"]},
             "customdata": [fmt.money(v) for v in sums],
             "hovertemplate": "until hour %{x}: <b>%{customdata}</b><extra></extra>"},
            {"type": "heatmap", "x": hours, "y": list(range(len(names))), "z": z, "zmin": 0, "xgap": 2, "ygap": 2,
             "showscale": False, "customdata": [[fmt.money(v) for v in row.usd] for row in found.rows],
             "text": [[name] * len(hours) for name in names],
             "hovertemplate": "%{text}, until hour %{x}: <b>%{customdata}</b><extra></extra>"},
        ],
        "layout": layout(
            theme, height, hovermode="closest", bargap=0.12, annotations=[*totals, every],
            margin={"l": 64, "r": 66, "t": 6, "b": 28},
            xaxis={"type": "category", "tickvals": shown, "ticktext": [f"{h} h" for h in shown], "fixedrange": True,
                   "showline": False, "tickangle": 0, **STANDOFF},
            yaxis={"domain": [0, 0.82], "range": [len(names) - 0.5, -0.5], "tickvals": list(range(len(names))),
                   "ticktext": names, "showgrid": False, "fixedrange": True,
                   "tickfont": {"size": 12, "color": c["text-2"]}, **STANDOFF},
            yaxis2={"domain": [0.86, 1], "range": [0, float(sums.max(initial=0.0)) * 1.05 or 1], "showgrid": False,
                    "showticklabels": False, "fixedrange": True},
        ),
    }  # fmt: skip


def convergence(found: Answer, theme: str | None, height: int = 250) -> Figure:
    """The estimate and its 95 % interval from the first paths alone, by their number on a log scale."""
    c = themes.colours(theme)
    sizes = found.tail.convergence
    x = [one.n_paths for one in sizes]
    # The first sizes have next to no upper end: the axis is that of the last ones.
    late = [one for one in sizes if one.n_paths * 8 >= sizes[-1].n_paths]
    top = 1.25 * max([one.high for one in late] or [1.0])
    low = [min(one.low, top) for one in sizes]
    high = [min(one.high, top) for one in sizes]
    data = [
        {"type": "scatter", "mode": "lines", "x": [*x, *x[::-1]], "y": [*low, *high[::-1]], "fill": "toself",
         "fillcolor": c["band-base"], "line": {"width": 0}, "hoverinfo": "skip"},
    ]  # fmt: skip
    firm = [one for one in sizes if one.n_paths * (1 - LEVEL) >= FEW - 1e-9]
    weak = sizes[: len(sizes) - len(firm) + bool(firm)]  # up to where the other line begins
    lines = ((weak, {"color": c["baseline"], "width": 1.5, "dash": "4px,3px"}),
             (firm, {"color": c["scenario"], "width": 2}))  # fmt: skip
    for part, line in lines:
        data.append(
            {"type": "scatter", "mode": "lines", "x": [o.n_paths for o in part], "y": [o.value for o in part],
             "line": line,
             "customdata": [[fmt.money(o.value), fmt.money_range(o.low, o.high), fmt.count(o.n_paths)] for o in part],
             "hovertemplate": "<b>%{customdata[0]}</b> (%{customdata[1]})<br>%{customdata[2]} paths<extra></extra>"}
        )  # fmt: skip

    def short(n: int) -> str:
        return f"{n / 1e6:g}M" if n >= 1e6 else f"{n / 1e3:g}k" if n >= 1e3 else str(n)

    ticks = [n for n in (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000) if x and x[0] <= n <= x[-1] * 1.01]
    return {
        "data": data,
        "layout": layout(
            theme, height, hovermode="closest", margin={"l": 52, "r": 16, "t": 8, "b": 26},
            xaxis={"type": "log", "tickvals": ticks, "fixedrange": True,
                   "ticktext": [short(n) for n in ticks], **STANDOFF},
            yaxis=money_axis(top, 1.0),
        ),
    }  # fmt: skip


def first_liquidation(found: Answer, theme: str | None, height: int = 250) -> Figure:
    """Share of paths with a liquidation by each hour: all paths in grey, the worst 1 % in blue."""
    c = themes.colours(theme)
    steps = found.tail.steps
    data: list[dict[str, Any]] = []
    if steps is not None:
        hours = [0.0, *steps.hours]
        lines = [("all paths", steps.first, c["baseline"], "5px,4px")]
        if steps.tail_first:
            lines.append(("worst 1\u202f%", steps.tail_first, c["scenario"], "solid"))
        for name, first, colour, dash in lines:
            share = begun(first)
            data.append(
                {"type": "scatter", "mode": "lines", "x": hours, "y": (100 * share).tolist(), "name": name,
                 "line": {"color": colour, "width": 2, "dash": dash}, "customdata": [fmt.share(s) for s in share],
                 "hovertemplate": f"{name} <b>%{{customdata}}</b><extra></extra>"}
            )  # fmt: skip
    last = steps.hours[-1] if steps is not None else 24.0
    size = next(s for s in (1, 2, 3, 4, 6, 12, 24, 48, 168, 1_000_000) if last / s <= 6)
    ticks = np.arange(0, last + 1e-9, size)
    return {
        "data": data,
        "layout": layout(
            theme, height, margin={"l": 48, "r": 16, "t": 8, "b": 26},
            xaxis={"range": [0, last], "tickvals": ticks.tolist(),
                   "ticktext": ["now", *[f"{t:g} h" for t in ticks[1:]]], "fixedrange": True,
                   "unifiedhovertitle": {"text": "by hour %{x:.1f}"}, **STANDOFF},
            yaxis={"range": [0, 102], "ticksuffix": "\u202f%", "nticks": 5, "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip
