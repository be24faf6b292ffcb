"""Foreign text on its way to a screen: one function for each surface, `marked` for HTML and `charted` for charts.

A token's symbol, a note or an error may hold anything. Marks that steer a terminal or turn the direction of writing
are shown as what they are, `\\u202e`; on a chart plotly would read tags and templates, so those lose their meaning too.
The browser itself is safe from tags: Dash sets text, never HTML.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

NAME_LENGTH = 32
"""Characters of a symbol that are shown; real ones have up to about 25."""
TEXT_LENGTH = 2_000
_KEPT = "\u200d\u200c"  # joiners: without them some scripts are misspelt
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}


def marked(text: str, limit: int = TEXT_LENGTH) -> str:
    r"""Text for a page: control, direction and other unseen marks as escapes, at most `limit` characters and a sign.

    >>> marked("US\u202eDC\x1b[31m")
    'US\\u202eDC\\x1b[31m'
    """
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return short if short.isprintable() else "".join(map(_seen, short))


def _seen(char: str) -> str:
    if char in _KEPT or unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


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
