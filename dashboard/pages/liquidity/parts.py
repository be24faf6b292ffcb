"""Parts of the Liquidity page: the verdict, a bar for each limit, who carries it, the quotes."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import address, empty, pill, table, token
from dashboard.look.escaping import marked
from dashboard.market.liquidators import Repaid
from dashboard.market.loaded import LoadedMarket, ShownFigure
from dashboard.market.queues import ShownQueue
from dashboard.pages.liquidity.answers import FALLERS_SAY, Limit, Way, carriers
from risk_core.analytics.slippage import STATES, USED

QUEUE_FILL = "python -m flows liquidation-queue"
ROWS = 9
"""Reserves with a bar; the rest is one line."""
QUOTES_SHOWN = 14


def verdict(rows: list[Limit], falling: str, fall: float, rare: str) -> list[Any]:
    """The closest reserve, in a sentence."""
    sold = [one for one in rows if one.sold_usd > 0]
    over = [one for one in sold if one.used is not None and one.used >= 1]
    unknown = [one for one in sold if one.used is None]
    total = sum(one.sold_usd for one in sold)
    lead = f"If {FALLERS_SAY[falling]} fell by {fall:.0%}, liquidators would sell "
    if not sold:
        return [
            pill("ok", "Nothing sold", "No account becomes liquidatable"),
            html.P([f"If {FALLERS_SAY[falling]} fell by {fall:.0%}, ", html.B("nothing would be sold"), "."]),
        ]
    words: list[Any] = [lead, html.B(fmt.money(total)), " of collateral"]
    words.append(f" ({rare}). " if rare else ". ")
    nearest = max((one for one in sold if one.used is not None), key=lambda one: one.used or 0.0, default=None)
    if over:
        names = ", ".join(marked(one.symbol) for one in over[:4]) + (
            f" and {len(over) - 4} more" if len(over) > 4 else ""
        )
        words += [html.B(names), " would not fit inside the bonus: the sale would cost more than it pays."]
    elif nearest is not None:
        words += ["What is quoted fits inside the bonus; " if unknown else "It all fits inside the bonus; ",
                  html.B(marked(nearest.symbol)), " comes closest, at ", html.B(fmt.share(nearest.used, 0)),
                  " of its depth"]  # fmt: skip
        words.append(f", and would reach it at {fmt.move(-nearest.reached)}." if nearest.reached else ".")
    if unknown:
        words.append(f" {fmt.money(sum(one.sold_usd for one in unknown))} of it has no quotes.")
    larger = [marked(one.symbol) for one in sold if one.unquoted and not (one.used is not None and one.used >= 1)]
    if larger:
        words.append(f" Of {', '.join(larger[:4])} more would be sold than anybody quoted, so it may cost more.")
    kind = ("crit", "Past depth") if over else ("watch", "No quotes") if nearest is None else ("ok", "Room left")
    if not over and nearest is not None:
        if unknown or larger:
            kind = ("watch", "Partly unknown")
        elif (nearest.used or 0) > 0.7:
            kind = ("watch", "Close")
    return [pill(*kind, "Every sale at once, without time for depth to come back"), html.P(words)]


def limit_rows(rows: list[Limit]) -> list[Any]:
    """One bar for each reserve, its limit at four fifths of the width."""
    shown, rest = rows[:ROWS], [one for one in rows[ROWS:] if one.sold_usd > 0]
    head = html.Div(
        [
            html.Span("Reserve"),
            html.Span("Used of its depth"),
            html.Span("", className="num"),
            html.Span("Reached at", className="num"),
        ],
        className="lim h",
    )
    lines = [limit_row(one) for one in shown]
    if rest:
        most = max((one.used for one in rest if one.used is not None), default=None)
        words = f"{len(rest)} more reserves: {fmt.money(sum(one.sold_usd for one in rest))} sold"
        lines.append(html.Div(words + (f", each at most {fmt.share(most, 0)} of its depth" if most is not None else ""),
                              className="muted lim-rest"))  # fmt: skip
    return [head, *lines]


def limit_row(one: Limit) -> html.Div:
    """Name, bar, share used, and the fall at which it is used up."""
    over = one.used is not None and one.used >= 1
    width = 0.0 if one.used is None else min(one.used, 1.25) * 80
    bar = [html.U(), html.I(className="over" if over else "", style={"width": f"{width:.2f}%"}), html.S()]
    depth = "no quotes" if one.depth_usd is None else f"of {fmt.money(one.depth_usd)}"
    depth += " or less" if one.guessed else ""
    bought = f"→ {marked(one.bought)}" if one.bought else ""
    reached = html.Span(reach(one))
    facts = html.Span(" · ".join(filter(None, (depth, kept(one)))), className="n2")
    return html.Div(
        [
            html.Span([token(one.symbol), html.Span(bought, className="n2")]),
            html.Div(bar, className="tr", title=f"{fmt.money_full(one.sold_usd)} sold {depth}"),
            html.Span([html.B(used(one)), html.Span(fmt.money(one.sold_usd), className="n2")], className="num"),
            html.Span([reached, facts], className="num"),
        ],
        className="lim",
    )


def used(one: Limit) -> str:
    """Share of the depth that is used."""
    if one.used is None:
        return fmt.MISSING
    return ("✕ " if one.used >= 1 else "") + (">\u202f999\u202f%" if one.used > 9.99 else fmt.share(one.used, 0))


def reach(one: Limit) -> str:
    """The fall at which the depth is used up."""
    if one.depth_usd is None:
        return "not known"
    return fmt.move(-one.reached) if one.reached is not None else "not up to 60\u202f%"


def kept(one: Limit) -> str:
    """What liquidators keep of the sale."""
    if one.kept_usd is None or not one.sold_usd:
        return ""
    return f"earns {fmt.money(one.kept_usd)}" if one.kept_usd >= 0 else f"loses {fmt.money(-one.kept_usd)}"


def carriers_table(repaid: Repaid) -> Any:
    """The liquidators that repaid most."""
    rows = carriers(repaid)
    if not rows:
        return empty("None", "No liquidation of this market is stored.", "python -m flows lending-events")
    shown, rest = rows[:5], rows[5:]
    cells: list[tuple] = [
        (address(one.address), fmt.share(one.share, 0), fmt.money(one.usd), fmt.count(one.n)) for one in shown
    ]
    if rest:
        total = (fmt.share(sum(one.share for one in rest), 0), fmt.money(sum(one.usd for one in rest)))
        cells.append((f"{len(rest)} others", *total, fmt.count(sum(one.n for one in rest))))
    return table((("Liquidator", False), ("Share", True), ("Repaid", True), ("Times", True)), cells, tight=True)


QUEUE_WORDS = {
    "unlimited": "every call at once",
    "quoted depth": "calls stop where a sale no longer pays",
    "half depth": "the same, half as deep",
    "late oracle": "quoted depth, feeds that answer late",
    "record capital": "and capital of the largest day",
}


def queue_table(found: ShownQueue | None) -> Any:
    """What is repaid and what waits by each model."""
    if found is None:
        return empty("Not simulated", "How long debt waits is simulated by its own command.", QUEUE_FILL)
    cells = [
        (
            html.Span([html.B(one.name), html.Span(
                QUEUE_WORDS[one.name] + (f", {fmt.money(one.capital_usd)} in 24 h" if one.capital_usd else ""),
                className="n2 t3 micro", style={"display": "block"})]),
            _figure(one.repaid),
            _figure(one.waiting),
            _figure(one.waiting_at_end),
            _figure(one.shortfall),
        )
        for one in found.models
    ]  # fmt: skip
    head = (("Liquidators", False), ("Repaid", True), ("Waits", True), ("At the end", True), ("Shortfall", True))
    return table(head, cells, tight=True)


def _figure(one: ShownFigure) -> html.Span:
    """A figure of money above its interval, and a mark where few paths stand behind it."""
    text = fmt.money(one.value) + (" *" if one.few_draws and one.value else "")
    known = one.value and one.low is not None and one.high is not None
    near = f"{fmt.money(one.low)} to {fmt.money(one.high)}" if known else ""
    return html.Span([html.B(text), html.Span(near, className="n2 t3 micro", style={"display": "block"})],
                     title=one.no_interval or None)  # fmt: skip


def quotes_table(loaded: LoadedMarket, found: tuple[Way, ...]) -> Any:
    """Those that are not used first, then the largest of each pair."""
    names = loaded.market.reserves.symbol
    lines = []
    for way in found:
        for n, said in enumerate(way.state):
            last = n == len(way.state) - 1 or all(one != USED for one in way.state[n + 1 :])
            lines.append((said == USED, not last, -way.ladder.size_usd[n], way, n))
    lines.sort(key=lambda line: line[:3])
    cells = []
    for used, not_last, _, way, n in lines[:QUOTES_SHOWN]:
        ladder, word = way.ladder, way.state[n]
        why = STATES.get(word, way.problem)
        mark = pill("ok", "used") if used and not_last else pill("flat", "last quote", "Beyond it the curve is a bound")
        cells.append(
            (
                html.Span([token(names[way.sold]), f" → {marked(names[way.bought])}"]),
                fmt.money(float(ladder.size_usd[n])),
                fmt.share(float(1 - ladder.received_usd[n] / ladder.size_usd[n])),
                marked(ladder.source[n]) + (" (assumed)" if ladder.assumed[n] else ""),
                fmt.utc(float(ladder.quoted_at[n])),
                mark if used else pill("watch", f"not used: {word}", why),
            )
        )
    head = (("Pair", False), ("Size", True), ("Slippage", True), ("Source", False), ("Quoted", False), ("State", False))
    return table(head, cells)
