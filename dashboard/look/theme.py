"""Colours and the chart template, read from the files the browser gets too: one source for both.

plotly cannot read CSS variables, so `colours` parses `assets/10-tokens.css` once; `template` is the matching
plotly template. Grey is what is, blue is what was asked, orange is worse, teal is better.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

THEMES = ("dark", "light")
DEFAULT = "dark"
ASSETS = Path(__file__).parents[1] / "assets"
_TEMPLATE = ASSETS / "template.json"

RESERVE_TOKEN = MappingProxyType(
    {
        "WETH": "cat-1", "wstETH": "cat-2", "weETH": "cat-3", "WBTC": "cat-4",
        "cbBTC": "cat-5", "USDC": "cat-6", "USDT": "cat-7", "GHO": "cat-8",
    }
)  # fmt: skip
"""Reserves with a colour of their own, the same on every page; the rest share `cat-other`."""


def checked(theme: str | None) -> str:
    """A known theme name: anything else (a stale browser store, a typed link) becomes the default."""
    return theme if theme in THEMES else DEFAULT


@cache
def colours(theme: str | None) -> Mapping[str, str]:
    """Token name without the `--ui-` prefix to its CSS colour, as written in the file."""
    css = (ASSETS / "10-tokens.css").read_text(encoding="utf-8")
    block = re.search(rf'(?m)^(?::root,)?\[data-bs-theme="{checked(theme)}"\]\{{(.*?)\n\}}', css, re.DOTALL)
    if block is None:
        raise ValueError(f"assets/10-tokens.css has no block for the theme {theme!r}")
    return MappingProxyType(dict(re.findall(r"--ui-([\w-]+):([^;]+);", block.group(1))))


@cache
def template(theme: str | None) -> Mapping[str, Any]:
    """The plotly template of a theme, as plain JSON. Callers must not change it."""
    return json.loads(_TEMPLATE.read_text(encoding="utf-8"))[checked(theme)]


def reserve_token(symbol: str) -> str:
    """The colour token of a reserve."""
    return RESERVE_TOKEN.get(symbol, "cat-other")
