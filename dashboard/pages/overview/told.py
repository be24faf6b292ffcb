"""The daily brief on the Overview: a line a sentence, every number with the row that it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, pill
from dashboard.look.escaping import marked
from dashboard.market.page_data import PageData, Unavailable
from data.brief import Number, Sentence

FILL = "python -m flows brief"
TITLE = "Since the day before"
SEVERITY = {"change": "flat", "state": "flat", "missing": "watch"}


def told(source: PageData) -> Any:
    """The newest brief of the market, or the command that writes one."""
    try:
        found = source.brief()
    except Unavailable as nothing:
        return card(TITLE, empty(nothing.title, nothing.text, nothing.command))
    if found is None:
        text = "What changed since the day before and why is written from the stored figures by:"
        return card(TITLE, empty("No brief yet", text, FILL))
    held = "no day before is stored" if found.before_block is None else f"against block {fmt.count(found.before_block)}"
    newest = source.status().block
    old = "" if newest == found.block else f" · a newer snapshot is stored: {FILL}"
    return card(
        TITLE,
        html.Ul([html.Li(_sentence(one)) for one in found.sentences], className="prose brief"),
        f"By rules from stored rows · hover a number for its row · block {fmt.count(found.block)}, "
        f"{fmt.utc(found.block_time)} · {held}{old}",
        "what changed, and why",
        source="/api/v1/overview/brief",
    )


def _sentence(one: Sentence) -> list[Any]:
    parts: list[Any] = [_part(part) for part in one.parts]
    if one.kind == "missing":
        parts.insert(0, [pill(SEVERITY[one.kind], "missing"), " "])
    if one.command:
        parts += [" ", html.Code(marked(one.command))]
    flat: list[Any] = []
    for part in parts:
        flat += part if isinstance(part, list) else [part]
    return flat


def _part(part: str | Number) -> Any:
    if isinstance(part, str):
        return marked(part)
    return html.B(marked(part.text), title=marked("; ".join(ref.text for ref in part.refs)))


def brief_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/overview/brief`: sentences with their numbers, and table and key of each."""
    found = source.brief()
    if found is None:
        raise Unavailable("No brief yet", "What changed since the day before is written by:", FILL)
    return {
        "market": found.market,
        "block": found.block,
        "block_time": found.block_time,
        "before_block": found.before_block,
        "is_synthetic": found.synthetic,
        "sentences": [_as_json(one) for one in found.sentences],
    }


def _as_json(one: Sentence) -> dict[str, Any]:
    numbers = [
        {"text": number.text, "rows": [{"table": ref.table, "key": dict(ref.key)} for ref in number.refs]}
        for number in one.numbers
    ]
    return {"topic": one.topic, "kind": one.kind, "text": one.text, "command": one.command, "numbers": numbers}
