"""Charts of the Market page."""

from __future__ import annotations

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, spread
from dashboard.look.escaping import charted
from dashboard.pages.market_risk.answers import Curve, Method, Rolling
from dashboard.pages.market_risk.over_time import Correlation, Volatility


def losses(answer: Rolling, method: Method, theme: str | None) -> Figure:
    """The result of each day as bars, with the forecasts of the day before and marks where they were exceeded."""
    c = themes.colours(theme)
    days = [_day(t) for t in answer.ts]
    shown = np.isfinite(method.var)
    first = int(np.argmax(shown)) if shown.any() else 0
    ahead = [*days[first:], _day(int(answer.ts[-1]) + 86_400)]  # the last forecast is for the next day
    size = float(np.nanmax(np.abs(np.concatenate([answer.result_usd[first:], method.shortfall[first:]])), initial=1.0))
    data = [
        {
            "type": "bar",
            "x": days[first:],
            "y": answer.result_usd[first:].tolist(),
            "name": "result of the day",
            "marker": {"color": c["cat-other"]},
            "customdata": [fmt.money_change(v) for v in answer.result_usd[first:]],
            "hovertemplate": "result <b>%{customdata}</b><extra></extra>",
        },
        _line(ahead, -np.append(method.shortfall[first:], method.today_shortfall), "shortfall", c["text"], 1.25),
        _line(ahead, -np.append(method.var[first:], method.today), "value-at-risk", c["scenario"], 2.0),
        {
            "type": "scatter",
            "mode": "markers",
            "name": "exception",
            "x": [day for day, over in zip(days, method.exceeded, strict=True) if over],
            "y": answer.result_usd[method.exceeded].tolist(),
            "hoverinfo": "skip",
            "marker": {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": c["crit"]}},
        },
    ]
    ends = [-method.today, -method.today_shortfall]
    places = spread([(v + size) / (2 * size) if np.isfinite(v) else 0.5 for v in ends[::-1]], 0.12)[::-1]
    notes = [
        label(
            f"<b>{name}</b><br>{fmt.money_change(end)}", 1.0, place * 2 * size - size, c["text-2"], xref="paper",
            xanchor="left", yanchor="middle", xshift=8, align="left",
        )
        for name, end, place in zip(("VaR", "ES"), ends, places, strict=True)
        if np.isfinite(end)
    ]  # fmt: skip
    step = _round_step(size)
    ticks = [i * step for i in range(-int(size // step), int(size // step) + 1)]
    return {
        "data": data,
        "layout": layout(
            theme, 300, bargap=0.25, annotations=notes, margin={"l": 56, "r": 76, "t": 8, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, **STANDOFF},
            yaxis={
                "range": [-size * 1.06, size * 1.06], "tickvals": ticks,
                "ticktext": ["0" if t == 0 else fmt.money_change(t) for t in ticks], "fixedrange": True, **STANDOFF,
            },
        ),
    }  # fmt: skip


def impermanent(curve: Curve, theme: str | None) -> Figure:
    """Loss against holding by price move; the range is the tinted band."""
    c = themes.colours(theme)
    floor = -0.3
    moves = (curve.moves * 100).tolist()
    lines = (
        ("constant product (v2)", curve.constant_product, c["text-2"], "dash"),
        ("this range (v3)", curve.concentrated, c["scenario"], "solid"),
    )
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": moves,
            "y": (values * 100).tolist(),
            "name": name,
            "line": {"color": colour, "dash": dash, "width": 2},
            "hovertemplate": f"{name} <b>%{{y:.2f}} %</b><extra></extra>",
        }
        for name, values, colour, dash in lines
    ]
    edges = [curve.low * 100, curve.high * 100]
    shapes = [
        {"type": "rect", "x0": edges[0], "x1": edges[1], "y0": 0, "y1": 1, "yref": "paper", "fillcolor": c["band"],
         "line": {"width": 0}, "layer": "below"},
        {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper",
         "line": {"color": c["text-3"], "width": 1, "dash": "3px,3px"}},
    ]  # fmt: skip
    ticks = [-50, -25, 0, 25, 50]
    return {
        "data": data,
        "layout": layout(
            theme, 260, shapes=shapes, margin={"l": 52, "r": 14, "t": 10, "b": 28},
            xaxis={
                "range": [-50, 50], "tickvals": ticks, "fixedrange": True, **STANDOFF,
                "ticktext": ["now" if t == 0 else fmt.move(t / 100) for t in ticks],
                "unifiedhovertitle": {"text": "price %{x:+.1f} %"},
            },
            yaxis={
                "range": [floor * 100, 1], "tickvals": [0, -10, -20, -30], "fixedrange": True, **STANDOFF,
                "ticktext": ["0", *(fmt.move(-t / 100) for t in (10, 20, 30))],
            },
        ),
    }  # fmt: skip


def restlessness(answer: Volatility, theme: str | None) -> Figure:
    """Annualised volatility by horizon, with its interval."""
    c = themes.colours(theme)
    every = np.union1d(answer.hours, answer.forecast_days * 24)
    place = {int(hours): i for i, hours in enumerate(every)}
    x = [place[int(hours)] for hours in answer.hours]
    per_cent = answer.whole * 100
    data = [
        {"type": "scatter", "mode": "lines", "x": x + x[::-1], "y": [*(answer.high * 100), *(answer.low * 100)[::-1]],
         "fill": "toself", "fillcolor": c["band"], "line": {"width": 0}, "hoverinfo": "skip", "name": "95 % interval"},
        {"type": "scatter", "mode": "lines", "x": x, "y": per_cent.tolist(), "name": f"{answer.days} days",
         "line": {"color": c["scenario"], "width": 2},
         "hovertemplate": f"{answer.days} days <b>%{{y:.0f}} %</b><extra></extra>"},
        {"type": "scatter", "mode": "markers", "x": x[: len(answer.recent)], "y": (answer.recent * 100).tolist(),
         "name": "last 30 days", "marker": {"size": 7, "color": c["text"]},
         "hovertemplate": "last 30 days <b>%{y:.0f} %</b><extra></extra>"},
        {"type": "scatter", "mode": "lines+markers", "x": [place[int(d) * 24] for d in answer.forecast_days],
         "y": (answer.forecast * 100).tolist(), "name": "GARCH ahead", "marker": {"size": 6, "color": c["warn"]},
         "line": {"color": c["warn"], "width": 1.5, "dash": "dash"},
         "hovertemplate": "GARCH, from now on <b>%{y:.0f} %</b><extra></extra>"},
    ]  # fmt: skip
    highest = [(part * 100).max(initial=0.0) for part in (answer.high, answer.recent, answer.forecast)]
    top = float(max(highest)) * 1.08
    return {
        "data": data,
        "layout": layout(
            theme,
            260,
            margin={"l": 52, "r": 14, "t": 10, "b": 28},
            xaxis={
                "tickvals": list(range(len(every))),
                "ticktext": [fmt.hours(float(h)) for h in every],
                "fixedrange": True,
                **STANDOFF,
            },
            yaxis={"range": [0, top], "ticksuffix": "\u202f%", "nticks": 5, "fixedrange": True, **STANDOFF},
        ),
    }


def together(answer: Correlation, theme: str | None) -> Figure:
    """Correlation with each other series by horizon, side by side, with its interval as whiskers."""
    c = themes.colours(theme)
    colours = [c["scenario"], c["text"], c["text-2"], c["text-3"]]
    count = len(answer.names)
    if not count or not np.isfinite(answer.correlation).any():
        return nothing(theme, 260, "no other series has a long enough history")
    data = []
    for i, name in enumerate(answer.names):
        known = np.flatnonzero(np.isfinite(answer.correlation[i]))
        rho = answer.correlation[i, known]
        data.append({
            "type": "scatter", "mode": "markers", "x": [int(h) + 0.14 * (i - (count - 1) / 2) for h in known],
            "y": rho.tolist(), "name": charted(name.removesuffix("USDT") or name),
            "marker": {"size": 8, "color": colours[i % len(colours)], "symbol": SYMBOLS[i % len(SYMBOLS)]},
            "error_y": {"type": "data", "symmetric": False, "array": (answer.high[i, known] - rho).tolist(),
                        "arrayminus": (rho - answer.low[i, known]).tolist(), "thickness": 1.25, "width": 3},
            "hovertemplate": f"{charted(name)} <b>%{{y:.2f}}</b><extra></extra>",
        })  # fmt: skip
    short = [int(d) for d, row in zip(answer.horizon_days, answer.correlation.T, strict=True) if np.isnan(row).all()]
    notes = []
    if short:
        reason = f"{' and '.join(str(d) for d in short)} days: too short a history"
        notes.append(label(reason, 1, 1, c["text-3"], xref="paper", yref="paper", xanchor="right", yanchor="top"))
    return {
        "data": data,
        "layout": layout(
            theme, 260, annotations=notes, margin={"l": 52, "r": 14, "t": 10, "b": 28}, hovermode="closest",
            showlegend=True, legend={"orientation": "h", "x": 0, "y": 0.02, "yanchor": "bottom"},
            xaxis={"range": [-0.5, len(answer.horizon_days) - 0.5], "tickvals": list(range(len(answer.horizon_days))),
                   "ticktext": ["1 day" if d == 1 else f"{d} days" for d in answer.horizon_days], "fixedrange": True,
                   **STANDOFF},
            yaxis={"range": [-1.05, 1.05], "tickvals": [-1, -0.5, 0, 0.5, 1], "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


SYMBOLS = ("circle", "diamond", "square", "triangle-up")


def nothing(theme: str | None, height: int, says: str = "") -> Figure:
    """An empty chart with the reason in it."""
    c = themes.colours(theme)
    notes = [label(says, 0.5, 0.5, c["text-3"], xref="paper", yref="paper")] if says else []
    hidden = {"visible": False, "fixedrange": True}
    return {"data": [], "layout": layout(theme, height, annotations=notes, xaxis=hidden, yaxis=hidden)}


def _line(x: list[str], y: np.ndarray, name: str, colour: str, width: float) -> dict:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "name": name,
        "y": [v if np.isfinite(v) else None for v in y.tolist()],
        "line": {"color": colour, "width": width},
        "customdata": [fmt.money_change(v) for v in y],
        "hovertemplate": f"{name} <b>%{{customdata}}</b><extra></extra>",
    }


def _day(seconds: int) -> str:
    return str(np.datetime64(int(seconds), "s"))[:10]


def _round_step(size: float) -> float:
    raw = size / 2
    power = 10.0 ** np.floor(np.log10(raw))
    return float(max(m * power for m in (1, 2, 2.5, 5) if m * power <= raw))
