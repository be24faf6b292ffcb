"""Charts of the Oracles page."""

from __future__ import annotations

from typing import Any

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, moments, money_axis
from dashboard.pages.oracles.answers import DAY, ERRORS, FALLS, MARKDOWNS
from risk_core.cap_updates import CapProposal

HEIGHT = 190
BEFORE, AFTER = 60, 365
"""Days that the chart of a cap shows before and after the update."""


def cap(curve: tuple[np.ndarray, np.ndarray], error: float, at: tuple[float, float], theme: str | None) -> Figure:
    """Debt repaid and borrowers' loss by how far the cap is below the true ratio; the chosen error as two points."""
    return _curves(
        ERRORS,
        ((curve[0], "scenario", "debt repaid", "solid"), (curve[1], "warn", "borrowers lose", "4px,3px")),
        -error,
        at,
        "cap below the true ratio",
        theme,
    )


def stuck(curve: tuple[np.ndarray, np.ndarray], fall: float, at: tuple[float, float], theme: str | None) -> Figure:
    """Debt that nobody liquidates, and debt above its collateral, by how far the market falls under the feed."""
    return _curves(
        FALLS,
        ((curve[1], "scenario", "not liquidated", "solid"), (curve[0], "warn", "bad debt", "4px,3px")),
        fall,
        at,
        "fall of the market",
        theme,
    )


def minted(curve: np.ndarray, markdown: float, at: tuple[float, float], theme: str | None) -> Figure:
    """Deficit of the present holders' accounts by the markdown; the whole deficit with the minted tokens as a point."""
    return _curves(
        MARKDOWNS, ((curve, "scenario", "deficit of present accounts", "solid"),), markdown, at, "markdown", theme
    )


def _curves(
    x: np.ndarray,
    lines: tuple[tuple[np.ndarray, str, str, str], ...],
    chosen: float,
    at: tuple[float, float],
    axis: str,
    theme: str | None,
) -> Figure:
    """Lines of dollars over a share, each named at its right end, and a point for what is chosen."""
    c = themes.colours(theme)
    data: list[dict[str, Any]] = []
    top = max(max(float(y.max()) for y, *_ in lines), *(v for v in at if np.isfinite(v)), 1.0)
    for y, colour, name, dash in lines:
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": x.tolist(), "y": y.tolist(), "name": name,
                "line": {"color": c[colour], "width": 1.75, "dash": dash}, "customdata": [fmt.money(v) for v in y],
                "hovertemplate": f"%{{x:.1%}}: <b>%{{customdata}}</b> {name}<extra></extra>",
            }
        )  # fmt: skip
    for value, (_, colour, *_rest) in zip(at, (*lines, lines[-1]), strict=False):
        if np.isfinite(value):
            data.append(
                {"type": "scatter", "mode": "markers", "x": [min(chosen, float(x[-1]))], "y": [value],
                 "hoverinfo": "skip", "cliponaxis": False,
                 "marker": {"size": 9, "color": c["surface"], "line": {"color": c[colour], "width": 2}}}
            )  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, HEIGHT, hovermode="closest", margin={"l": 52, "r": 12, "t": 8, "b": 38}, showlegend=False,
            xaxis={"tickformat": ".0%", "range": [0, float(x[-1])], "fixedrange": True, "showgrid": False, "nticks": 6,
                   "title": {"text": axis, "font": {"size": 11, "color": c["text-3"]}, "standoff": 4}},
            yaxis=money_axis(top),
        ),
    }  # fmt: skip


def update(found: CapProposal, pace: float, theme: str | None) -> Figure:
    """The cap's line and the ratio's, from before the update to a year after it."""
    c = themes.colours(theme)
    now, unit = found.update.at, found.unit
    days = np.arange(-BEFORE, AFTER + 1, 5)
    ratio = found.update.ratio / unit * (1 + pace * days / 365)
    data = [_line(now + days * DAY, ratio, c["text-2"], "the ratio", "4px,3px")]
    after = days[days >= 0]
    new = np.array([found.update.proposed.largest_ratio(now + int(d) * DAY) for d in after]) / unit
    data.append(_line(now + after * DAY, new, c["scenario"], "the new cap", "solid"))
    lowest, highest = min(ratio.min(), new.min()), max(ratio.max(), new.max())
    present = found.update.present
    if present is not None:
        old = np.array([present.largest_ratio(now + int(d) * DAY) for d in days]) / unit
        data.append(_line(now + days * DAY, old, c["baseline"], "the cap in force", "solid"))
        lowest, highest = min(lowest, old.min()), max(highest, old.max())
    room = 0.12 * max(highest - lowest, 0.001)
    shapes = [{"type": "line", "x0": moments(np.array([now]))[0], "x1": moments(np.array([now]))[0], "y0": 0, "y1": 1,
               "yref": "paper", "line": {"color": c["line-strong"], "width": 1}}]  # fmt: skip
    notes = [label("now", 0, 1, c["text-3"], xref="x", yref="paper", xanchor="left", yanchor="bottom")]
    notes[0]["x"] = moments(np.array([now]))[0]
    return {
        "data": data,
        "layout": layout(
            theme, 230, shapes=shapes, annotations=notes, hovermode="x", showlegend=False,
            margin={"l": 52, "r": 12, "t": 18, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "showgrid": False},
            yaxis={"range": [lowest - room, highest + room], "fixedrange": True, "tickformat": ".3f", **STANDOFF},
        ),
    }  # fmt: skip


def _line(ts: np.ndarray, y: np.ndarray, colour: str, name: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": moments(ts), "y": y.tolist(), "name": name,
        "line": {"color": colour, "width": 1.75, "dash": dash},
        "hovertemplate": f"{name}: <b>%{{y:.5f}}</b><extra></extra>",
    }  # fmt: skip
