"""Charts, as plain plotly JSON: quick to build while a handle moves, and checked by plotly itself in the tests.

Grammar: no x grid, money axes start at 0, units in the ticks, lines labelled at their end, the baseline grey and
dashed beside a blue scenario. Bands are distributions, whiskers are errors; neither ever means the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dashboard import formatting as fmt
from dashboard import theme as themes
from dashboard.book import Estimate, Run
from dashboard.service import WATCH_HF, Buckets, Curve, Pair

Figure = dict[str, Any]

CONFIG = {
    "displayModeBar": False,
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "responsive": True,
}
"""Nothing on a chart calls another host."""


def money_ticks(top: float, n: int = 4) -> tuple[list[float], list[str]]:
    """Round tick values from 0 to just below `top`, and how they are written: at most `n` steps.

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
    for before, here in zip(order, order[1:], strict=False):
        placed[here] = max(placed[here], placed[before] + gap)
    return placed


def _layout(theme: str, height: int, **layout: Any) -> dict[str, Any]:
    base = {"template": themes.template(theme), "height": height, "showlegend": False, "autosize": True}
    return base | layout


def _money_axis(top: float, headroom: float = 1.06) -> dict[str, Any]:
    values, text = money_ticks(top)
    return {"range": [0, top * headroom if top > 0 else 1], "tickvals": values, "ticktext": text, "fixedrange": True}


def _label(text: str, x: float, y: float, colour: str, **extra: Any) -> dict[str, Any]:
    return {"text": text, "x": x, "y": y, "showarrow": False, "font": {"size": 11, "color": colour}} | extra


def _level_name(level: float) -> str:
    return "median" if level == 0.5 else f"{level * 100:g}\u202f%"


