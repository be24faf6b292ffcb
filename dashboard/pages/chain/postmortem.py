"""One liquidation: its cause, its loss and who bore it, and whether waiting would have saved the account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from dash import Dash, Input, Output, State, dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import graph, missing, pill, row, strip
from dashboard.look.escaping import marked, named
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.chain import postmortem_answers as answers
from dashboard.pages.chain import postmortem_charts as charts
from dashboard.pages.chain.postmortem_answers import dollars, reason
from dashboard.pages.chain.postmortem_cards import (
    fall_card,
    loss_card,
    path_card,
    prices_card,
    steps_card,
    unknown,
    unknown_card,
    waiting_card,
)
from data.postmortem import PostMortem, as_json


def link(transaction: str, log_index: int) -> str:
    """The path of a post-mortem's page."""
    return "/chain?" + urlencode({"transaction": transaction, "log_index": log_index})


def postmortem_page(source: PageData, transaction: str, log_index: str | None) -> html.Div:
    """The page of a liquidation, or a card with the reason where it is not stored."""
    try:
        found = source.post_mortem(transaction, log_index)
    except rc.InputError as wrong:
        page = missing("No such liquidation", marked(str(wrong), 400))
        page.children = [page.children, html.P(html.A("The newest liquidations", href="/chain"), className="back")]
        return page
    e = found.event
    query = urlencode({"transaction": e.tx_hash, "log_index": e.log_index})
    json_at = f"/api/v1/chain/post-mortem?{query}"
    return html.Div(
        [
            dcc.Store(id=ids.POSTMORTEM_KEY, data=[e.tx_hash, str(e.log_index)]),
            html.Div(
                [
                    html.A("Chain", href="/chain"),
                    f" / {answers.clock(e.ts)} / ",
                    html.A(marked(e.wallet), href=f"/accounts?address={e.wallet}", className="mono"),
                ],
                className="crumb",
            ),
            verdict(found),
            strip(facts(found)),
            row([(path_card(found, json_at), {"xl": 8}), (fall_card(found, json_at), {"xl": 4})]),
            row([(loss_card(found, json_at), {"xl": 8}), (waiting_card(found, json_at), {"xl": 4})]),
            row([(prices_card(found, json_at), {"xl": 7}), (unknown_card(found), {"xl": 5})]),
            row([(steps_card(found, json_at), {})]),
        ],
        className="page",
    )


def verdict(found: PostMortem) -> html.Section:
    """Cause, loss, and whether waiting an hour would have saved the account."""
    words: list[Any] = []
    for text, strong in answers.verdict(found):
        words += [html.B(text) if strong else text, " "]
    return html.Section([pill(*answers.head(found)), html.P(words)], className="verdict")


def facts(found: PostMortem) -> list[tuple[str, Any, str]]:
    """Six figures in a line."""
    e, state, loss = found.event, found.state, found.loss
    began = found.fall
    health: Any = unknown(reason(found, "health"))
    then, left = health, reason(found, "health")
    if state is not None and state.before is not None:
        then = fmt.health_factor(state.before, 4)
        left = "after it not known" if state.after is None else f"{fmt.health_factor(state.after, 4)} after it"
    taken = None
    if found.fee_raw is not None and found.collateral.market is not None and found.collateral.decimals is not None:
        taken = (e.seized_raw + found.fee_raw) / 10**found.collateral.decimals * found.collateral.market
    owed = None
    if found.debt is not None and found.debt.oracle is not None and found.debt.decimals is not None and e.repaid_raw:
        owed = e.repaid_raw / 10**found.debt.decimals * float(found.debt.oracle)
    share = "" if state is None or state.share is None else f", {fmt.share(state.share, 0)} of it"
    lost: Any = unknown(reason(found, "loss", "fee", "collateral market", "debt market"))
    spread = "market prices"
    if loss is not None and loss.total is not None:
        lost = dollars(float(loss.total))
        if found.loss_range is not None:
            low, high = (dollars(float(one)) for one in found.loss_range)
            spread = f"{low} to {high}"
    elif loss is not None and loss.at_oracle is not None:
        spread = f"{dollars(float(loss.at_oracle))} at the oracle's prices"
    around = found.around
    return [
        (
            "Health factor before",
            fmt.health_factor(began.before, 4) if began is not None else unknown(reason(found, "fall")),
            answers.clock(found.fall_from) if found.fall_from is not None else reason(found, "fall"),
        ),
        ("When liquidated", then, left),
        (
            "Debt repaid",
            dollars(owed) if owed is not None else unknown(reason(found, "debt oracle", "loss")),
            f"{answers.amount(e.repaid_raw, found.debt)}{share}",
        ),
        (
            "Collateral taken",
            dollars(taken) if taken is not None else unknown(reason(found, "fee", "collateral market")),
            f"{answers.amount(e.seized_raw, found.collateral)} to the liquidator",
        ),
        ("Borrower lost", lost, spread),
        (
            "An hour either side",
            f"{fmt.count(around.accounts)} account{'' if around.accounts == 1 else 's'}",
            f"{fmt.money(around.seized_usd)} of {named(found.collateral.symbol)} taken",
        ),
    ]


def postmortem_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/chain/post-mortem?transaction=0x...&log_index=N`: everything, unrounded."""
    if "transaction" not in query:
        raise rc.InputError("transaction: expected the hash of a liquidation's transaction, found none")
    return as_json(source.post_mortem(query["transaction"], query.get("log_index")))


def register(app: Dash, source: PageData) -> None:
    """Register the callbacks: the three charts follow the theme."""
    for name, draw in (
        (ids.POSTMORTEM_PATH, charts.path),
        (ids.POSTMORTEM_FALL, charts.fall),
        (ids.POSTMORTEM_LOSS, charts.loss),
    ):

        @app.callback(Output(name, "figure"), Input(ids.THEME, "data"), State(ids.POSTMORTEM_KEY, "data"))
        def show(theme: str | None, key: list[str] | None, draw: Any = draw) -> dict:
            if not key:
                raise Unavailable("No liquidation is chosen", "Open one from the list on the Chain page.")
            return draw(source.post_mortem(*key), theme)


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    return html.Div(
        [
            dcc.Store(id=ids.POSTMORTEM_KEY),
            graph(ids.POSTMORTEM_PATH, 340, ""),
            graph(ids.POSTMORTEM_FALL, 340, ""),
            graph(ids.POSTMORTEM_LOSS, 300, ""),
        ]
    )
