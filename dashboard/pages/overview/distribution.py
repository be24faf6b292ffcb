"""Chart of a distribution over paths: where the tail begins, how sure its quantiles are, and the mean beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, money_ticks
from dashboard.market.loaded import ShownRun

LEVELS = (0.95, 0.99)
_DECADES = {1.0: "100\u202f%", 0.1: "10\u202f%", 0.01: "1\u202f%", 0.001: "0.1\u202f%", 0.0001: "0.01\u202f%"}


def repaid_distribution(
    run: ShownRun,
    theme: str | None,
    height: int = 234,
    histogram: Mapping[str, Any] | None = None,
    levels: tuple[float, ...] = LEVELS,
) -> Figure:
    """Share of paths by debt repaid, on a log scale.

    histogram: edges, count and how many paths are `beyond` the last edge; by default that of the run. levels: of the
    quantiles that are marked. Grey below the first of them, lines at the quantiles with their 95 % intervals, a
    triangle at the mean beyond 99 %.
    """
    c = themes.colours(theme)
    shown = run.histogram if histogram is None else histogram
    edges = np.maximum(np.asarray(shown["edges"], float), 0.0)
    count, cut = np.asarray(shown["count"], float), int(shown.get("beyond", 0))
    part, middle, seen = count / (count.sum() + cut), (edges[:-1] + edges[1:]) / 2, count > 0
    known = [(level, e) for level in levels if (e := run.get("lar_repaid", level)) is not None]
    tail = known[0][1].value if known else np.inf
    beyond = run.get("es_repaid", LEVELS[-1])
    top = max(float(edges[-1]), beyond.value if beyond else 0.0, 1.0)
    low = float(np.floor(np.log10(part[seen].min()))) if seen.any() else -4.0
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "x": middle[seen].tolist(),
            "y": part[seen].tolist(),
            "width": np.diff(edges)[seen].tolist(),
            "marker": {"color": [c["scenario"] if x >= tail else c["cat-other"] for x in edges[1:][seen]]},
            "customdata": [
                [fmt.money(a), fmt.money(b), fmt.count(n)]
                for a, b, n in zip(edges[:-1][seen], edges[1:][seen], count[seen], strict=True)
            ],
            "hovertemplate": "%{customdata[0]} to %{customdata[1]} <b>%{customdata[2]} paths</b><extra></extra>",
        }
    ]
    if beyond is not None and beyond.value > 0 and not beyond.few_draws:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [beyond.value],
                "y": [10**low],
                "cliponaxis": False,
                "marker": {"symbol": "triangle-up", "size": 11, "color": c["text"]},
                "hovertemplate": f"mean beyond 99\u202f% <b>{fmt.money(beyond.value)}</b><extra></extra>",
            }
        )
    shapes, notes = _quantiles(known, top, c)
    if cut:
        said = f"{fmt.share(cut / (count.sum() + cut), 2)} beyond →"
        notes.append(label(said, 1.0, 0.86, c["text-3"], xref="paper", yref="paper", xanchor="right", yanchor="bottom"))
    values, text = money_ticks(top, 3)
    return {
        "data": data,
        "layout": layout(
            theme,
            height,
            hovermode="closest",
            bargap=0,
            margin={"l": 48, "r": 12, "t": 34, "b": 26},
            shapes=shapes,
            annotations=notes,
            xaxis={
                "range": [0, top * 1.03],
                "tickvals": values,
                "ticktext": text,
                "fixedrange": True,
                "showgrid": False,
                **STANDOFF,
            },
            yaxis={
                "type": "log",
                "range": [low, 0.05],
                "tickvals": list(_DECADES),
                "ticktext": list(_DECADES.values()),
                "fixedrange": True,
                **STANDOFF,
            },
        ),
    }


def _quantiles(known: list, top: float, c: dict[str, str]) -> tuple[list[dict], list[dict]]:
    """A line and its interval for each quantile; the first is named to its left, the last to its right or left."""
    shapes, notes = [], []
    for i, (level, estimate) in enumerate(known):
        at = {"y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
        if estimate.low is not None and estimate.high is not None:
            shapes.append({"type": "rect", "x0": estimate.low, "x1": estimate.high, "fillcolor": c["band-base"],
                           "line": {"width": 0}} | at)  # fmt: skip
        line = {"color": c["text-2"], "width": 1}
        shapes.append({"type": "line", "x0": estimate.value, "x1": estimate.value, "line": line} | at)
        words = f"LaR {level * 100:g}\u202f%<br><b>{fmt.money(estimate.value)}</b>"
        left = estimate.value > 0.6 * top if i == 0 else estimate.value > 0.8 * top
        crowded = len(known) > 1 and abs(known[1][1].value - known[0][1].value) < 0.35 * top
        side = ("right" if crowded or left else "center") if i == 0 else ("left" if not left else "right")
        if crowded and i == 1 and left:
            side = "left" if estimate.value < 0.86 * top else "center"
        notes.append(label(words, estimate.value, 1.0, c["text-2"], yref="paper", xanchor=side, yanchor="bottom"))
    return shapes, notes
