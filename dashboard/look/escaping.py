r"""Foreign text on its way to a screen: one function for each surface, `marked` for HTML and `charted` for charts.

A token's symbol, a note or an error may hold anything. Marks that steer a terminal or turn the direction of writing
are shown as what they are, `\\u202e`; on a chart plotly would read tags and templates, so those lose their meaning too.
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
    """Children of a component: every text in them marked; components, which were built here, as they are."""
    if isinstance(children, str):
        return marked(children)
    if isinstance(children, list | tuple):
        return [shown(child) for child in children]
    return children