def lar_fan(run: Run, theme: str) -> Figure:
    """Cumulative debt repaid over the horizon: a line for each stored level, whiskers for the error at its end."""
    c = themes.colours(theme)
    hours, levels = np.asarray(run.fan["hours"], float), [float(v) for v in run.fan["levels"]]
    usd = np.asarray(run.fan["usd"], float)
    lar = run.get("lar_repaid", 0.99)
    top = max(float(usd.max()), (lar.high or 0.0) if lar else 0.0, 1.0)
    data: list[dict[str, Any]] = []
    for i, level in enumerate(levels):
        median = level == 0.5
        data.append({
            "type": "scatter", "mode": "lines", "x": hours.tolist(), "y": usd[:, i].tolist(), "name": _level_name(level),
            "fill": "tozeroy", "fillcolor": "rgba(0,0,0,0)" if median else c["band"],
            "line": {"color": c["text"] if median else c["scenario"], "width": 2.25 if level >= 0.99 else 1.5},
            "customdata": [fmt.money(v) for v in usd[:, i]], "hovertemplate": f"{_level_name(level)} <b>%{{customdata}}</b><extra></extra>",
        })  # fmt: skip
    if lar is not None and lar.low is not None and lar.high is not None:
        data.append({
            "type": "scatter", "mode": "markers", "x": [float(hours[-1])], "y": [lar.value], "hoverinfo": "skip", "cliponaxis": False,
            "marker": {"size": 9, "color": c["surface"], "line": {"color": c["scenario"], "width": 2}},
            "error_y": {"type": "data", "symmetric": False, "array": [lar.high - lar.value], "arrayminus": [lar.value - lar.low],
                        "color": c["scenario"], "thickness": 1.5, "width": 4},
        })  # fmt: skip
    ends = spread([float(usd[-1, i]) / top for i in range(len(levels))], 0.17)
    notes = [
        _label(
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
        "layout": _layout(
            theme, 234, annotations=notes, margin={"l": 52, "r": 74, "t": 16, "b": 26},
            xaxis={"range": [0, last], "tickvals": ticks.tolist(), "ticktext": ["now", *[f"{t:g} h" for t in ticks[1:]]],
                   "fixedrange": True, "unifiedhovertitle": {"text": "%{x:.0f} h ahead"}},
            yaxis=_money_axis(top, 1.08),
        ),
    }  # fmt: skip


def seized_bars(seized: Mapping[str, float], theme: str, rows: int = 7) -> Figure:
    """Collateral seized by reserve, sorted bars in the reserve's own colour, the sum of them all at 100 %."""
    c = themes.colours(theme)
    order = sorted(((s, v) for s, v in seized.items() if v > 0), key=lambda item: -item[1])
    if len(order) > rows:
        order = [*order[: rows - 1], (f"{len(order) - rows + 1} others", sum(v for _, v in order[rows - 1 :]))]
    total = sum(v for _, v in order) or 1.0
    names, values = [s for s, _ in order], [v for _, v in order]
    text = [f"{fmt.money(v)}  <span style='color:{c['text-3']}'>{fmt.share(v / total, 0)}</span>" for v in values]
    return {
        "data": [{
            "type": "bar", "orientation": "h", "y": names, "x": values, "text": text, "textposition": "outside",
            "textfont": {"color": c["text"], "size": 12}, "cliponaxis": False, "width": 0.56,
            "marker": {"color": [c[themes.reserve_token(s)] for s in names]},
            "customdata": [fmt.money_full(v) for v in values], "hovertemplate": "%{y} <b>%{customdata}</b><extra></extra>",
        }],
        "layout": _layout(
            theme, 234, hovermode="closest", margin={"l": 62, "r": 86, "t": 4, "b": 4},
            xaxis={"visible": False, "range": [0, max(values, default=1.0)], "fixedrange": True},
            yaxis={"autorange": "reversed", "showgrid": False, "fixedrange": True, "tickfont": {"size": 12, "color": c["text-2"]}},
        ),
    }  # fmt: skip


def debt_by_health_factor(buckets: Buckets, watch_usd: float, exposed_usd: float, theme: str) -> Figure:
    """Debt by health factor: what can fall against its debt in blue, same-asset loops in grey on top."""
    c = themes.colours(theme)
    n = len(buckets.labels)
    top = float((buckets.exposed + buckets.loops).max(initial=0.0))
    bars = [
        {
            "type": "bar", "x": list(range(n)), "y": values.tolist(), "name": name, "marker": {"color": c[colour]},
            "customdata": [fmt.money(v) for v in values], "hovertemplate": f"{name} <b>%{{customdata}}</b><extra></extra>",
        }
        for name, values, colour in (("exposed", buckets.exposed, "scenario"), ("loops", buckets.loops, "cat-other"))
    ]  # fmt: skip
    edge = buckets.labels.index("1.1") - 0.5
    note = f"below HF {WATCH_HF:g}: {fmt.money(watch_usd)}, of which {fmt.money(exposed_usd)} can fall against its debt"
    # A label under the left edge of its bar: the bar "1.04" holds health factors from 1.04 to the next label.
    return {
        "data": bars,
        "layout": _layout(
            theme, 210, barmode="stack", bargap=0.08, margin={"l": 52, "r": 10, "t": 26, "b": 26},
            annotations=[_label(note, 0, 1, c["text-2"], xref="paper", yref="paper", xanchor="left", yanchor="bottom", yshift=6)],
            shapes=[{"type": "line", "x0": edge, "x1": edge, "y0": 0, "y1": 1, "yref": "paper",
                     "line": {"color": c["watch"], "width": 1.5, "dash": "4px,3px"}}],
            xaxis={"tickvals": list(range(n)), "ticktext": list(buckets.labels), "range": [-0.6, n - 0.4], "fixedrange": True,
                   "tickangle": 0, "unifiedhovertitle": {"text": "HF from %{x}"}},
            yaxis=_money_axis(top),
        ),
    }  # fmt: skip


def sweep(curve: Curve, theme: str) -> Figure:
    """Debt repaid as ETH falls: the scenario over the dashed baseline, the area between them tinted."""
    c = themes.colours(theme)
    fall, eth = np.asarray(curve.fall), curve.handle[0]
    limit = 0.4 if eth <= 0.36 else 0.6
    keep = fall <= limit + 1e-9
    x = (-100 * fall[keep]).tolist()
    one, two = curve.baseline[keep], curve.scenario[keep]
    top = max(float(one.max(initial=0.0)), float(two.max(initial=0.0)), curve.handle[1], 1.0)
    here = min(eth, limit)
    left = here > limit / 2
    name = "ETH as today" if eth < 0.005 else f"ETH {fmt.move(-eth)}"
    grid = [0, -10, -20, -30, -40] if limit < 0.5 else [0, -20, -40, -60]
    lines = [
        ("baseline", one, {"color": c["baseline"], "width": 1.75, "dash": "5px,4px"}, {}),
        ("scenario", two, {"color": c["scenario"], "width": 2.25}, {"fill": "tonexty", "fillcolor": c["band"]}),
    ]
    return {
        "data": [
            *({
                "type": "scatter", "mode": "lines", "x": x, "y": y.tolist(), "name": label, "line": line,
                "customdata": [fmt.money(v) for v in y], "hovertemplate": f"{label} <b>%{{customdata}}</b><extra></extra>", **extra,
            } for label, y, line, extra in lines),
            {
                "type": "scatter", "mode": "markers", "x": [-100 * here], "y": [curve.handle[1]], "hoverinfo": "skip", "cliponaxis": False,
                "marker": {"size": 11, "color": c["surface"], "line": {"color": c["scenario"], "width": 2.5}},
            },
        ],
        "layout": _layout(
            theme, 246, margin={"l": 52, "r": 18, "t": 10, "b": 26},
            shapes=[{"type": "line", "x0": -100 * here, "x1": -100 * here, "y0": 0, "y1": 1, "yref": "paper",
                     "line": {"color": c["scenario"], "width": 1.25}}],
            annotations=[_label(
                f"{name}<br><b>{fmt.money(curve.handle[1])}</b>", -100 * here, min(curve.handle[1] / (top * 1.06) + 0.06, 0.82), c["text"],
                yref="paper", xanchor="right" if left else "left", yanchor="bottom", xshift=-9 if left else 9,
                align="right" if left else "left",
            )],
            xaxis={"range": [0, -100 * limit], "tickvals": grid, "ticktext": ["0", *[fmt.move(g / 100) for g in grid[1:]]],
                   "fixedrange": True, "unifiedhovertitle": {"text": "ETH %{x:.0f} %"}},
            yaxis=_money_axis(top),
        ),
    }  # fmt: skip


def sold(lines: Sequence[tuple[str, Pair]], theme: str) -> Figure:
    """Collateral to be sold by reserve: the scenario thick, the baseline thin and grey below it."""
    c = themes.colours(theme)
    names = [name for name, _ in lines]
    dots = [f"{name} <span style='color:{c[themes.reserve_token(name)]}'>●</span>" for name in names]
    then, now = [p.scenario for _, p in lines], [p.baseline for _, p in lines]
    top = max([*then, *now, 0.0])
    rows = list(range(len(lines)))
    return {
        "data": [
            {
                "type": "bar", "orientation": "h", "y": rows, "x": then, "width": 0.4, "offset": -0.3, "name": "scenario",
                "marker": {"color": c["scenario"]}, "text": [fmt.money(v) for v in then], "textposition": "outside", "cliponaxis": False,
                "textfont": {"color": c["text"], "size": 12}, "customdata": [[n, fmt.money_full(v)] for n, v in zip(names, then, strict=True)],
                "hovertemplate": "%{customdata[0]}, scenario <b>%{customdata[1]}</b><extra></extra>",
            },
            {
                "type": "bar", "orientation": "h", "y": rows, "x": now, "width": 0.14, "offset": 0.16, "name": "baseline",
                "marker": {"color": c["baseline"]}, "customdata": [[n, fmt.money_full(v)] for n, v in zip(names, now, strict=True)],
                "hovertemplate": "%{customdata[0]}, baseline <b>%{customdata[1]}</b><extra></extra>",
            },
        ],
        "layout": _layout(
            theme, 246, hovermode="closest", barmode="overlay", margin={"l": 66, "r": 58, "t": 4, "b": 4},
            xaxis={"visible": False, "range": [0, top or 1.0], "fixedrange": True},
            yaxis={"range": [max(len(lines), 4) - 0.4, -0.6], "tickvals": rows, "ticktext": dots, "showgrid": False, "fixedrange": True,
                   "tickfont": {"size": 12, "color": c["text-2"]}},
        ),
    }  # fmt: skip


def alternative_text(estimate: Estimate | None, what: str) -> str:
    """What a chart says, for those who do not see it."""
    return what if estimate is None else f"{what}: {fmt.money(estimate.value)}."
