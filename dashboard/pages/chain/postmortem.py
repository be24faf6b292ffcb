"""One liquidation: its cause, its loss and who bore it, and whether waiting would have saved the account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from dash import Dash, Input, Output, State, dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, card, empty, graph, legend, missing, pill, row, strip, table, token
from dashboard.look.escaping import marked, named
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.chain import postmortem_answers as answers
from dashboard.pages.chain import postmortem_charts as charts
from dashboard.pages.chain.postmortem_answers import NOT_KNOWN, dollars, reason
from data.postmortem import PostMortem, PriceThen, as_json

KINDS = {
    "deposit": "Supplied", "withdraw": "Withdrew", "borrow": "Borrowed", "repay": "Repaid", "liquidation": "Liquidated",
    "deficit": "Debt given up",
}  # fmt: skip
SHOWN_STEPS = 12


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


def unknown(why: str) -> html.Span:
    """`not known`, with the reason on hover; the last card lists all reasons."""
    return html.Span(NOT_KNOWN, className="t3", title=marked(why) or None)


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


def origin(found: PostMortem) -> str:
    """The snapshot that the account's state is from."""
    state, e = found.state, found.event
    if state is None:
        return ""
    events = "1 event" if state.n_events == 1 else f"{fmt.count(state.n_events)} events"
    made = " · synthetic" if found.synthetic else ""
    return (
        f"account of the snapshot at block {fmt.count(state.block)}, {answers.ago(e.ts - state.block_time)}, and its "
        f"{events} in between{made}"
    )


def path_card(found: PostMortem, json_at: str) -> Any:
    """Price and health factor over time."""
    title = f"Price of {named(found.collateral.symbol)}, and the health factor it made"
    if found.path is None:
        return card(title, empty("Not known", answers.sentence(reason(found, "path"))), source="")
    keys = legend(
        [
            ("scenario", "as it went", "solid"),
            ("baseline", "at market", "dashed"),
            ("worse", "not liquidated", "solid"),
        ]
    )
    unit = "USD per token; health factor: collateral × threshold ÷ debt"
    foot = f"{unit} · {found.collateral.market_from} · {origin(found)}"
    return card(
        title,
        graph(ids.POSTMORTEM_PATH, 340, "Price of the collateral and health factor around the liquidation"),
        foot,
        "",
        keys,
        source=json_at,
    )


def fall_card(found: PostMortem, json_at: str) -> Any:
    """The card of the fall of the health factor, by cause."""
    if found.fall is None or found.fall_from is None:
        return card("What made it fall", empty("Not known", answers.sentence(reason(found, "fall"))), source="")
    return card(
        "What made it fall",
        graph(ids.POSTMORTEM_FALL, 340, "Health factor from the last safe time to the liquidation, by cause"),
        f"from {answers.clock(found.fall_from)}, the last stored time at 1.01 or more, to the liquidation · each cause "
        f"takes those above it as given · {origin(found)}",
        "health factor, one cause at a time",
        source=json_at,
    )


def loss_card(found: PostMortem, json_at: str) -> Any:
    """The loss, split twice."""
    title = "Where the loss came from, and where it went"
    if found.loss is None:
        return card(title, empty("Not known", answers.sentence(reason(found, "loss"))), source="")
    rows = answers.parts(found)
    notes = [
        f"{part.name.lower()}: {part.note}" for part in rows if part.note and part.value and part.name not in COSTS
    ]
    foot = " · ".join(["USD at market prices of the time, the range by the bars around, losses positive", *notes])
    return card(
        title,
        [
            graph(ids.POSTMORTEM_LOSS, 300, "The borrower's loss by cause, and by who got it"),
            html.Dl([html.Div([html.Dt(name), html.Dd(words)]) for name, words in costs(found)], className="prose"),
        ],
        foot,
        "split by cause and by receiver; both add up to it",
        source=json_at,
    )


COSTS = ("Paid for being first", "Slippage")
"""Parts of the loss whose source is said in full below the chart."""


def costs(found: PostMortem) -> list[tuple[str, str]]:
    """(part, what it rests on, or why it is not told) of what the liquidator paid."""
    told = {part.name: part for part in answers.parts(found)}
    reasons = {"Paid for being first": "oev", "Slippage": "slippage"}
    out = []
    for name in COSTS:
        part = told.get(name)
        if part is not None and part.value is not None:
            least = "at least " if part.at_least else ""
            out.append((name, f"{least}{dollars(part.value)}: {part.note}."))
        else:
            out.append((name, f"Not told: {marked(reason(found, reasons[name])) or 'the loss is not known'}."))
    return out


