"""Charts of the Overview: the fan of liquidations at risk, collateral that would be sold, debt by health factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, money_axis, spread
from dashboard.look.escaping import charted
from dashboard.market.loaded import ShownRun
from dashboard.pages.overview.answers import Buckets
from data.brief.reading import WATCHED


def _level_name(level: float) -> str:
    return "median" if level == 0.5 else f"{level * 100:g}\u202f%"


def lar_fan(run: ShownRun, theme: str | None) -> Figure:
    """Cumulative debt repaid over the horizon: a line for each stored level, whiskers for the error at its end."""
    c = themes.colours(theme)
    hours, levels = np.asarray(run.fan["hours"], float), [float(v) for v in run.fan["levels"]]
    usd = np.asarray(run.fan["usd"], float)
    lar = run.get("lar_repaid", 0.99)
    top = max(float(usd.max()), (lar.high or 0.0) if lar else 0.0, 1.0)
    data: list[dict[str, Any]] = []
    for i, level in enumerate(levels):
        median = level == 0.5
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": hours.tolist(),
                "y": usd[:, i].tolist(),
                "name": _level_name(level),
                "fill": "tozeroy",
                "fillcolor": "rgba(0,0,0,0)" if median else c["band"],
                "line": {"color": c["text"] if median else c["scenario"], "width": 2.25 if level >= 0.99 else 1.5},
                "customdata": [fmt.money(v) for v in usd[:, i]],
                "hovertemplate": f"{_level_name(level)} <b>%{{customdata}}</b><extra></extra>",
            }
        )
    if lar is not None and lar.low is not None and lar.high is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [float(hours[-1])],
                "y": [lar.value],
                "hoverinfo": "skip",
                "cliponaxis": False,
                "marker": {"size": 9, "color": c["surface"], "line": {"color": c["scenario"], "width": 2}},
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [lar.high - lar.value],
                    "arrayminus": [lar.value - lar.low],
                    "color": c["scenario"],
                    "thickness": 1.5,
                    "width": 4,
                },
            }
        )
    ends = spread([float(usd[-1, i]) / top for i in range(len(levels))], 0.17)
    notes = [
        label(
            f"<b>{_level_name(level)}</b><br>{fmt.money(float(usd[-1, i]))}", 1.0, ends[i] * top, c["text-2"],
            xref="paper", xanchor="left", yanchor="middle", xshift=10, align="left",
        )
        for i, level in enumerate(levels)
    ]  # fmt: skip
    last = float(hours[-1])
    step = next(s for s in (1, 2, 4, 6, 12, 24, 48, 168) if last / s <= 8)
    ticks = np.arange(0, last + 1e-9, step)
    return {
        "data": data,
        "layout": layout(
            theme,
            234,
            annotations=notes,
            margin={"l": 52, "r": 74, "t": 16, "b": 26},
            xaxis={
                "range": [0, last],
                "tickvals": ticks.tolist(),
                "ticktext": ["now", *[f"{t:g} h" for t in ticks[1:]]],
                "fixedrange": True,
                **STANDOFF,
                "unifiedhovertitle": {"text": "%{x:.0f} h ahead"},
            },
            yaxis=money_axis(top, 1.08),
        ),
    }


def seized_bars(seized: Mapping[str, float], theme: str | None, rows: int = 7) -> Figure:
    """Collateral seized by reserve, sorted bars in the reserve's own colour, the sum of them all at 100 %."""
    c = themes.colours(theme)
    order = sorted(((s, v) for s, v in seized.items() if v > 0), key=lambda item: -item[1])
    if len(order) > rows:
        order = [*order[: rows - 1], (f"{len(order) - rows + 1} others", sum(v for _, v in order[rows - 1 :]))]
    total = sum(v for _, v in order) or 1.0
    names, values = [s for s, _ in order], [v for _, v in order]
    text = [f"{fmt.money(v)}  <span style='color:{c['text-3']}'>{fmt.share(v / total, 0)}</span>" for v in values]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": [charted(s) for s in names],
                "x": values,
                "text": text,
                "textposition": "outside",
                "textfont": {"color": c["text"], "size": 12},
                "cliponaxis": False,
                "width": 0.56,
                "marker": {"color": [c[themes.reserve_token(s)] for s in names]},
                "customdata": [fmt.money_full(v) for v in values],
                "hovertemplate": "%{y} <b>%{customdata}</b><extra></extra>",
            }
        ],
        "layout": layout(
            theme,
            234,
            hovermode="closest",
            margin={"l": 62, "r": 86, "t": 4, "b": 4},
            xaxis={"visible": False, "range": [0, max(values, default=1.0)], "fixedrange": True},
            yaxis={
                "autorange": "reversed",
                "showgrid": False,
                "fixedrange": True,
                "tickfont": {"size": 12, "color": c["text-2"]},
                **STANDOFF,
            },
        ),
    }


def debt_by_health_factor(buckets: Buckets, theme: str | None) -> Figure:
    """Debt by health factor: what can fall against its debt in blue, same-asset loops in grey on top."""
    c = themes.colours(theme)
    n = len(buckets.labels)
    top = float((buckets.exposed + buckets.loops).max(initial=0.0))
    bars = [
        {
            "type": "bar",
            "x": list(buckets.labels),
            "y": values.tolist(),
            "name": name,
            "marker": {"color": c[colour]},
            "customdata": [fmt.money(v) for v in values],
            "hovertemplate": f"{name} <b>%{{customdata}}</b><extra></extra>",
        }
        for name, values, colour in (("exposed", buckets.exposed, "scenario"), ("loops", buckets.loops, "cat-other"))
    ]
    edge = buckets.labels.index(f"{WATCHED:g}") - 0.5
    # A bar's label is its lower edge: "1.04" holds health factors from 1.04 up to the next label.
    return {
        "data": bars,
        "layout": layout(
            theme,
            280,
            barmode="stack",
            bargap=0.08,
            margin={"l": 52, "r": 10, "t": 8, "b": 26},
            shapes=[
                {
                    "type": "line",
                    "x0": edge,
                    "x1": edge,
                    "y0": 0,
                    "y1": 1,
                    "yref": "paper",
                    "line": {"color": c["watch"], "width": 1.5, "dash": "4px,3px"},
                }
            ],
            xaxis={
                "type": "category",
                "tickvals": list(buckets.labels[::2]),  # every second one, so that they stand apart on a phone too
                "range": [-0.6, n - 0.4],
                "fixedrange": True,
                "tickangle": 0,
                **STANDOFF,
                "unifiedhovertitle": {"text": "HF from %{x}"},
            },
            yaxis=money_axis(top),
        ),
    }
