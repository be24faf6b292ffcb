r"""Escape foreign text before it is shown: `marked` for HTML, `charted` for charts.

A token's symbol, a note or an error may hold any text. Characters that control a terminal or reverse the direction of
writing are shown as their code, `\\u202e`; plotly interprets tags and templates, so on charts those are escaped too.
The browser itself is safe from tags: Dash sets text, never HTML.
"""

from __future__ import annotations

import re
from typing import Any

from data.foreign_text import marked

__all__ = ["NAME_LENGTH", "charted", "marked", "named", "shown"]

NAME_LENGTH = 32
"""Characters of a symbol that are shown; real ones have up to about 25."""


def named(symbol: str) -> str:
    """A symbol for a page."""
    return marked(symbol, NAME_LENGTH)


def charted(symbol: str) -> str:
    """A symbol for any text of a plotly figure: no tag, no entity, no template, no break of the line.

    >>> charted("<a href='x'>A&B</a>%{x}")
    "&lt;a href='x'&gt;A&amp;B&lt;/a&gt;% {x}"
    """
    plain = named(symbol).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"%(?=\{)", "% ", plain)


def shown(children: Any) -> Any:
    """The children of a component with every text in them `marked`; components are built here and stay as they are."""
    if isinstance(children, str):
        return marked(children)
    if isinstance(children, list | tuple):
        return [shown(child) for child in children]
    return children
