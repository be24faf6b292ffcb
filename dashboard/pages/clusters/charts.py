"""Charts of the Clusters page."""

from __future__ import annotations

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, layout, moments
from dashboard.look.escaping import charted
from dashboard.market.clusters import ClusterFit
from data.liquidations import HOUR
from risk_core.analytics import hawkes
from risk_core.analytics.hawkes import INDEPENDENT, PRICES, PROCESS, SEEN

STEPS = 900
"""Points of the intensity line."""


def chance(fit: ClusterFit, theme: str | None) -> Figure:
    """The chance of a burst by day, a cross above each day on which one came, and the chance by a Poisson process."""
    c = themes.colours(theme)
    chances = fit.chances
    x = moments(chances.ts)
    per_cent = chances.probability * 100
    came = chances.seen == 1
    top = max(float((chances.high * 100).max()), 1.0) * 1.25
    data = [
        {"type": "scatter", "mode": "lines", "x": x + x[::-1], "y": [*(chances.high * 100), *(chances.low * 100)[::-1]],
         "fill": "toself", "fillcolor": c["band"], "line": {"width": 0}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines", "x": x, "y": per_cent.tolist(), "name": "fitted process",
         "line": {"color": c["scenario"], "width": 2}, "customdata": [fmt.share(v) for v in chances.probability],
         "hovertemplate": "fitted <b>%{customdata}</b><extra></extra>"},
        {"type": "scatter", "mode": "lines", "x": x, "y": (chances.poisson * 100).tolist(), "name": "Poisson",
         "line": {"color": c["text-3"], "width": 1.5, "dash": "dash"},
         "customdata": [fmt.share(v) for v in chances.poisson],
         "hovertemplate": "Poisson <b>%{customdata}</b><extra></extra>"},
        {"type": "scatter", "mode": "markers", "x": [day for day, yes in zip(x, came, strict=True) if yes],
         "y": [top * 0.94] * int(came.sum()), "name": "a burst came", "hoverinfo": "skip",
         "marker": {"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": c["crit"]}}},
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme,
            240,
            margin={"l": 52, "r": 14, "t": 8, "b": 26},
            xaxis={"type": "date", "fixedrange": True, "nticks": 6, **STANDOFF},
            yaxis={"range": [0, top], "ticksuffix": "\u202f%", "nticks": 5, "fixedrange": True, **STANDOFF},
        ),
    }


