"""Colours and the chart template, both from the style sheet that the browser also loads.

plotly cannot read CSS variables, so `colours` parses `assets/10-tokens.css` once and `template` is made from it.
Grey is the baseline, blue the scenario, orange is worse, teal is better.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dashboard.look.template import template_of

THEMES = ("dark", "light")
DEFAULT = "dark"
ASSETS = Path(__file__).parents[1] / "assets"

RESERVE_TOKEN = MappingProxyType(
    {
        "WETH": "cat-1",
        "wstETH": "cat-2",
        "weETH": "cat-3",
        "WBTC": "cat-4",
        "cbBTC": "cat-5",
        "USDC": "cat-6",
        "USDT": "cat-7",
        "GHO": "cat-8",
    }
)
"""Reserves with a colour of their own, the same on every page; the rest share `cat-other`."""


def checked(theme: str | None) -> str:
    """A known theme name: anything else (a stale browser store, a typed link) becomes the default."""
    return theme if theme in THEMES else DEFAULT


@cache
def colours(theme: str | None) -> Mapping[str, str]:
    """Token name without the `--ui-` prefix to its CSS colour, as written in the file."""
    block = re.search(rf'(?m)^(?::root,)?\[data-bs-theme="{checked(theme)}"\]\{{(.*?)\n\}}', _css(), re.DOTALL)
    if block is None:
        raise ValueError(f"assets/10-tokens.css has no block for the theme {theme!r}")
    return MappingProxyType(dict(re.findall(r"--ui-([\w-]+):([^;]+);", block.group(1))))


@cache
def _css() -> str:
    return (ASSETS / "10-tokens.css").read_text(encoding="utf-8")


@cache
def families() -> str:
    """The font families of the page, for what is drawn on charts."""
    found = re.search(r"--ui-font:([^;]+);", _css())
    if found is None:
        raise ValueError("assets/10-tokens.css has no --ui-font")
    return ", ".join(part.strip() for part in found.group(1).split(","))


@cache
def template(theme: str | None) -> Mapping[str, Any]:
    """The plotly template of a theme, as plain JSON. Callers must not change it."""
    return template_of(colours(theme), families())


def reserve_token(symbol: str) -> str:
    """The colour token of a reserve."""
    return RESERVE_TOKEN.get(symbol, "cat-other")