def waiting_card(found: PostMortem, json_at: str) -> Any:
    """The health factor after waiting, with the oracle as recorded and at market prices."""
    title = "Would waiting have saved it?"
    if not found.waited:
        return card(title, empty("Not known", answers.sentence(reason(found, "path"))), source="")
    saved = found.saved_in_an_hour
    right = (
        pill("flat", NOT_KNOWN)
        if saved is None
        else pill("warn", "an hour: yes")
        if saved
        else pill("ok", "an hour: no")
    )
    head = (("Waited", False), ("By oracle", True), ("At market", True), ("", False))
    rows = [
        (answers.wait(one.wait), _factor(one.health_factor), _factor(market.health_factor), _pill(one.saved))
        for one, market in zip(found.waited_recorded, found.waited, strict=True)
    ]
    notes: list[Any] = []
    if found.safe_at is not None:
        notes.append(f"With the oracle as recorded it was at 1 or more {answers.ago(found.event.ts - found.safe_at)}. ")
    state = found.state
    if state is not None and state.owed_usd and state.backing_usd is not None:
        cover = fmt.share(state.backing_usd / state.owed_usd, 0)
        notes.append(f"Lenders: at the oracle's prices the collateral was worth {cover} of the debt.")
    if not found.oracle_later:
        notes.append(" No oracle price of the hour after is stored: its distance from the market is taken as constant.")
    return card(
        title,
        [html.Div(table(head, rows, tight=True), className="scrollx"), html.P(notes, className="t2 note-s")],
        "health factor without any event of the account, with the oracle as recorded and at market prices · at the "
        "nearest stored time, at most 30 min or half the wait off",
        right=right,
        flush=True,
        source=json_at,
    )


def _factor(value: float | None) -> Any:
    return unknown("no price is stored near that time") if value is None else fmt.health_factor(value, 4)


def _pill(saved: bool | None) -> Any:
    return "" if saved is None else pill("ok", "saved") if saved else pill("warn", "falls")


def prices_card(found: PostMortem, json_at: str) -> Any:
    """Prices of the oracle and of the market."""
    head = (("", False), ("Oracle", True), ("Market", True), ("Oracle off", True), ("Bars around", False))
    rows = [
        _price_row(found, price, name)
        for price, name in ((found.collateral, "collateral"), (found.debt, "debt"))
        if price is not None
    ]
    sources = "; ".join(
        f"{named(price.symbol)}: {price.oracle_from or NOT_KNOWN} · {price.market_from or NOT_KNOWN}"
        for price in (found.collateral, found.debt)
        if price is not None
    )
    return card(
        "Prices then",
        table(head, rows, tight=True),
        f"{sources} · market: on the line between the two bars",
        "USD per token",
        flush=True,
        source=json_at,
    )


def _price_row(found: PostMortem, price: PriceThen, name: str) -> tuple[Any, ...]:
    off = answers.oracle_off(price)
    bars = [
        html.Div(f"{bar[1]:,.6g}, {answers.ago(found.event.ts - bar[0])}")
        for bar in (price.before, price.after)
        if bar is not None
    ]
    return (
        token(price.symbol),
        unknown(reason(found, f"{name} oracle")) if price.oracle is None else f"{float(price.oracle):,.6g}",
        unknown(reason(found, f"{name} market")) if price.market is None else f"{price.market:,.6g}",
        fmt.MISSING if off is None else _percent(off),
        bars or fmt.MISSING,
    )


def _percent(off: float) -> str:
    if abs(off) < 5e-5:
        return f"0.00{fmt.NARROW_SPACE}%"
    return ("+" if off > 0 else "") + fmt.share(off, 2)


def unknown_card(found: PostMortem) -> Any:
    """Every figure that is not known, with its reason."""
    reasons = [
        html.Div([html.Dt(marked(what)), html.Dd(marked(answers.sentence(why)))])
        for what, why in answers.unknowns(found)
    ]
    notes = [] if found.state is None else [html.Dd(marked(f"Assumed: {note}.")) for note in found.state.notes]
    sure = (
        "bonus and fee are confirmed: they give the amounts to the unit"
        if found.confirmed
        else "bonus and fee are those of the snapshot"
        if found.bonus_bps is not None
        else ""
    )
    return card("What is not known", html.Dl([*reasons, *notes], className="prose"), sure or "", "and why", source="")


def steps_card(found: PostMortem, json_at: str) -> Any:
    """The account's stored events of a day before and after."""
    steps, lacking = found.steps, unknown(reason(found, "health"))
    near = sorted(steps, key=lambda step: abs(step.ts - found.event.ts))[:SHOWN_STEPS]
    head = (
        ("Time", False), ("Block", True), ("Log", True), ("What", False), ("Amount", True), ("HF after", True),
        ("Transaction", False),
    )  # fmt: skip
    rows = [
        (
            answers.clock(step.ts),
            fmt.count(step.block),
            str(step.log_index),
            html.B(KINDS.get(step.kind, step.kind)) if step.is_this else KINDS.get(step.kind, step.kind),
            named(step.symbol) if step.amount is None else answers.tokens(step.amount, step.symbol),
            lacking if step.health_factor is None else fmt.health_factor(step.health_factor, 4),
            address(step.tx_hash),
        )
        for step in steps
        if step in near
    ]
    e = found.event
    by = f"by {fmt.short_hash(e.liquidator)}" if e.liquidator else "by an unknown liquidator"
    return card(
        "The account's events",
        table(head, rows, tight=True),
        f"{named(e.market)} · decoded events, {e.source} · liquidated {by} · amounts of a liquidation: collateral to "
        "the liquidator",
        "a day either side",
        flush=True,
        source=json_at,
    )


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
