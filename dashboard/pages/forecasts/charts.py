"""Charts of the Forecasts page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout, moments, money_axis
from dashboard.look.escaping import charted
from dashboard.market.forecasts import LawRecord
from dashboard.pages.forecasts import answers
from dashboard.pages.forecasts.answers import Beside, Shown

ZONES = {"green": "ok-mark", "yellow": "watch-mark", "red": "crit-mark"}
LONGEST = 400
"""Most forecasts in one chart; the newest are shown."""


def ledger(shown: Shown, theme: str | None) -> Figure:
    """Forecasts as steps, each over its own window; outcomes as dots, exceptions as crosses, open ones as a ring."""
    c = themes.colours(theme)
    walked = [one for one in shown.told if one.state not in ("overlaps", "after the fact")][-LONGEST:]
    tested = [one for one in walked if one.state == "tested"]
    x = [at for one in walked for at in moments(np.array([one.made_at, one.valid_until]))]
    data = []
    for level, width, fill in ((0.99, 2, "band"), (0.95, 1.25, "band")):
        y = [answers.value_of(one, level) for one in walked for _ in range(2)]
        says = [fmt.money(value) for value in y]
        data.append(
            {"type": "scatter", "mode": "lines", "x": x, "y": y, "fill": "tozeroy", "fillcolor": c[fill],
             "line": {"color": c["scenario"], "width": width}, "customdata": says,
             "hovertemplate": f"{level:.0%} forecast <b>%{{customdata}}</b><extra></extra>"}
        )  # fmt: skip
    worst = {id(one): level for one, level in answers.exceptions(shown)}
    marks = (
        ("came", lambda level: level is None or level < 0.95, {"size": 5, "color": c["baseline"]}),
        ("beyond 95 %", lambda level: level == 0.95, _cross(c, 8, 1.75)),
        ("beyond 99 %", lambda level: level == 0.99, _cross(c, 11, 3)),
    )
    for name, belongs, marker in marks:
        some = [one for one in tested if belongs(worst.get(id(one)))]
        data.append(
            {"type": "scatter", "mode": "markers", "name": name, "marker": marker,
             "x": moments(np.array([(one.made_at + one.valid_until) // 2 for one in some], dtype=np.int64)),
             "y": [one.outcome for one in some], "customdata": [fmt.money(one.outcome) for one in some],
             "hovertemplate": f"{name} <b>%{{customdata}}</b><extra></extra>"}
        )  # fmt: skip
    waiting = [one for one in walked if one.state == "not over" or one.state == "not read"]
    data.append(
        {"type": "scatter", "mode": "markers", "name": "waits", "hoverinfo": "skip",
         "x": moments(np.array([one.made_at for one in waiting], dtype=np.int64)),
         "y": [one.value_99 for one in waiting],
         "marker": {"size": 8, "color": c["surface"], "line": {"width": 2, "color": c["scenario"]}}}
    )  # fmt: skip
    top = max([one.value_99 for one in walked] + [one.outcome or 0.0 for one in tested] + [1.0])
    return {
        "data": data,
        "layout": layout(
            theme,
            260,
            margin={"l": 56, "r": 14, "t": 8, "b": 26},
            hovermode="closest",
            xaxis={"type": "date", "fixedrange": True, "nticks": 7, **STANDOFF},
            yaxis=money_axis(top),
        ),
    }


def counts(record: LawRecord, theme: str | None) -> Figure:
    """The chance of each number of exceptions under a right law, by Basel's zones, and the observed number."""
    c = themes.colours(theme)
    found = answers.chances(record)
    seen = next((chance for count, chance, _ in found if count == record.exceptions), 0.0)
    top = max(chance for _, chance, _ in found)
    edge = [2 if count == record.exceptions else 0 for count, *_ in found]
    data = [
        {"type": "bar", "x": [count for count, *_ in found], "y": [100 * chance for _, chance, _ in found],
         "marker": {"color": [c[ZONES[zone]] for *_, zone in found], "line": {"width": edge, "color": c["text"]}},
         "customdata": [[fmt.share(chance), zone] for _, chance, zone in found],
         "hovertemplate": "%{x} exceptions <b>%{customdata[0]}</b>, %{customdata[1]}<extra></extra>"}
    ]  # fmt: skip
    # Next to the tallest bar there is space only above it.
    place = max(seen, max(chance for count, chance, _ in found if abs(count - record.exceptions) <= 2))
    note = label(f"▾ {record.exceptions} seen", record.exceptions, 100 * place, c["text"], yanchor="bottom", yshift=2)
    return {
        "data": data,
        "layout": layout(
            theme, 150, margin={"l": 44, "r": 10, "t": 12, "b": 24}, annotations=[note], bargap=0.15,
            xaxis={"fixedrange": True, "nticks": 12, "showgrid": False, **STANDOFF},
            yaxis={"range": [0, 100 * top * 1.2], "ticksuffix": "\u202f%", "nticks": 4, "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def calibration(shown: Shown, theme: str | None) -> Figure:
    """Share of outcomes at or below each forecast quantile, on axes stretched at the ends, with the band for n."""
    from scipy.special import logit  # not at the top: no other chart of the page needs it

    c = themes.colours(theme)
    found = answers.places(shown)
    x = logit(np.array([place.level for place in found]))

    def at(values: list[float]) -> list[float]:
        return logit(np.clip(values, 0.02, 0.998)).tolist()

    ticks = np.array([0.1, 0.5, 0.9, 0.99])
    axis = {
        "tickvals": logit(ticks).tolist(),
        "ticktext": [f"{tick:.0%}".replace("%", "\u202f%") for tick in ticks],
        "fixedrange": True,
        **STANDOFF,
    }
    low, high = at([place.low for place in found]), at([place.high for place in found])
    data = [
        {"type": "scatter", "mode": "lines", "x": [*x, *x[::-1]], "y": [*low, *high[::-1]], "fill": "toself",
         "fillcolor": c["band-base"], "line": {"width": 0}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines", "x": x.tolist(), "y": x.tolist(), "hoverinfo": "skip",
         "line": {"color": c["baseline"], "width": 1.5, "dash": "dash"}},
        {"type": "scatter", "mode": "markers", "x": x.tolist(), "y": at([place.share for place in found]),
         "marker": {"size": 8, "color": c["scenario"]},
         "customdata": [[fmt.share(place.share), fmt.share(place.level)] for place in found],
         "hovertemplate": "<b>%{customdata[0]}</b> where %{customdata[1]} were forecast<extra></extra>"},
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(theme, 260, margin={"l": 52, "r": 14, "t": 8, "b": 28}, hovermode="closest",
                         xaxis=axis, yaxis=axis),
    }  # fmt: skip


def evidence(shown: Shown, theme: str | None) -> Figure:
    """The wealth of the bet against the expected shortfall after each forecast, log scale, and the limit."""
    c = themes.colours(theme)
    some = [one for one in shown.tested if one.evidence is not None]
    x, y = moments(np.array([one.valid_until for one in some])), [max(one.evidence or 0.0, 1e-3) for one in some]
    top = max([*y, answers.ALARM]) * 2
    data = [
        {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": {"color": c["scenario"], "width": 2},
         "hovertemplate": "evidence <b>%{y:.2f}</b><extra></extra>"},
        {"type": "scatter", "mode": "lines", "x": [x[0], x[-1]], "y": [answers.ALARM] * 2, "hoverinfo": "skip",
         "line": {"color": c["text"], "width": 1.5}},
    ]  # fmt: skip
    note = label("alarm", x[0], np.log10(answers.ALARM), c["text-2"], xanchor="left", yanchor="bottom")
    return {
        "data": data,
        "layout": layout(
            theme, 260, margin={"l": 44, "r": 14, "t": 8, "b": 26}, annotations=[note],
            xaxis={"type": "date", "fixedrange": True, "nticks": 5, **STANDOFF},
            yaxis={"type": "log", "range": [np.log10(min(*y, 0.5)) - 0.1, np.log10(top)], "fixedrange": True,
                   "tickvals": [0.01, 0.1, 1, 5, 20, 100, 1_000], **STANDOFF},
        ),
    }  # fmt: skip


def compared(found: Sequence[Beside], theme: str | None) -> Figure:
    """Each law's loss beyond that of the shown law, with its 95 % interval; left of the line is better."""
    c = themes.colours(theme)
    known = [(one, one.gap) for one in found if one.gap is not None]
    ends = [end for _, gap in known for end in (gap.low, gap.high)]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    room = 0.06 * (high - low or 1.0)
    data = []
    for row, (_, gap) in enumerate(known):
        colour = c["baseline"] if not gap.clear else c["better-mark"] if gap.mean < 0 else c["worse-mark"]
        said = [fmt.money_change(gap.mean), fmt.money_change(gap.low), fmt.money_change(gap.high), f"{gap.p_value:.3f}"]
        data.append(
            {"type": "scatter", "mode": "markers", "x": [gap.mean], "y": [row], "marker": {"size": 9, "color": colour},
             "error_x": {"type": "data", "symmetric": False, "array": [gap.high - gap.mean],
                         "arrayminus": [gap.mean - gap.low], "color": colour, "thickness": 1.5, "width": 3},
             "customdata": [said],
             "hovertemplate": "<b>%{customdata[0]}</b> (%{customdata[1]} to %{customdata[2]}), p %{customdata[3]}"
                              "<extra></extra>"}
        )  # fmt: skip
    zero = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": c["scenario"], "width": 1.5}}  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 60 + 34 * max(len(known), 1), margin={"l": 132, "r": 16, "t": 4, "b": 28}, hovermode="closest",
            shapes=[zero],
            xaxis={"range": [low - room, high + room], "nticks": 4, "tickformat": "$.2s", "fixedrange": True,
                   "zeroline": False, **STANDOFF},
            yaxis={"range": [len(known) - 0.5, -0.5], "tickvals": list(range(len(known))),
                   "ticktext": [charted(one.law) for one, _ in known], "showgrid": False, "fixedrange": True,
                   "tickfont": {"size": 12, "color": c["text-2"]}, **STANDOFF},
        ),
    }  # fmt: skip


def _cross(c: dict[str, str], size: float, width: float) -> dict[str, object]:
    return {"symbol": "x-thin", "size": size, "line": {"width": width, "color": c["worse-mark"]}}