def intensity(fit: ClusterFit, theme: str | None, days: int) -> Figure:
    """Expected liquidations per hour of all kinds, and below each kind's events as ticks on the same time."""
    c = themes.colours(theme)
    start = max(fit.events.end - days * 24, 0.0)
    at = np.linspace(start, fit.events.end, STEPS)
    # An even grid would miss the peaks, so the moments just after events are added.
    after = fit.events.times[fit.events.times >= start] + 1e-6
    at = np.unique(np.concatenate([at, after[after <= fit.events.end]]))
    total = hawkes.intensity(fit.model, fit.events, at).sum(axis=1)
    base = float(fit.model.mu.mean(axis=1).sum())
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": _times(fit, at),
            "y": total.tolist(),
            "name": "expected per hour",
            "line": {"color": c["scenario"], "width": 1.25},
            "hovertemplate": "expected <b>%{y:.2f}</b> per hour<extra></extra>",
        }
    ]
    recent = fit.events.times >= start
    for i, kind in enumerate(fit.kinds):
        mine = recent & (fit.events.kinds == i)
        size = np.clip(5 + 2.2 * np.log10(np.maximum(fit.usd[mine], 1.0) / 1_000), 5, 16)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": _times(fit, fit.events.times[mine]),
                "y": [i] * int(mine.sum()),
                "yaxis": "y2",
                "name": charted(kind),
                "customdata": [fmt.money(v) for v in fit.usd[mine]],
                "marker": {"symbol": "line-ns", "size": size.tolist(), "line": {"width": 1, "color": c["text-2"]}},
                "hovertemplate": f"{charted(kind)} <b>%{{customdata}}</b><extra></extra>",
            }
        )
    n = len(fit.kinds)
    return {
        "data": data,
        "layout": layout(
            theme, 320, margin={"l": 52, "r": 14, "t": 8, "b": 26}, hovermode="closest",
            shapes=[{"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": base, "y1": base,
                     "line": {"color": c["text-3"], "width": 1, "dash": "4px,3px"}}],
            xaxis={"type": "date", "fixedrange": True, "nticks": 7, "anchor": "y2", **STANDOFF,
                   "range": _times(fit, np.array([start, fit.events.end]))},
            yaxis={"domain": [0.34, 1], "rangemode": "tozero", "nticks": 4, "fixedrange": True, **STANDOFF},
            yaxis2={"domain": [0, 0.24], "range": [-0.6, n - 0.4], "tickvals": list(range(n)), "showgrid": False,
                    "ticktext": [charted(kind) for kind in fit.kinds], "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def residuals(fit: ClusterFit, theme: str | None) -> Figure:
    """Quantiles of the rescaled waiting times against Exp(1), the 95 % band of a right model, and Poisson's."""
    c = themes.colours(theme)
    n = len(fit.events)
    flat = hawkes.poisson_process(fit.events)
    expected = -np.log1p(-(np.arange(1, n + 1) - 0.5) / n)
    fitted_residuals, flat_residuals = (np.sort(hawkes.residuals(model, fit.events)) for model in (fit.model, flat))
    share = (np.arange(1, n + 1) - 0.5) / n
    half = 1.36 / np.sqrt(n)  # Kolmogorov-Smirnov at 5 %
    low, high = (-np.log1p(-np.clip(share + sign * half, 0, 1 - 0.2 / n)) for sign in (-1, 1))
    top = float(expected[-1]) * 1.02
    some = np.unique(np.concatenate([np.linspace(0, n - 1, 300).astype(int), np.arange(max(n - 40, 0), n)]))
    data = [
        {"type": "scatter", "mode": "lines", "x": [*expected[some], *expected[some][::-1]],
         "y": [*high[some], *low[some][::-1]], "fill": "toself", "fillcolor": c["band-base"], "line": {"width": 0},
         "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines", "x": expected[some].tolist(), "y": flat_residuals[some].tolist(),
         "name": "Poisson", "line": {"color": c["text-3"], "width": 1.5, "dash": "dash"}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines", "x": expected[some].tolist(), "y": fitted_residuals[some].tolist(),
         "name": "fitted",
         "line": {"color": c["scenario"], "width": 2}, "hoverinfo": "skip"},
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 240, margin={"l": 44, "r": 14, "t": 8, "b": 40}, hovermode=False,
            xaxis={"range": [0, top], "nticks": 5, "fixedrange": True, "title": {"text": "expected if the model holds"},
                   **STANDOFF},
            yaxis={"range": [0, top * 1.25], "nticks": 5, "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


COLOURS = {SEEN: ("text", "solid"), PRICES: ("worse-mark", "solid"), PROCESS: ("scenario", "solid"),
           INDEPENDENT: ("text-3", "dash")}  # fmt: skip
"""What is counted -> colour and line."""
WORDS = {SEEN: "seen", PRICES: "prices alone", PROCESS: "fitted process", INDEPENDENT: "independent"}


def compared(fit: ClusterFit, theme: str | None) -> Figure:
    """Chance that the fullest step of a window has at least k liquidations, both axes in logarithms."""
    c = themes.colours(theme)
    data: list[dict] = []
    step = fmt.hours(fit.compared[0].step_seconds / HOUR) if fit.compared else ""
    least, most = 1.0, 1.0
    for one in fit.compared:
        told = one.greatest > 0
        if one.of == INDEPENDENT:
            told &= one.greatest > LOWEST
        if not told.any():
            continue
        x, y = one.levels[told], one.greatest[told]
        colour, dash = COLOURS[one.of]
        least, most = min(least, float(y.min())), max(most, float(x.max()))
        if one.of == SEEN:
            ends = [np.maximum(values[told], LOWEST) for values in (one.high, one.low)]
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [*x, *x[::-1]],
                    "y": [*ends[0], *ends[1][::-1]],
                    "fill": "toself",
                    "fillcolor": c["band-base"],
                    "line": {"width": 0},
                    "hoverinfo": "skip",
                }
            )
        words = [
            f"{fmt.share(v, 1)} [{fmt.share(a, 1)}, {fmt.share(b, 1)}]" if one.n_windows else fmt.share(v, 2)
            for v, a, b in zip(y, one.low[told], one.high[told], strict=True)
        ]
        data.append({
            "type": "scatter", "mode": "lines+markers", "x": x.tolist(), "y": y.tolist(), "name": WORDS[one.of],
            "line": {"color": c[colour], "width": 2, "dash": dash}, "marker": {"size": 4}, "customdata": words,
            "hovertemplate": f"{WORDS[one.of]} <b>%{{customdata}}</b><extra></extra>",
        })  # fmt: skip
    bottom = np.log10(max(least, LOWEST)) - 0.1
    decades = [v for v in (1e-4, 1e-3, 1e-2, 1e-1, 1.0) if np.log10(v) >= bottom]
    counts = [v for v in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000) if v <= most * 1.01]
    return {
        "data": data,
        "layout": layout(
            theme, 300, margin={"l": 58, "r": 14, "t": 8, "b": 40},
            xaxis={"type": "log", "tickvals": counts, "ticktext": [fmt.count(v) for v in counts], "fixedrange": True,
                   "range": [-0.04, np.log10(most) + 0.06], "title": {"text": f"at least so many in {step}"},
                   **STANDOFF},
            yaxis={"type": "log", "tickvals": decades, "fixedrange": True,
                   "range": [bottom, 0.06],
                   "ticktext": [fmt.share(v, 2 if v < 1e-2 else 0) for v in decades], **STANDOFF},
        ),
    }  # fmt: skip


LOWEST = 1e-4
"""Chances below this are not drawn."""


def hours(fit: ClusterFit, theme: str | None) -> Figure:
    """Rates without earlier liquidations by hour of the day, with their intervals, and the constant rate."""
    c = themes.colours(theme)
    found = fit.day_rates
    if found is None:
        return {"data": [], "layout": layout(theme, 240)}
    x = list(range(24))
    known = np.isfinite(found.low) & np.isfinite(found.high)
    up = np.where(known, found.high - found.rate, 0.0)
    down = np.where(known, found.rate - found.low, 0.0)
    words = [
        f"{rate:.3f} [{low:.3f}, {high:.3f}]" if ok else f"{rate:.3f}, interval not known"
        for rate, low, high, ok in zip(found.rate, found.low, found.high, known, strict=True)
    ]
    flat = float(fit.model.mu.mean(axis=1).sum())
    top = float(max((found.rate + up).max(), flat)) * 1.08 or 1.0
    data = [
        {"type": "scatter", "mode": "markers", "x": x, "y": found.rate.tolist(), "customdata": words,
         "marker": {"color": c["scenario"], "size": 7},
         "error_y": {"type": "data", "symmetric": False, "array": up.tolist(), "arrayminus": down.tolist(),
                     "color": c["scenario"], "thickness": 1.25, "width": 0},
         "hovertemplate": "%{x} h: <b>%{customdata}</b> per hour<extra></extra>"},
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 240, margin={"l": 52, "r": 14, "t": 8, "b": 26}, hovermode="closest",
            shapes=[{"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": flat, "y1": flat,
                     "line": {"color": c["text-3"], "width": 1.5, "dash": "4px,3px"}}],
            xaxis={"range": [-0.6, 23.6], "tickvals": [0, 6, 12, 18, 23], "ticksuffix": "\u202fh", "fixedrange": True,
                   "showgrid": False, "zeroline": False, **STANDOFF},
            yaxis={"range": [0, top], "nticks": 5, "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def _times(fit: ClusterFit, hours: np.ndarray) -> list[str]:
    return moments(fit.first_ts + hours * HOUR)
