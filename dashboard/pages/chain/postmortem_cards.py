"""The cards of a post-mortem: price and fall, loss, waiting, prices then, what is not known, events."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, card, empty, graph, legend, pill, table, token
from dashboard.look.escaping import marked, named
from dashboard.pages.chain import postmortem_answers as answers
from dashboard.pages.chain.postmortem_answers import NOT_KNOWN, dollars, reason
from data.postmortem import PostMortem, PriceThen

KINDS = {
    "deposit": "Supplied", "withdraw": "Withdrew", "borrow": "Borrowed", "repay": "Repaid", "liquidation": "Liquidated",
    "deficit": "Debt given up",
}  # fmt: skip
SHOWN_STEPS = 12


def unknown(why: str) -> html.Span:
    """`not known`, with the reason on hover; the last card lists all reasons."""
    return html.Span(NOT_KNOWN, className="t3", title=marked(why) or None)


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
