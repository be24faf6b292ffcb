"""Charts of a post-mortem: the health factor over time, the causes of its fall, the loss by cause and receiver."""

from __future__ import annotations

from typing import Any

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, moments
from dashboard.look.escaping import charted
from dashboard.pages.chain.postmortem_answers import CAUSES, NOT_KNOWN, dollars, parts
from data.postmortem import PostMortem

FINE = 300
"""With less than these seconds between stored prices, two hours before and after are shown, else a day."""
HIGHEST = 3.0
"""The axis ends here: only health factors near 1 matter."""


def path(found: PostMortem, theme: str | None) -> Figure:
    """Price of the collateral, and below it the health factor, over the same time axis."""
    c = themes.colours(theme)
    of, e = found.path, found.event
    if of is None:
        return {"data": [], "layout": layout(theme, 320)}
    step = float(np.median(np.diff(of.times))) if len(of.times) > 1 else 3_600.0
    reach = 7_200 if step <= FINE else 86_400
    kept = np.abs(of.times - e.ts) <= reach + 1_800
    x = moments(of.times[kept])
    symbol = charted(found.collateral.symbol)
    after = of.times[kept] >= e.ts
    shown: list[dict[str, Any]] = []

    def line(y: np.ndarray, name: str, colour: str, axis: str, **more: Any) -> None:
        values = np.where(np.isfinite(y[kept]), y[kept], np.nan)
        shown.append(
            {
                "type": "scatter", "mode": "lines", "x": x, "name": name, "yaxis": axis,
                "y": [None if np.isnan(v) else float(v) for v in values],
                "hovertemplate": f"{name} <b>%{{y:,.5g}}</b><extra></extra>",
                "line": {"color": c[colour], "width": 1.75, **more},
            }
        )  # fmt: skip

    line(of.market, f"{symbol}, market", "baseline", "y2", dash="5px,4px")
    # The oracle is known from the liquidation on; before that the market's price is used, and drawn once.
    line(np.where(of.times >= e.ts, of.oracle, np.nan), f"{symbol}, oracle", "scenario", "y2", width=2.25)
    line(of.without, "health factor at market prices, not liquidated", "baseline", "y", dash="5px,4px")
    not_touched = np.where(of.times >= e.ts, of.recorded, np.nan)
    line(not_touched, "health factor with the oracle, not liquidated", "worse", "y")
    line(of.actual, "health factor, as it went", "scenario", "y", width=2.25)
    state = found.state
    if state is not None and state.before is not None:
        shown.append(
            {
                "type": "scatter", "mode": "markers", "x": moments(np.array([e.ts])), "y": [state.before],
                "name": "liquidated", "hovertemplate": "liquidated at <b>%{y:.4f}</b><extra></extra>",
                "marker": {"size": 9, "color": c["surface"], "line": {"color": c["worse-mark"], "width": 2}},
            }
        )  # fmt: skip
    every = np.concatenate([of.without[kept], of.actual[kept], of.recorded[kept][after]])
    near = every[np.isfinite(every) & (every < HIGHEST)]
    low, high = (min(float(near.min()), 0.99), max(float(near.max()), 1.01)) if len(near) else (0.95, 1.05)
    room = 0.08 * (high - low)
    at = moments(np.array([e.ts]))[0]
    ends = moments(np.array([of.times[kept][0], of.times[kept][-1]]))
    return {
        "data": shown,
        "layout": layout(
            theme, 340, margin={"l": 62, "r": 14, "t": 18, "b": 26},
            shapes=[
                {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": low - room, "y1": 1,
                 "fillcolor": c["crit-soft"], "line": {"width": 0}, "layer": "below"},
                {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
                 "line": {"color": c["line-strong"], "width": 1, "dash": "3px,3px"}},
            ],
            annotations=[label("liquidated", at, 1.0, c["text-2"], yref="paper", yanchor="bottom", xanchor="center")],
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, "range": ends, "anchor": "y", **STANDOFF},
            yaxis={"domain": [0, 0.46], "range": [low - room, high + room], "nticks": 4, "fixedrange": True,
                   "title": {"text": "HF", "font": {"size": 11}}, **STANDOFF},
            yaxis2={"domain": [0.56, 1], "nticks": 4, "fixedrange": True, "tickprefix": "$", "tickformat": ",.5~g",
                    **STANDOFF},
        ),
    }  # fmt: skip


