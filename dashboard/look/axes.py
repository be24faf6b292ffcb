"""What charts share: axes, ticks, labels. Figures are plain JSON, quick to build while a slider moves.

Rules: no x grid, money axes start at 0, units in the ticks, lines labelled at their end, the baseline grey and dashed
beside a blue scenario. Bands are distributions, whiskers are errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dashboard.look import theme as themes

Figure = dict[str, Any]

CONFIG = {
    "displayModeBar": False,
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "responsive": True,
}
"""Settings of every chart: no toolbar, no link to another host."""

STANDOFF = {"ticklabelstandoff": 6}
"""Pixels between tick labels and plot."""


def money_ticks(top: float, n: int = 4) -> tuple[list[float], list[str]]:
    """(round tick values from 0 up to `top`, their labels), at most `n` steps.

    >>> money_ticks(430e6)
    ([0.0, 200000000.0, 400000000.0], ['0', '$200M', '$400M'])
    """
    if not np.isfinite(top) or top <= 0:
        return [0.0], ["0"]
    raw = top / n
    size = 10.0 ** np.floor(np.log10(raw))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw * (1 - 1e-9))
    values = [float(step * i) for i in range(int(top / step + 1e-9) + 1)]
    return values, [_tick(v) for v in values]


def _tick(value: float) -> str:
    if value == 0:
        return "0"
    for scale, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"${value / scale:g}{suffix}"
    return f"${value:g}"


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move labels apart until neighbours are at least `gap` from each other; order and first label are kept.

    >>> spread([0.0, 0.02, 1.0], 0.1)
    [0.0, 0.1, 1.0]
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    placed = list(map(float, positions))
    for before, here in pairwise(order):
        placed[here] = max(placed[here], placed[before] + gap)
    return placed


def layout(theme: str | None, height: int, **more: Any) -> dict[str, Any]:
    """The layout of a figure in a theme; `more` adds keys or replaces them."""
    base = {"template": themes.template(theme), "height": height, "showlegend": False, "autosize": True}
    return base | more


def money_axis(top: float, headroom: float = 1.06) -> dict[str, Any]:
    """A y axis in dollars from 0, with room above `top`."""
    values, text = money_ticks(top)
    return {
        "range": [0, top * headroom if top > 0 else 1],
        "tickvals": values,
        "ticktext": text,
        "fixedrange": True,
    } | STANDOFF


def moments(seconds: np.ndarray) -> list[str]:
    """UTC seconds (n,) as texts for a date axis: `2025-06-30T20:00:00`."""
    return [str(t) for t in np.asarray(seconds).astype("datetime64[s]")]


def label(text: str, x: float, y: float, colour: str, **more: Any) -> dict[str, Any]:
    """An annotation without an arrow: `text` at (x, y)."""
    return {"text": text, "x": x, "y": y, "showarrow": False, "font": {"size": 11, "color": colour}} | more
