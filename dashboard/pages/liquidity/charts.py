"""Charts of the Liquidity page."""

from __future__ import annotations

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, moments, money_axis
from dashboard.look.escaping import charted
from dashboard.market.liquidators import Repaid
from dashboard.market.loaded import ShownFigure
from dashboard.market.queues import ShownQueue
from dashboard.pages.liquidity.answers import DAY, Way, rolling_day
from risk_core.analytics.slippage import USED

HEIGHT = 190
SMALLEST, LARGEST = 1e5, 1e9
"""Sizes shown, USD."""
TOP = 0.14
"""Slippage at the top of each small chart; all of them have one scale."""


def curve(way: Way, sold_usd: float, theme: str | None) -> Figure:
    """Slippage against size: quotes as dots, the fit, the part without quotes dashed, the bonus, what is sold."""
    c = themes.colours(theme)
    if way.curve is None:
        return {"data": [], "layout": layout(theme, HEIGHT, annotations=[_middle("No curve: " + way.problem[:60], c)])}
    last = min(max(way.curve.last_usd, SMALLEST), LARGEST)
    inside = np.geomspace(SMALLEST, last, 60)
    beyond = np.geomspace(last, LARGEST, 30)
    used = np.array([state == USED for state in way.state])
    lost = 1 - way.ladder.received_usd / way.ladder.size_usd
    lines = ((inside, "solid", "fit"), (beyond, "4px,3px", "at least, beyond the last quote"))
    data = [
        {
            "type": "scatter", "mode": "lines", "x": at.tolist(), "y": way.curve.slippage_at(at).tolist(),
            "line": {"color": c["scenario"], "width": 1.75, "dash": dash}, "customdata": [fmt.money(v) for v in at],
            "hovertemplate": f"{name}: %{{customdata}} loses <b>%{{y:.2%}}</b><extra></extra>",
        }
        for at, dash, name in lines
    ]  # fmt: skip
    for chosen, symbol, colour, name in ((used, "circle", c["text"], "quote"), (~used, "x", c["watch"], "not used")):
        if chosen.any():
            data.append(
                {
                    "type": "scatter", "mode": "markers", "x": way.ladder.size_usd[chosen].tolist(),
                    "y": np.maximum(lost[chosen], 0.0).tolist(),
                    "marker": {"size": 5 if symbol == "circle" else 8, "color": colour, "symbol": symbol},
                    "customdata": [[fmt.money(v), s] for v, s in zip(way.ladder.size_usd[chosen],
                                   np.array(way.state)[chosen], strict=True)],
                    "hovertemplate": f"{name}: %{{customdata[0]}} loses <b>%{{y:.2%}}</b> "
                                     "(%{customdata[1]})<extra></extra>",
                }
            )  # fmt: skip
    shapes = [_line(c["text-2"], y0=way.limit, y1=way.limit, dash="2px,3px")]
    notes = [
        label(f"nothing earned above {fmt.share(way.limit)}", 0.0, way.limit / TOP, c["text-2"],
              xref="paper", yref="paper", xanchor="left", yanchor="bottom")
    ] if way.limit < TOP else []  # fmt: skip
    if sold_usd >= SMALLEST:
        at = min(sold_usd, LARGEST)
        cost = float(way.curve.slippage_at(sold_usd))
        shapes.append(
            {
                "type": "line",
                "x0": at,
                "x1": at,
                "y0": 0,
                "y1": min(cost, TOP),
                "line": {"color": c["text"], "width": 2},
            }
        )
        data.append(
            {"type": "scatter", "mode": "markers", "x": [at], "y": [min(cost, TOP)], "hoverinfo": "skip",
             "cliponaxis": False,
             "marker": {"size": 9, "color": c["surface"], "line": {"color": c["scenario"], "width": 2}}}
        )  # fmt: skip
    ticks = {1e5: "$0.1M", 1e6: "$1M", 1e7: "$10M", 1e8: "$100M", 1e9: "$1B"}
    return {
        "data": data,
        "layout": layout(
            theme, HEIGHT, shapes=shapes, annotations=notes, hovermode="closest",
            margin={"l": 42, "r": 14, "t": 8, "b": 26},
            xaxis={"type": "log", "range": [5, 9], "tickvals": list(ticks), "ticktext": list(ticks.values()),
                   "fixedrange": True, "showgrid": False, **STANDOFF},
            yaxis={"range": [0, TOP], "tickformat": ".0%", "tickvals": [0, 0.05, 0.1], "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def capital(repaid: Repaid, ahead: ShownFigure | None, made: int | None, theme: str | None) -> Figure:
    """Debt repaid in a rolling day, the largest of them as a line, and the 99 % day ahead as a point with its error."""
    c = themes.colours(theme)
    rolling = rolling_day(repaid)
    # A window falls back when its oldest liquidation leaves it: steps down as well as up.
    leaves = repaid.ts + DAY
    times = np.unique(np.concatenate([repaid.ts, leaves]))
    usd = np.concatenate([[0.0], np.cumsum(np.nan_to_num(repaid.usd))])
    at = usd[np.searchsorted(repaid.ts, times, side="right")] - usd[np.searchsorted(leaves, times, side="right")]
    keep = times > repaid.ts[-1] - 90 * DAY
    record = float(rolling.max())
    top = max(record, ahead.value if ahead else 0.0, (ahead.high or 0.0) if ahead else 0.0)
    data = [
        {"type": "scatter", "mode": "lines", "x": moments(times[keep]), "y": at[keep].tolist(),
         "line": {"color": c["text-2"], "width": 1.25, "shape": "hv"}, "fill": "tozeroy", "fillcolor": c["band-base"],
         "customdata": [fmt.money(v) for v in at[keep]],
         "hovertemplate": "%{x}: <b>%{customdata}</b> in 24 h<extra></extra>"}
    ]  # fmt: skip
    if ahead is not None and made is not None:
        error = (
            {}
            if ahead.low is None or ahead.high is None
            else {"error_y": {"type": "data", "symmetric": False, "array": [ahead.high - ahead.value],
                              "arrayminus": [ahead.value - ahead.low], "color": c["scenario"], "thickness": 1.5}}
        )  # fmt: skip
        data.append(
            {"type": "scatter", "mode": "markers", "x": moments(np.array([made + DAY])), "y": [ahead.value],
             "marker": {"size": 9, "color": c["surface"], "line": {"color": c["scenario"], "width": 2}}, **error,
             "hovertemplate": f"99 % day ahead: <b>{fmt.money(ahead.value)}</b><extra></extra>"}
        )  # fmt: skip
    shapes = [_line(c["text"], y0=record, y1=record)]
    notes = [label(f"largest stored day: {fmt.money(record)}", 0.01, record, c["text-2"], xref="paper", xanchor="left",
                   yanchor="bottom")]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 240, shapes=shapes, annotations=notes, margin={"l": 56, "r": 16, "t": 14, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, "showgrid": False, **STANDOFF},
            yaxis=money_axis(top, 1.15),
        ),
    }  # fmt: skip


QUEUE_LINES = {"quoted depth": ("scenario", "solid"), "half depth": ("warn", "4px,3px"),
               "late oracle": ("cat-2", "6px,2px"), "record capital": ("text-2", "2px,3px")}  # fmt: skip


def queue_legend(found: ShownQueue | None) -> list[tuple[str, str, str]]:
    """Colour, words and line of each model that `queue` draws."""
    kinds = {"solid": "solid", "4px,3px": "dashed", "6px,2px": "dashed", "2px,3px": "dotted"}
    names = [] if found is None else [model.name for model in found.models if model.name in QUEUE_LINES]
    return [(QUEUE_LINES[name][0], name, kinds[QUEUE_LINES[name][1]]) for name in names]


def queue(found: ShownQueue, theme: str | None) -> Figure:
    """Mean debt that waits at the end of each step, by model, on a log scale from 1,000 USD."""
    c = themes.colours(theme)
    data, top = [], 1e4
    for model in found.models:
        if model.name not in QUEUE_LINES:
            continue
        colour, dash = QUEUE_LINES[model.name]
        usd = np.maximum(np.array(model.waiting_usd), 1.0)
        top = max(top, float(usd.max()))
        data.append(
            {"type": "scatter", "mode": "lines", "x": list(model.hours), "y": usd.tolist(), "name": model.name,
             "line": {"color": c[colour], "width": 1.75, "dash": dash},
             "customdata": [fmt.money(v) for v in model.waiting_usd],
             "hovertemplate": f"after %{{x:.0f}} h: <b>%{{customdata}}</b> waits, {model.name}<extra></extra>"}
        )  # fmt: skip
    ticks = [10.0**k for k in range(3, int(np.log10(top)) + 2)]
    return {
        "data": data,
        "layout": layout(
            theme, 240, showlegend=False, margin={"l": 56, "r": 16, "t": 8, "b": 34},
            xaxis={"fixedrange": True, "showgrid": False, "ticksuffix": " h", "range": [0, found.horizon_hours],
                   **STANDOFF},
            yaxis={"type": "log", "range": [3, float(np.log10(top)) + 0.3], "tickvals": ticks,
                   "ticktext": [fmt.money(v) for v in ticks], "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def nothing(text: str, theme: str | None, height: int = HEIGHT) -> Figure:
    """An empty chart that says why."""
    c = themes.colours(theme)
    hidden = {"visible": False, "fixedrange": True}
    return {"data": [], "layout": layout(theme, height, xaxis=hidden, yaxis=hidden, annotations=[_middle(text, c)])}


def _middle(text: str, c: dict[str, str]) -> dict:
    return label(charted(text), 0.5, 0.5, c["text-2"], xref="paper", yref="paper")


def _line(colour: str, *, y0: float, y1: float, dash: str = "solid") -> dict:
    line = {"color": colour, "width": 1, "dash": dash}
    return {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": y0, "y1": y1, "line": line}