def fall(found: PostMortem, theme: str | None) -> Figure:
    """The health factor from its last safe time to the liquidation, one cause at a time."""
    c = themes.colours(theme)
    of = found.fall
    if of is None:
        return {"data": [], "layout": layout(theme, 340)}
    names, starts, sizes, colours, text = (
        ["Before"],
        [0.0],
        [of.before],
        [c["baseline"]],
        [fmt.health_factor(of.before, 4)],
    )
    here = of.before
    for cause in of.causes:
        change = cause.change or 0.0
        names.append(CAUSES[cause.name])
        starts.append(min(here, here + change))
        sizes.append(abs(change))
        colours.append(c["worse-mark"] if change < 0 else c["better-mark"])
        text.append(NOT_KNOWN if cause.change is None else signed(change))
        here += change
    names.append("When liquidated")
    starts, sizes = [*starts, 0.0], [*sizes, of.after]
    colours, text = [*colours, c["scenario"]], [*text, fmt.health_factor(of.after, 4)]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    low = min([of.before, of.after, *starts[1:-1], 1.0])
    high = max([of.before, of.after, *ends[1:-1], 1.0])
    room = max(high - low, 1e-3)
    left, right = low - 0.12 * room, high + 0.45 * room
    # Both ends are marks, not bars: a bar would have to begin at 0.
    tick = 0.012 * (right - left)
    starts[0], sizes[0], starts[-1], sizes[-1] = of.before - tick / 2, tick, of.after - tick / 2, tick
    order = list(reversed(names))
    data = [
        {
            "type": "bar", "orientation": "h", "y": names, "base": starts, "x": sizes, "width": 0.62,
            "marker": {"color": colours}, "customdata": text,
            "hovertemplate": "%{y} <b>%{customdata}</b><extra></extra>",
        }
    ]  # fmt: skip
    notes = [
        label(words, max(start + size, start), name, c["text"] if name in (names[0], names[-1]) else c["text-2"],
              xanchor="left", xshift=6, bgcolor=c["surface"])
        for name, start, size, words in zip(names, starts, sizes, text, strict=True)
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 340, margin={"l": 124, "r": 8, "t": 18, "b": 26}, hovermode="closest", annotations=notes,
            shapes=[{"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1,
                     "line": {"color": c["crit"], "width": 1.5, "dash": "4px,3px"}}],
            xaxis={"range": [left, right], "nticks": 4, "fixedrange": True, "showgrid": False, "zeroline": False,
                   **STANDOFF},
            yaxis={"type": "category", "categoryorder": "array", "categoryarray": order, "fixedrange": True,
                   "showgrid": False, **STANDOFF},
        ),
    }  # fmt: skip


def signed(change: float) -> str:
    """`−0.0287`; `none` for 0; `< 0.0001` for a change that would round to 0."""
    if change == 0:
        return "none"
    if abs(change) < 5e-5:
        return "< 0.0001"
    return f"{fmt.MINUS if change < 0 else '+'}{abs(change):.4f}"


def loss(found: PostMortem, theme: str | None) -> Figure:
    """A waterfall of causes up to the total, and below it one of the receivers."""
    c = themes.colours(theme)
    rows = parts(found)
    if not rows:
        return {"data": [], "layout": layout(theme, 300)}
    colour = {"cause": c["worse-mark"], "total": c["text"], "receiver": c["baseline"]}
    names = [row.name for row in rows]
    known = [row for row in rows if row.value is not None]
    edges = [0.0, *(edge for row in known for edge in (row.start, row.start + (row.value or 0.0)))]
    low, high = min(edges), max(edges)
    room = (high - low) or 1.0
    total = next((row.value for row in rows if row.kind == "total"), None)
    data = [
        {
            "type": "bar", "orientation": "h", "y": [row.name for row in known], "width": 0.62,
            "base": [row.start for row in known], "x": [row.value for row in known],
            "marker": {"color": [
                c["better-mark"] if row.kind == "cause" and (row.value or 0) < 0 else colour[row.kind] for row in known
            ]},
            "customdata": [f"{'at least ' if row.at_least else ''}{dollars(row.value)}" for row in known],
            "hovertemplate": "%{y} <b>%{customdata}</b><extra></extra>",
        }
    ]  # fmt: skip
    notes = []
    for row in rows:
        share = ""
        if total and row.value is not None and row.kind != "total":
            share = f" · {fmt.share(row.value / total, 0)}"
        least = "≥\u202f" if row.at_least else ""
        words = f"<b>{least}{dollars(row.value)}</b>{share}" if row.value is not None else NOT_KNOWN
        notes.append(
            label(words, 1.0, row.name, c["text"] if row.value is not None else c["text-3"], xref="paper",
                  xanchor="left", xshift=8)
        )  # fmt: skip
    shapes = []
    if total is not None:
        shapes.append(
            {"type": "line", "x0": total, "x1": total, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": c["line-strong"], "width": 1, "dash": "2px,2px"}}
        )  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 300, margin={"l": 132, "r": 116, "t": 8, "b": 26}, hovermode="closest", annotations=notes,
            shapes=shapes,
            xaxis={"range": [low - 0.01 * room, high + 0.02 * room], "nticks": 4, "tickangle": 0, "fixedrange": True,
                   "tickprefix": "$", "tickformat": "~s", **STANDOFF},
            yaxis={"type": "category", "categoryorder": "array", "categoryarray": list(reversed(names)),
                   "fixedrange": True, "showgrid": False, **STANDOFF},
        ),
    }  # fmt: skip
