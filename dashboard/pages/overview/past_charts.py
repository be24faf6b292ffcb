"""Charts for looking back: the stored blocks over time, and what moved the debt between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, moments, money_ticks
from dashboard.market.looking_back import StoredBlock
from dashboard.pages.overview.past import Chosen
from data.snapshot.changes import Moved

TIMELINE_HEIGHT, WATERFALL_HEIGHT = 190, 214
DEBT_ROOM, LAR_ROOM = (0.56, 1.0), (0.0, 0.44)
"""Shares of the height that debt and LaR have."""
STEPS = ("before", "action", "interest", "price", "after")


def timeline_chart(found: Chosen, theme: str | None) -> Figure:
    """Debt at every stored block and LaR where a run is stored, one above the other; a line at the chosen block.

    Both axes begin at 0. A click on a mark chooses its block. Hollow marks of LaR: the run saw later prices.
    """
    c = themes.colours(theme)
    drawn = [one for one in found.drawn if one.valued]
    told = [one for one in drawn if one.lar_usd is not None]
    lines = [(found.at, c["text"], "solid")]
    lines += [] if found.against is None else [(found.against, c["baseline"], "4px,3px")]
    top = max((one.debt_usd or 0.0 for one in drawn), default=0.0)
    most = max((one.high if one.high is not None else one.lar_usd or 0.0 for one in told), default=0.0)
    names = [label("Borrowed", 0.0, DEBT_ROOM[1], c["text-2"], xref="paper", yref="paper", xanchor="left", yshift=6)]
    names.append(
        label("LaR 99\u202f%, 24 h" if told else "LaR 99\u202f%: no run of 24 h is stored", 0.0, LAR_ROOM[1],
              c["text-2"], xref="paper", yref="paper", xanchor="left", yshift=6)
    )  # fmt: skip
    return {
        "data": [_debt(drawn, c), _lar(told, c)],
        "layout": layout(
            theme,
            TIMELINE_HEIGHT,
            hovermode="closest",
            annotations=names,
            margin={"l": 56, "r": 14, "t": 18, "b": 26},
            shapes=[
                {"type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "x0": at, "x1": at, "layer": "below",
                 "line": {"color": colour, "width": 1.5, "dash": dash}}
                for one, colour, dash in lines
                for at in moments(np.array([one.time]))
            ],
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, "anchor": "y2", **STANDOFF},
            yaxis=_axis(top, DEBT_ROOM),
            yaxis2=_axis(most, LAR_ROOM) | {"anchor": "x"},
        ),
    }  # fmt: skip


def _axis(top: float, room: tuple[float, float]) -> dict[str, Any]:
    values, text = money_ticks(top * 1.2, 2)
    return {
        "domain": list(room), "range": [0, top * 1.5 if top > 0 else 1], "tickvals": values, "ticktext": text,
        "fixedrange": True, **STANDOFF,
    }  # fmt: skip


def _debt(drawn: Sequence[StoredBlock], c: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": moments(np.array([one.time for one in drawn], dtype=np.int64)),
        "y": [one.debt_usd for one in drawn],
        "line": {"color": c["baseline"], "width": 1.5},
        "marker": {"size": 6, "color": c["baseline"]},
        "customdata": [[one.block, fmt.money(one.debt_usd), fmt.count(one.block), fmt.utc(one.time)] for one in drawn],
        "hovertemplate": "borrowed <b>%{customdata[1]}</b><br>block %{customdata[2]}, %{customdata[3]}<extra></extra>",
    }


def _lar(told: Sequence[StoredBlock], c: dict[str, str]) -> dict[str, Any]:
    values = [one.lar_usd or 0.0 for one in told]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": moments(np.array([one.time for one in told], dtype=np.int64)),
        "y": values,
        "yaxis": "y2",
        "line": {"color": c["scenario"], "width": 1.5},
        "marker": {
            "size": 7,
            "color": [c["surface"] if one.looks_ahead else c["scenario"] for one in told],
            "line": {"color": c["scenario"], "width": 1.5},
        },
        "error_y": {
            "type": "data", "symmetric": False, "color": c["scenario"], "thickness": 1.5, "width": 3,
            "array": [0.0 if one.high is None else one.high - v for one, v in zip(told, values, strict=True)],
            "arrayminus": [0.0 if one.low is None else v - one.low for one, v in zip(told, values, strict=True)],
        },
        "customdata": [[one.block, _told(one), fmt.count(one.block), fmt.utc(one.time)] for one in told],
        "hovertemplate": "LaR <b>%{customdata[1]}</b><br>block %{customdata[2]}, %{customdata[3]}<extra></extra>",
    }  # fmt: skip


def _told(one: StoredBlock) -> str:
    between = ", few draws" if one.few_draws else ""
    if one.low is not None and one.high is not None:
        between = f", 95\u202f%: {fmt.money_range(one.low, one.high)}"
    return f"{fmt.money(one.lar_usd)}{between}{', saw later prices' if one.looks_ahead else ''}"


def waterfall(moved: Moved, theme: str | None) -> Figure:
    """Debt before, what actions, interest and prices made of it, and after.

    The axis shows the part that moved, so the two ends are marks and not bars: their length would say nothing.
    """
    c = themes.colours(theme)
    ends, starts, lengths, colours, texts = _steps(moved, c)
    low, high = min(starts.min(), ends.min()), max(starts.max(), ends.max())
    span = max(high - low, abs(high) * 1e-6, 1.0)
    mark = span * 0.012
    is_end = np.array([name in ("before", "after") for name in STEPS])
    base = np.where(is_end, ends - mark / 2, np.minimum(starts, ends))
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": list(STEPS),
                "base": base.tolist(),
                "x": np.where(is_end, mark, np.maximum(np.abs(lengths), mark / 4)).tolist(),
                "width": [0.8 if end else 0.5 for end in is_end],
                "marker": {"color": colours},
                "customdata": [fmt.money_full(v) for v in np.where(is_end, ends, lengths)],
                "hovertemplate": "%{y} <b>%{customdata}</b><extra></extra>",
            }
        ],
        "layout": layout(
            theme,
            WATERFALL_HEIGHT,
            hovermode="closest",
            margin={"l": 62, "r": 78, "t": 4, "b": 4},
            annotations=[
                label(f"<b>{text}</b>", float(max(start, end)), name, c["text"], xanchor="left", xshift=7)
                for name, text, start, end in zip(STEPS, texts, starts, ends, strict=True)
            ],
            xaxis={"visible": False, "range": [low - span * 0.06, high + span * 0.1], "fixedrange": True},
            yaxis={
                "autorange": "reversed", "showgrid": False, "fixedrange": True, "type": "category",
                "tickfont": {"size": 12, "color": c["text-2"]}, **STANDOFF,
            },
        ),
    }  # fmt: skip


def _steps(moved: Moved, c: dict[str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str], list[str]]:
    """Of each step: where it ends and starts (5,), its length (5,), colour and text."""
    change = np.array([moved.action, moved.interest, moved.price])
    after = moved.before + np.cumsum(change)
    ends = np.array([moved.before, *after, moved.after])
    starts = np.array([moved.before, moved.before, *after[:2], moved.after])
    lengths = np.array([0.0, *change, 0.0])
    colours = [c["scenario"], *(c["baseline"] for _ in change), c["text"]]
    texts = [fmt.money(moved.before), *(fmt.money_change(v) for v in change.tolist()), fmt.money(moved.after)]
    return ends, starts, lengths, colours, texts
