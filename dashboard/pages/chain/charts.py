"""Charts of the Chain page."""

from __future__ import annotations

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, layout, moments
from dashboard.look.escaping import charted
from dashboard.market.chain import HOUR, Activity
from dashboard.pages.chain.answers import PARTS, UNUSUAL_SCORE, Volumes, signs
from risk_core.analytics import mev

COLOURS = ("scenario", "cat-3", "cat-5", "cat-7", "cat-2", "cat-8", "cat-4", "cat-6")
OTHERS = "cat-other"


def colour_of(found: Volumes, place: int) -> str:
    """Name of the colour of a series; series of several tokens are grey."""
    several = found.names[place].startswith("other ")
    return OTHERS if several or place >= len(COLOURS) else COLOURS[place]


def transfers(found: Volumes, theme: str | None) -> Figure:
    """Bars stacked by series, the usual total as a step line, and a mark over each unusual hour."""
    c = themes.colours(theme)
    middle = moments(found.ts + HOUR // 2)
    data = [
        {
            "type": "bar",
            "x": middle,
            "y": signs(found.transfers[:, j]),
            "name": charted(name),
            "width": 0.86 * 3.6e6,
            "marker": {"color": c[colour_of(found, j)]},
            "hovertemplate": f"{charted(name)} <b>%{{y:,.0f}}</b><extra></extra>",
        }
        for j, name in enumerate(found.names)
    ]
    total = found.transfers.sum(axis=1)
    loud = found.unusual.any(axis=1)
    top = float(np.nanmax(np.concatenate([total, found.total_usual]), initial=1.0)) * 1.18
    data += [
        {
            "type": "scatter", "mode": "lines", "x": middle, "y": signs(found.total_usual), "name": "usual",
            "line": {"color": c["text"], "width": 1.25, "shape": "hvh"},
            "hovertemplate": "usual <b>%{y:,.0f}</b><extra></extra>",
        },
        {
            "type": "scatter", "mode": "markers", "x": [x for x, yes in zip(middle, loud, strict=True) if yes],
            "y": (total[loud] + 0.06 * top).tolist(), "name": "unusual", "hoverinfo": "text",
            "hovertext": [_unusual(found, i) for i in np.flatnonzero(loud)],
            "marker": {"symbol": "triangle-up", "size": 10, "color": c["crit"]},
        },
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme,
            260,
            barmode="stack",
            margin={"l": 48, "r": 14, "t": 8, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "nticks": 7, **STANDOFF},
            yaxis={"range": [0, top], "nticks": 5, "fixedrange": True, **STANDOFF},
        ),
    }


def _unusual(found: Volumes, hour: int) -> str:
    names = [charted(found.names[j]) for j in np.flatnonzero(found.unusual[hour])]
    return "unusual: " + ", ".join(names)


def heatmap(activity: Activity, theme: str | None, chosen: int) -> Figure:
    """Score of each block as a bar, with its parts below; the block at place `chosen` is framed."""
    c = themes.colours(theme)
    scores = activity.scores
    n = len(activity.number)
    x = list(range(n))
    labels = [f"block {number:,}" for number in activity.number.tolist()]
    rows = list(reversed(list(mev.WEIGHTS)))
    columns = [list(mev.WEIGHTS).index(key) for key in rows]
    scale = [[i / 4, c[f"seq-{i}"]] for i in range(5)]
    data = [
        {
            "type": "bar", "x": x, "y": scores.score.tolist(), "yaxis": "y2", "customdata": labels, "width": 0.86,
            "marker": {"color": [c["worse-mark"] if v >= UNUSUAL_SCORE else c["baseline"] for v in scores.score]},
            "hovertemplate": "%{customdata}: score <b>%{y:.0f}</b> of 100<extra></extra>",
        },
        {
            "type": "heatmap", "x": x, "y": [PARTS[key] for key in rows],
            # The square root makes small parts visible; the hover text has the part.
            "z": np.sqrt(scores.parts[:, columns].T).tolist(), "zmin": 0, "zmax": 1, "colorscale": scale,
            "showscale": False, "xgap": 2, "ygap": 2,
            "customdata": [[f"{labels[i]}: {fmt.share(scores.parts[i, j])}" for i in x] for j in columns],
            "hovertemplate": "%{customdata}<br>%{y}<extra></extra>",
        },
    ]  # fmt: skip
    ticks = sorted({0, n // 2, n - 1})
    return {
        "data": data,
        "layout": layout(
            theme, 280, margin={"l": 112, "r": 10, "t": 8, "b": 26}, hovermode="closest",
            shapes=[{"type": "rect", "x0": chosen - 0.5, "x1": chosen + 0.5, "y0": 0, "y1": 1, "yref": "paper",
                     "line": {"color": c["accent"], "width": 2}}],
            xaxis={"range": [-0.7, n - 0.3], "tickvals": ticks, "fixedrange": True, "showgrid": False,
                   "zeroline": False, "ticktext": [f"{activity.number[i]:,}" for i in ticks], "anchor": "y",
                   **STANDOFF},
            yaxis={"type": "category", "domain": [0, 0.66], "fixedrange": True, "showgrid": False, **STANDOFF},
            yaxis2={"domain": [0.72, 1], "range": [0, max(float(scores.score.max(initial=0)), 30.0)], "nticks": 3,
                    "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip
