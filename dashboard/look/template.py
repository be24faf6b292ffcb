"""The plotly template of a theme, made from `assets/10-tokens.css`, the only file that defines colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLEAR = "rgba(0,0,0,0)"
CATEGORIES = 8


def template_of(tokens: Mapping[str, str], families: str) -> dict[str, Any]:
    """Plain JSON for `layout.template`. tokens: name without `--ui-` to CSS colour; families: CSS font families."""

    def words(size: int, token: str) -> dict[str, Any]:
        return {"size": size, "color": tokens[token]}

    scale = _scale(tokens, ("seq-0", "seq-1", "seq-2", "seq-3", "seq-4"))
    bar = {"thickness": 8, "outlinewidth": 0, "ticks": "", "tickfont": words(11, "text-3"), "len": 0.9}
    error = {"color": tokens["text"], "thickness": 1.5, "width": 3}
    layout = {
        "font": {"family": families} | words(12, "text-2"),
        "title": {"font": words(13, "text"), "x": 0, "xanchor": "left"},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "colorway": [tokens[f"cat-{i}"] for i in range(1, CATEGORIES + 1)],
        "colorscale": {
            "sequential": scale,
            "sequentialminus": scale,
            "diverging": _scale(tokens, ("div-n2", "div-n1", "div-0", "div-p1", "div-p2")),
        },
        "coloraxis": {"colorbar": bar},
        "margin": {"l": 48, "r": 16, "t": 12, "b": 28, "pad": 0},
        "xaxis": _axis(tokens) | {"showgrid": False, "showline": True},
        "yaxis": _axis(tokens) | {"showline": False},
        "legend": {
            "orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom", "bgcolor": CLEAR,
            "font": words(12, "text-2"), "itemsizing": "trace", "itemwidth": 30,
        },
        "hovermode": "x unified",
        "hoverdistance": 40,
        "hoverlabel": {
            "bgcolor": tokens["raised"], "bordercolor": tokens["line-strong"], "align": "left", "namelength": -1,
            "font": {"family": families} | words(12, "text"),
        },
        "bargap": 0.18,
        "barcornerradius": 2,
        "dragmode": False,
        "separators": ".,",
        "annotationdefaults": {"font": words(11, "text-2"), "showarrow": False},
        "shapedefaults": {"line": {"color": tokens["line-strong"], "width": 1}},
        "modebar": {"bgcolor": CLEAR, "color": tokens["text-3"], "activecolor": tokens["accent"]},
        "uirevision": "keep",
        "transition": {"duration": 0},
    }  # fmt: skip
    data: dict[str, dict[str, Any]] = {
        "heatmap": {"colorscale": scale, "colorbar": bar, "xgap": 2, "ygap": 2},
        "scatter": {"line": {"width": 2}},
        "scattergl": {"line": {"width": 2}},
        "bar": {"marker": {"line": {"width": 0}}, "error_y": error, "error_x": error},
        "histogram": {"marker": {"line": {"width": 0}}},
    }
    return {"layout": layout, "data": {kind: [{"type": kind} | more] for kind, more in data.items()}}


def _axis(tokens: Mapping[str, str]) -> dict[str, Any]:
    return {
        "gridcolor": tokens["line"], "gridwidth": 1, "linecolor": tokens["line-strong"], "zeroline": False,
        "zerolinecolor": tokens["line-strong"], "ticks": "", "tickcolor": tokens["line"],
        "tickfont": {"size": 11, "color": tokens["text-3"]}, "automargin": True, "separatethousands": True,
        "title": {"font": {"size": 12, "color": tokens["text-2"]}, "standoff": 8},
        "spikecolor": tokens["text-3"], "spikethickness": -2, "spikedash": "solid", "spikemode": "across",
    }  # fmt: skip


def _scale(tokens: Mapping[str, str], names: tuple[str, ...]) -> list[list[Any]]:
    return [[i / (len(names) - 1), tokens[name]] for i, name in enumerate(names)]
