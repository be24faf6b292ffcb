"""Charts of What-if: the curve as ETH falls, and the collateral to be sold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, money_axis
from dashboard.look.escaping import charted
from dashboard.pages.what_if.answers import Curve, Pair

BASELINE = ("baseline", "scenario")
"""What the two are called where nothing else is said."""


def sweep(curve: Curve, theme: str | None, sides: tuple[str, str] = BASELINE) -> Figure:
    """Debt repaid as ETH falls: the scenario over the dashed baseline, the area between them tinted."""
    c = themes.colours(theme)
    fall, eth = np.asarray(curve.fall), curve.handle[0]
    limit = 0.4 if eth <= 0.36 else 0.6
    keep = fall <= limit + 1e-9
    x = (-100 * fall[keep]).tolist()
    baseline, scenario = curve.baseline[keep], curve.scenario[keep]
    top = max(float(baseline.max(initial=0.0)), float(scenario.max(initial=0.0)), curve.handle[1], 1.0)
    here = min(eth, limit)
    left = here > 0.22 * limit  # the curve rises to the right, so the label goes to the left where there is room
    name = "ETH as today" if eth < 0.005 else f"ETH {fmt.move(-eth)}"
    grid = [0, -10, -20, -30, -40] if limit < 0.5 else [0, -20, -40, -60]
    lines = [
        (sides[0], baseline, {"color": c["baseline"], "width": 1.75, "dash": "5px,4px"}, {}),
        (sides[1], scenario, {"color": c["scenario"], "width": 2.25}, {"fill": "tonexty", "fillcolor": c["band"]}),
    ]
    return {
        "data": [
            *(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": x,
                    "y": y.tolist(),
                    "name": series,
                    "line": line,
                    "customdata": [fmt.money(v) for v in y],
                    "hovertemplate": f"{series} <b>%{{customdata}}</b><extra></extra>",
                    **more,
                }
                for series, y, line, more in lines
            ),
            {
                "type": "scatter",
                "mode": "markers",
                "x": [-100 * here],
                "y": [curve.handle[1]],
                "hoverinfo": "skip",
                "cliponaxis": False,
                "marker": {"size": 11, "color": c["surface"], "line": {"color": c["scenario"], "width": 2.5}},
            },
        ],
        "layout": layout(
            theme,
            246,
            margin={"l": 52, "r": 18, "t": 10, "b": 26},
            shapes=[
                {
                    "type": "line",
                    "x0": -100 * here,
                    "x1": -100 * here,
                    "y0": 0,
                    "y1": 1,
                    "yref": "paper",
                    "line": {"color": c["scenario"], "width": 1.25},
                }
            ],
            annotations=[
                label(
                    f"{name}<br><b>{fmt.money(curve.handle[1])}</b>",
                    -100 * here,
                    min(curve.handle[1] / (top * 1.06) + 0.06, 0.82),
                    c["text"],
                    yref="paper",
                    xanchor="right" if left else "left",
                    yanchor="bottom",
                    bgcolor=c["surface"],
                    xshift=-9 if left else 9,
                    align="right" if left else "left",
                )
            ],
            xaxis={
                "range": [0, -100 * limit],
                "tickvals": grid,
                "ticktext": ["0", *[fmt.move(g / 100) for g in grid[1:]]],
                "fixedrange": True,
                **STANDOFF,
                "unifiedhovertitle": {"text": "ETH %{x:.0f} %"},
            },
            yaxis=money_axis(top),
        ),
    }


def sold(lines: Sequence[tuple[str, Pair]], theme: str | None, sides: tuple[str, str] = BASELINE) -> Figure:
    """Collateral to be sold by reserve: the scenario thick, the baseline thin and grey below it."""
    c = themes.colours(theme)
    names = [charted(symbol) for symbol, _ in lines]
    dots = [
        f"{name} <span style='color:{c[themes.reserve_token(symbol)]}'>●</span>"
        for name, (symbol, _) in zip(names, lines, strict=True)
    ]
    then, now = [p.scenario for _, p in lines], [p.baseline for _, p in lines]
    top = max([*then, *now, 0.0])
    rows = list(range(len(lines)))
    nothing = label("Nothing is sold at these prices", 0.5, 0.5, c["text-2"], xref="paper", yref="paper")
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": rows,
                "x": then,
                "width": 0.4,
                "offset": -0.3,
                "name": sides[1],
                "marker": {"color": c["scenario"]},
                "text": [fmt.money(v) for v in then],
                "textposition": "outside",
                "cliponaxis": False,
                "textfont": {"color": c["text"], "size": 12},
                "customdata": [[n, fmt.money_full(v)] for n, v in zip(names, then, strict=True)],
                "hovertemplate": "%{customdata[0]}, " + sides[1] + " <b>%{customdata[1]}</b><extra></extra>",
            },
            {
                "type": "bar",
                "orientation": "h",
                "y": rows,
                "x": now,
                "width": 0.14,
                "offset": 0.16,
                "name": sides[0],
                "marker": {"color": c["baseline"]},
                "customdata": [[n, fmt.money_full(v)] for n, v in zip(names, now, strict=True)],
                "hovertemplate": "%{customdata[0]}, " + sides[0] + " <b>%{customdata[1]}</b><extra></extra>",
            },
        ],
        "layout": layout(
            theme,
            246,
            annotations=[] if top > 0 else [nothing],
            hovermode="closest",
            barmode="overlay",
            margin={"l": 66, "r": 58, "t": 4, "b": 4},
            xaxis={"visible": False, "range": [0, top or 1.0], "fixedrange": True},
            yaxis={
                "range": [max(len(lines), 4) - 0.4, -0.6],
                "tickvals": rows,
                "ticktext": dots,
                "showgrid": False,
                "fixedrange": True,
                "tickfont": {"size": 12, "color": c["text-2"]},
                **STANDOFF,
            },
        ),
    }


MOST_MOVES = 8
"""Factors in the chart of a reverse stress; the others move less."""


def moves(moved: Sequence[tuple[str, float]], theme: str | None) -> Figure:
    """The move of each price factor in per cent, in the order given: falls to the left."""
    c = themes.colours(theme)
    shown = list(moved)[:MOST_MOVES]
    names = [charted(name) for name, _ in shown]
    x = [100 * move for _, move in shown]
    low, high = min([*x, 0.0]), max([*x, 0.0])
    room = 0.24 * max(high - low, 1e-9)  # for the texts at the ends of the bars
    rows = list(range(len(shown)))
    more = len(moved) - len(shown)
    notes = []
    if not shown:
        notes = [label("No move to show", 0.5, 0.5, c["text-2"], xref="paper", yref="paper")]
    elif more:
        last = f"and {more} more"
        notes = [label(last, 1, 0, c["text-2"], xref="paper", yref="paper", xanchor="right", yanchor="bottom")]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": rows,
                "x": x,
                "width": 0.5,
                "marker": {"color": c["scenario"]},
                "text": [f"{v:+.1f}\u202f%".replace("-", fmt.MINUS) for v in x],
                "textposition": "outside",
                "cliponaxis": False,
                "textfont": {"color": c["text"], "size": 12},
                "customdata": names,
                "hovertemplate": "%{customdata} <b>%{x:.2f} %</b><extra></extra>",
            }
        ],
        "layout": layout(
            theme,
            230,
            annotations=notes,
            hovermode="closest",
            margin={"l": 70, "r": 8, "t": 4, "b": 4},
            xaxis={
                "visible": False,
                "range": [low - room if low < 0 else 0, high + room if high > 0 else 0] if shown else [0, 1],
                "fixedrange": True,
            },
            yaxis={
                "range": [max(len(shown), 4) + (0.4 if more else -0.4), -0.6],
                "tickvals": rows,
                "ticktext": names,
                "showgrid": False,
                "fixedrange": True,
                "tickfont": {"size": 12, "color": c["text-2"]},
                **STANDOFF,
            },
        ),
    }
