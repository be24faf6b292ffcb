"""The card of figures that were published on a chain: figure, place and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, pill, table
from dashboard.look.escaping import marked, named
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.publications import Publication

FILL = "python -m flows publish-metric"
TITLE = "Published on a chain"
TONE = {"confirmed": "ok", "sent": "watch", "prepared": "watch", "replaced": "flat", "failed": "crit"}

SAYS = {
    "lar_repaid": "Liquidations at risk",
    "lar_seized": "Collateral seized",
    "var_deficit": "Deficit, VaR",
    "es_deficit": "Deficit, ES",
    "p_deficit": "Chance of a deficit",
}
"""Names of measures on the Overview; other measures have their stored name."""


def published_card(source: PageData) -> dbc.Card:
    """The card of the market's newest publications, or of the command that makes one."""
    try:
        found = source.publications()
    except Unavailable as nothing:
        return card(TITLE, empty(nothing.title, nothing.text, nothing.command))
    if not found:
        text = "A figure can be published in a contract that others read like a price feed. This shows the transaction:"
        return card(TITLE, empty("Nothing was published", text, FILL))
    newest = found[0]
    origin = "made up, as all of the sample · " if newest.synthetic else ""
    return card(
        TITLE,
        published_table(found),
        f"{origin}the error of a figure is stored with its run (fact_risk_scenarios), whose id is under Inputs",
        "newest figure on top",
        flush=True,
        source="/api/v1/about/publications",
    )


def published_table(found: tuple[Publication, ...]) -> html.Table:
    """One line for each transaction."""
    head = (
        ("Figure", False), ("Value", True), ("State", False), ("Speaks of", False), ("Chain", False), ("Round", True),
        ("Transaction", False), ("Inputs", False),
    )  # fmt: skip
    return table(head, [_line(one) for one in found])


def _line(one: Publication) -> tuple[Any, ...]:
    level = f" {fmt.share(one.level, 0)}" if one.level else ""
    mined = "" if one.mined_block is None else f"block {fmt.count(one.mined_block)}, {fmt.utc(one.mined_at or 0)}"
    return (
        html.Span(
            [SAYS.get(one.measure) or named(one.measure), f"{level}, {fmt.hours(one.horizon_seconds / 3_600)}"],
            title=marked(one.metric),
        ),
        _value(one),
        pill(TONE[one.state], one.state, one.message),
        fmt.utc(one.as_of),
        "0, made up" if one.synthetic and one.chain_id == 0 else str(one.chain_id),
        fmt.MISSING if one.round_id is None else fmt.count(one.round_id),
        _short(one.transaction_hash, mined),
        _short(one.inputs_hash, ""),
    )


def _value(one: Publication) -> html.Span:
    if one.unit == "USD":
        return html.Span(fmt.money(one.value), title=fmt.money_full(one.value))
    shown = fmt.share(one.value, 2) if one.unit == "fraction" else fmt.count(one.value)
    return html.Span(shown, title=f"{one.value:,.10g} {marked(one.unit)}")


def _short(text: str, more: str) -> html.Span:
    return html.Span(fmt.short_hash(marked(text)), className="mono", title=f"{marked(text)} {more}".strip())


def publications_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """The rows of the card, unrounded. Raises `Unavailable`."""
    return {"publications": [asdict(one) for one in source.publications()]}
