"""Cards of the Risk page that are figures in rows: the tail, the deficit, the nearest moves, the likely accounts."""

from __future__ import annotations

from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, card, empty, error_text, skeleton, table, why_none
from dashboard.look.escaping import marked, named
from dashboard.market.loaded import ShownFigure
from dashboard.pages.overview.cards import passport
from dashboard.pages.risk import answers
from dashboard.pages.risk.answers import FEW, LEVELS, Answer, percents
from dashboard.pages.what_if.reverse import Answer as Nearest
from dashboard.pages.what_if.reverse import chance, percent

TAIL = (
    ("Debt repaid, LaR", "lar_repaid"),
    ("Mean beyond it", "es_repaid"),
    ("Collateral sold, LaR", "lar_seized"),
    ("Deficit, VaR", "var_deficit"),
    ("Deficit beyond it", "es_deficit"),
)
"""Rows of the tail in figures."""
SUMMARY, NEAREST = "/api/v1/summary", "/api/v1/risk/nearest"


def tail_card(found: Answer) -> dbc.Card:
    """The card of the figures of the tail at every level."""
    head = (("", False), *((percents(level), True) for level in LEVELS))
    rows = [
        (words, *(figure(found.run.get(measure, level), found.run.n_paths) for level in LEVELS))
        for words, measure in TAIL
    ]
    return card(
        "The tail in figures",
        html.Div(table(head, rows, tight=True), className="tall"),
        f"95\u202f% intervals · fewer than {FEW} paths with a loss: no "
        f"figure · {passport(found.run)}",
        flush=True,
    )  # fmt: skip


def figure(found: ShownFigure | None, n_paths: int) -> html.Span:
    """A figure of a tail over its error; fewer than 30 paths with a loss are said instead."""
    if found is None:
        return html.Span([fmt.MISSING, html.Small("not stored")], className="two")
    n = found.n_positive or 0
    if found.few_draws and found.value > 0:
        why = f"{fmt.count(n)} path{'s' if n != 1 else ''} with a loss, {FEW} are needed"
        return html.Span([fmt.MISSING, html.Small(f"◆ {fmt.count(n)} draw{'s' if n != 1 else ''} only")],
                         className="two", title=why)  # fmt: skip
    if found.value == 0 and found.few_draws:
        why = f"{fmt.count(n)} of {fmt.count(n_paths)} paths are beyond the level and have a loss"
        return html.Span(["$0", html.Small(_on(n))], className="two", title=why)
    return html.Span(
        [html.B(fmt.money(found.value)), html.Small(_error(found), title=why_none(found))], className="two",
        title=fmt.money_full(found.value),
    )  # fmt: skip


def nearest_card(found: Answer) -> dbc.Card:
    """The card of the nearest moves; a callback fills it."""
    return card(
        "Which moves would do it?",
        html.Div(skeleton(6), id=ids.RISK_NEAREST, **{"aria-live": "polite"}),
        "distance: Mahalanobis, in standard deviations · best found, not proven the least · chance of a price move as "
        f"far in its direction, over {fmt.hours(found.run.horizon_hours)} · a row opens it in What-if",
        "reverse stress, nearest first",
        flush=True, source=NEAREST,
    )  # fmt: skip


def nearest(found: Answer) -> list[Any]:
    """The rows of the nearest moves."""
    rows = answers.nearest(found)
    farthest = max((one.stress.distance for *_, one in rows if isinstance(one, Nearest)), default=1.0) or 1.0
    out: list[Any] = []
    for words, usd, one in rows:
        if isinstance(one, str):
            out.append(html.Div([html.Span(f"{fmt.money(usd)}: {words}"), html.Span(""),
                                 html.Span(marked(one, 200), className="t3 micro wrap")], className="far"))  # fmt: skip
            continue
        moved = ", ".join(f"{named(name)} {percent(move)}" for name, move in one.moved[:2]) or "nothing has to move"
        bar = html.Span(html.I(style={"width": f"{100 * one.stress.distance / farthest:.1f}%"}), className="tr")
        out.append(
            html.A(
                [html.B(moved), html.B(chance(one.stress.chance), className="num"), bar,
                 html.Span(f"{one.stress.distance:.1f} sd", className="t2 micro num"),
                 html.Span(f"{fmt.money(usd)}, {words}", className="t3 micro")],
                href=f"/what-if?{one.sliders.to_query()}", className="far",
            )
        )  # fmt: skip
    return out or [empty("No target", "The run has no tail to look for.")]


