"""Text from outside, made safe to show: one function for each kind of output other than charts.

A token's symbol, a node's message, a stored note may hold anything: escape sequences that repaint a terminal, marks
that turn the direction of writing, a formula for whoever opens a table in a spreadsheet. It is stored as it came and
made safe where it is shown: `safe_print` for terminals, `PlainFormatter` for logs, `marked` for pages (charts:
`dashboard.look.escaping`), `csv_text` for tables that leave as CSV.
"""

from __future__ import annotations

import logging
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import pandas as pd

TEXT_LENGTH = 2_000
_KEPT = "\u200d\u200c"  # joiners: without them some scripts are misspelt
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Signs with which a formula begins in a spreadsheet (OWASP, CSV injection), with the wide forms of the first four."""


def marked(text: str, limit: int = TEXT_LENGTH) -> str:
    r"""Text for a page: control, direction and other unseen marks as escapes, at most `limit` characters and a sign.

    >>> marked("US\u202eDC\x1b[31m")
    'US\\u202eDC\\x1b[31m'
    """
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return short if short.isprintable() else "".join(map(_seen, short))


def printed(text: str) -> str:
    r"""Text for a terminal or a log: as `marked`, of any length, with its line feeds and tabs.

    >>> printed("a\n\x1b[2Jb")
    'a\n\\x1b[2Jb'
    """
    return text if text.isprintable() else "".join(char if char in "\n\t" else _seen(char) for char in text)


def safe_print(*values: object, file: TextIO | None = None, flush: bool = False) -> None:
    """`print` in which nothing in `values` can control the terminal. To the present `sys.stdout`, or to `file`."""
    print(printed(" ".join(map(str, values))), file=sys.stdout if file is None else file, flush=flush)


class PlainFormatter(logging.Formatter):
    """Lines of a log, tracebacks included, that cannot control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text in which nothing can control a terminal."""
        return printed(super().format(record))


def spreadsheet_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe; numbers stay.

    >>> spreadsheet_cell("=HYPERLINK(1)"), spreadsheet_cell(-1.5), spreadsheet_cell("WETH")
    ("'=HYPERLINK(1)", -1.5, 'WETH')
    """
    if not isinstance(value, str):
        return value
    # Some spreadsheets skip spaces before the sign.
    return f"'{value}" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else value


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV for whoever opens it in a spreadsheet, without its index. Every CSV leaves through here."""
    safe = frame.rename(columns=lambda name: spreadsheet_cell(str(name)))
    # With "\r\n" as the end of a line pandas quotes a cell that has either sign, so that it does not begin a new row.
    return safe.map(spreadsheet_cell).to_csv(index=False, lineterminator="\r\n")


def _seen(char: str) -> str:
    if char in _KEPT or unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
