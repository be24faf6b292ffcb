"""Charts of the Pegs page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, layout, moments
from dashboard.look.escaping import charted
from dashboard.market.series import HOUR
from dashboard.pages.pegs.answers import OUTLIER, Peg
from risk_core.analytics.pegs import CRITICAL_BPS, WARNING_BPS

BLOCK = 6 * HOUR
"""Seconds of one cell of the heatmap; the cell shows its most unusual hour."""
HEAT_DAYS = 30


def deviations(found: Sequence[Peg], theme: str | None, days: int) -> Figure:
    """Distance from 1 USD of every token; the lines are the limits of warning and critical."""
    c = themes.colours(theme)
    colours = (c["scenario"], c["text"], c["cat-5"], c["cat-3"])
    data, size = [], CRITICAL_BPS * 0.3
    for peg, colour in zip(found, colours, strict=False):
        recent = peg.closes.ts > peg.closes.ts[-1] - days * 86_400
        bps = (peg.closes.price[recent] - 1) * 1e4
        size = max(size, float(np.abs(bps).max(initial=0.0)))
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": moments(peg.closes.ts[recent]),
                "y": bps.tolist(),
                "name": charted(peg.token),
                "line": {"color": colour, "width": 1.5},
                "hovertemplate": f"{charted(peg.token)} <b>%{{y:+.1f}} bp</b><extra></extra>",
            }
        )
    limits = [s * limit for limit in (WARNING_BPS, CRITICAL_BPS) for s in (-1, 1) if limit < size * 1.1]
    shapes = [
        {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": at, "y1": at,
         "line": {"color": c["watch"] if abs(at) < CRITICAL_BPS else c["crit"], "width": 1, "dash": "4px,3px"}}
        for at in limits
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 260, shapes=shapes, margin={"l": 56, "r": 14, "t": 8, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, **STANDOFF},
            yaxis={
                "range": [-size * 1.1, size * 1.1], "ticksuffix": " bp", "nticks": 6, "fixedrange": True, **STANDOFF,
            },
        ),
    }  # fmt: skip


def heat(found: Sequence[Peg], theme: str | None) -> Figure:
    """The largest |z| of every six hours; a gap is a time without a score."""
    cells, x = [], []
    for peg in found:
        ts, z = peg.closes.ts, np.abs(peg.rolling.z)
        start = ts[-1] - HEAT_DAYS * 86_400
        block = (ts - start) // BLOCK
        n = HEAT_DAYS * 86_400 // BLOCK
        row = np.full(n, np.nan)
        for b in range(n):
            inside = z[(block == b) & np.isfinite(z)]
            row[b] = inside.max() if len(inside) else np.nan
        cells.append([None if np.isnan(v) else round(float(v), 2) for v in row])
        x = moments(start + BLOCK * np.arange(n))
    return {
        "data": [
            {
                "type": "heatmap", "x": x, "y": [charted(peg.token) for peg in found], "z": cells, "zmin": 0,
                "zmax": 2 * OUTLIER, "xgap": 1, "ygap": 3,
                "colorbar": {"thickness": 8, "len": 0.9, "tickvals": [0, 1, 2, 4]},
                "hovertemplate": "%{y}, 6 h from %{x}: |z| up to <b>%{z}</b><extra></extra>",
            }
        ],
        "layout": layout(
            theme, 60 + 40 * max(len(found), 1), hovermode="closest", margin={"l": 56, "r": 14, "t": 8, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, **STANDOFF},
            yaxis={"type": "category", "fixedrange": True, "autorange": "reversed", "showgrid": False, **STANDOFF},
        ),
    }  # fmt: skip


def band(peg: Peg, theme: str | None, days: int) -> Figure:
    """The price, its 24-hour mean, and a band of two standard deviations around the mean."""
    c = themes.colours(theme)
    recent = peg.closes.ts > peg.closes.ts[-1] - days * 86_400
    x = moments(peg.closes.ts[recent])
    mean, sd = peg.rolling.mean[recent], peg.rolling.deviation[recent]
    known = np.isfinite(mean)
    inner = [day for day, k in zip(x, known, strict=True) if k]
    upper, lower = (mean + OUTLIER * sd)[known], (mean - OUTLIER * sd)[known]
    data = [
        {"type": "scatter", "mode": "lines", "x": inner + inner[::-1], "y": [*upper, *lower[::-1]], "fill": "toself",
         "fillcolor": c["band"], "line": {"width": 0}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines", "x": inner, "y": mean[known].tolist(), "name": "24 h mean",
         "line": {"color": c["text-2"], "width": 1, "dash": "dash"},
         "hovertemplate": "24 h mean <b>%{y:.5f}</b><extra></extra>"},
        {"type": "scatter", "mode": "lines", "x": x, "y": peg.closes.price[recent].tolist(), "name": charted(peg.token),
         "line": {"color": c["scenario"], "width": 1.5},
         "hovertemplate": f"{charted(peg.token)} <b>%{{y:.5f}}</b><extra></extra>"},
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme,
            240,
            margin={"l": 60, "r": 14, "t": 8, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, **STANDOFF},
            yaxis={"tickformat": ".4f", "tickprefix": "$", "nticks": 5, "fixedrange": True, **STANDOFF},
        ),
    }


def signed_bps(value: float) -> str:
    """Basis points with a sign: `−4.8 bp`."""
    digits = 0 if abs(value) >= 100 else 1
    return f"{'+' if value > 0 else fmt.MINUS if value < 0 else ''}{abs(value):.{digits}f}\u00a0bp"