def loss_card(found: Answer) -> dbc.Card:
    """The card of the deficit: how likely, how large, what it costs on average."""
    run = found.run
    p, severe, mean = run.get("p_deficit"), run.get("severity_deficit"), run.get("mean_deficit")
    rows: list[Any] = []
    hits = (p.n_positive or 0) if p is not None else 0
    if p is not None:
        shown = fmt.share(p.value, 2)
        ends = f"{fmt.share(p.low, 2)} to {fmt.share(p.high, 2)}" if p.low is not None and p.high is not None else ""
        rows.append(_loss("P(any deficit)", shown if hits else f"< {fmt.share(p.high, 2).removeprefix('< ')}", ends))
    # Without a loss nothing is known of its size, so it is not 0.
    severity = _told(severe) if hits or severe is None else (fmt.MISSING, _on(0))
    rows += [_loss("Mean when it happens", *severity), _loss("Expected loss", *_told(mean))]
    for words, measure in (("VaR 99\u202f%", "var_deficit"), ("Mean of the worst 1\u202f%", "es_deficit")):
        one = run.get(measure, 0.99)
        rows.append(_loss(words, *_told(one)))
    few = f" · fewer than {FEW}: no severity is stated" if hits < FEW else ""
    return card(
        "If Aave loses, how much?", rows,
        f"USD of deficit · Wilson interval · {fmt.count(hits)} of {fmt.count(run.n_paths)} paths with a loss{few} · "
        "expected loss is chance times severity",
        fmt.hours(run.horizon_hours), flush=True,
    )  # fmt: skip


def _told(one: ShownFigure | None) -> tuple[str, str]:
    if one is None:
        return fmt.MISSING, "not stored"
    n = one.n_positive or 0
    if one.few_draws and one.value > 0:
        return fmt.MISSING, f"◆ {fmt.count(n)} draw{'s' if n != 1 else ''} only"
    if one.value == 0 and one.few_draws:
        return "$0", _on(n)
    return fmt.money(one.value), _error(one)


def _on(n: int) -> str:
    """How many paths beyond the level have a loss."""
    return "no path has a loss" if n == 0 else f"loss on {fmt.count(n)} path{'s' if n != 1 else ''}"


def _error(one: ShownFigure) -> str:
    """The interval beside a figure; a skewed one in the unit of the figure, without repeating it."""
    text = error_text(one)
    if " to " in text and one.low is not None and one.high is not None:
        return fmt.money_between(one.value, one.low, one.high)
    return text


def _loss(words: str, value: str, error: str) -> html.Div:
    return html.Div(
        [html.Span(words), html.Span([html.B(value), html.Span(f" {error}", className="t3 micro")], className="num")],
        className="test",
    )


def likely_card(found: Answer) -> dbc.Card:
    """The card of the accounts that most paths liquidate."""
    title, sub = "Who is most likely to be liquidated?", f"within {fmt.hours(found.run.horizon_hours)}"
    rows = answers.likely(found)
    head = (("Account", False), ("Chance", True), ("95\u202f% interval", True), ("HF", True), ("Debt", True))
    body: Any = empty("Nobody", "No path liquidates an account that is still in the market.")
    if rows:
        body = table(
            head,
            [
                (address(one.address), html.B(fmt.share(one.probability)),
                 "◆ few draws" if one.few_draws else f"{fmt.share(one.low)} to {fmt.share(one.high)}",
                 fmt.health_factor(one.health_factor), fmt.money(one.debt_usd))
                for one in rows
            ],
            tight=True,
        )  # fmt: skip
    return card(
        title, body, f"share of {fmt.count(found.run.n_paths)} paths on which it is liquidated at least once · Wilson "
        "interval · health factor and debt: today, exact",
        sub, flush=True,
    )  # fmt: skip
