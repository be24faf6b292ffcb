"""Parts of the Oracles page: the verdict, the outcomes of each lab, the check of an update, how each price is made."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import empty, pill, strip, table, token
from dashboard.look.escaping import marked
from dashboard.pages.oracles.answers import DAY, PUBLISHED, Minted, Priced
from risk_core.cap_updates import CapProposal
from risk_core.oracle_gap import OracleGap

CLOSE = 0.01
"""Room under a cap below which it is said to be close."""
ROWS = 18
"""Reserves that the table shows; a cap that binds always."""
FILL = "python -m flows oracle-prices"
KINDS = {
    "feed": "its own feed",
    "cap": "its feed, capped",
    "ratio": "ratio to",
    "linked": "follows",
    "fixed": "a constant",
}


def verdict(rows: list[Priced]) -> list[Any]:
    """Whether a cap holds a price down today, and which comes closest."""
    binding = [one for one in rows if one.binds]
    roomy = [one for one in rows if one.room is not None and not one.binds]
    closest = min(roomy, key=lambda one: one.room or 0.0, default=None)
    unknown = [one for one in rows if one.kind == "ratio" and one.cap is None and one.binds is None]
    if binding:
        names = ", ".join(marked(one.symbol) for one in binding[:4])
        at = sum(one.collateral_usd for one in binding)
        words: list[Any] = ["A cap holds the price of ", html.B(names), " down: ", html.B(fmt.money(at)),
                            " of collateral counts for less than its feed says. "]  # fmt: skip
        kind = ("warn", "A cap binds")
    else:
        words = ["No known cap holds a price down. "]
        kind = ("watch", "Partly unknown") if unknown else ("ok", "No cap binds")
        if closest is not None:
            words += [html.B(marked(closest.symbol)), f" comes closest: {fmt.share(closest.room, 1)} of room. "]
    if unknown:
        usd = sum(one.collateral_usd for one in unknown)
        words.append(
            f"Of {len(unknown)} tokens priced by a ratio, {fmt.money(usd)} of collateral, the cap is not stored."
        )
    return [pill(*kind, "What the stored oracle models say"), html.P(words)]


def says_cap(gap: OracleGap, symbol: str, error: float) -> list[Any]:
    """What a cap that is too low does."""
    n = gap.first.n_accounts
    tokens = float(gap.first.seized_by_reserve.sum())
    figures = [
        ("Liquidated", f"{fmt.count(n)} accounts", "though no market moved"),
        ("Debt repaid", fmt.money(gap.repaid_usd), f"deficit {fmt.money(gap.first.deficit_usd)}"),
        ("Collateral sold", fmt.money(gap.seized_usd), f"{fmt.money(tokens)} by the oracle"),
        ("Borrowers lose", fmt.money(gap.borrower_loss_usd),
         f"bonus {fmt.money(gap.bonus_usd)}, error {fmt.money(gap.mispricing_usd)}"),
    ]  # fmt: skip
    note = (
        f"Published of 10 March 2026: {PUBLISHED['symbol']} {fmt.share(PUBLISHED['error'], 2)}, "
        f"{PUBLISHED['accounts']} accounts, {PUBLISHED['tokens']:,} {PUBLISHED['symbol']} sold. "
    )
    if n:
        lead = (
            f"{marked(symbol)} at {fmt.share(error, 2)}: liquidators gain {fmt.money(gap.liquidator_gain_usd)} before "
            "gas, as they buy below the market. "
        )
    else:
        lead = f"{marked(symbol)} at {fmt.share(error, 2)}: nobody is liquidated. "
    return [strip(figures), html.P(lead + note, className="t2 micro")]


def says_stuck(gap: OracleGap, what: str, fall: float, lends_usd: float | None) -> list[Any]:
    """What a feed that stays does while its market falls."""
    could = gap.could_borrow_usd if lends_usd is None else min(gap.could_borrow_usd, lends_usd)
    missed = gap.honest.repaid_usd - gap.first.repaid_usd
    figures = [
        ("Not liquidated", fmt.money(max(missed, 0.0)), f"{fmt.count(gap.honest.n_accounts)} accounts stay"),
        ("Bad debt", fmt.money(gap.bad_debt_usd), "above its collateral"),
        ("Could borrow", fmt.money(could), "at the stale price"),
        ("Deficit after", fmt.money(gap.deficit_usd),
         f"{fmt.money(gap.honest.deficit_usd)} without the error"),
    ]  # fmt: skip
    note = (
        f"{marked(what)} falls by {fmt.share(fall, 0)} and its feed stays. If borrowers took all that the stale price "
        f"allows, {fmt.money(gap.could_leave_usd)} more would be bad debt"
    )
    note += "; the reserves can lend less." if lends_usd is not None and lends_usd < gap.could_borrow_usd else "."
    return [strip(figures), html.P(note, className="t2 micro")]


def says_minted(answer: Minted, symbol: str, borrowed: str, markdown: float, asked_usd: float) -> list[Any]:
    """What collateral that nothing backs does."""
    found = answer.found
    gap = found.gap
    price = float(found.market.price[found.market.reserves.index(symbol)])
    supplied = answer.tokens * price
    loss = gap.deficit_usd if answer.oracle_sees else gap.bad_debt_usd
    figures = [
        ("Supplied", fmt.money(supplied), "all the cap lets in" if supplied < 0.999999 * asked_usd else "all of it"),
        ("Borrowed", fmt.money(found.borrowed_usd),
         "all that can be lent" if found.limited else "up to its loan to value"),
        ("Its deficit", fmt.money(found.attacker_deficit_usd), f"at {fmt.move(-markdown)}"),
        ("Others'", fmt.money(found.others_deficit_usd), f"{fmt.count(max(gap.first.n_accounts - 1, 0))} fall too"),
    ]  # fmt: skip
    name, other = marked(token_name(found.market, symbol)), marked(token_name(found.market, borrowed))
    note = (
        f"Somebody supplies {name} that nothing backs and borrows {other}; then {name} is worth "
        f"{fmt.share(markdown, 0)} less for everybody. "
    )
    if not answer.oracle_sees:
        note += f"The oracle does not see it: nobody liquidates, {fmt.money(loss)} is bad debt. "
    if found.limited:
        note += f"No {other} is left to lend: utilisation 100\u202f%, and suppliers cannot withdraw. "
    return [strip(figures), html.P(note, className="t2 micro")]


def token_name(market: Any, asset: str) -> str:
    """Symbol of a reserve."""
    return str(market.reserves.symbol[market.reserves.index(asset)])


def says_update(found: CapProposal) -> list[Any]:
    """Will the new cap bind, by how much, who falls, and would the contracts take it?"""
    update = found.update
    after, ratio = found.largest_after, found.ratio
    refused = list(update.broken)
    if update.binds:
        head = [pill("crit" if found.n_falls else "warn", "It binds"),
                f" The new cap lets {after:.5f} through where {marked(found.symbol)} is worth {ratio:.5f} "
                f"{marked(found.base)}: the oracle's price moves by {fmt.share(update.move, 2)} at once. "]  # fmt: skip
        n = found.n_falls
        if n and found.gap is not None:
            head.append(
                f"{fmt.count(n)} account{'s' if n != 1 else ''} would be liquidated for "
                f"{fmt.money(found.gap.repaid_usd)}; borrowers would lose {fmt.money(found.gap.borrower_loss_usd)}."
            )
        else:
            head.append("Nobody would be liquidated at today's prices.")
    else:
        head = [pill("ok", "It does not bind"),
                f" The new cap lets {after:.5f} through, {fmt.share(update.headroom, 2)} above the ratio of "
                f"{ratio:.5f}. "]  # fmt: skip
        if update.move > 0:
            head.append(f"The price rises by {fmt.share(update.move, 2)}, as the cap in force holds it down today. ")
        if update.binds_from is None:
            head.append("At this growth the ratio does not reach it.")
        else:
            days = (update.binds_from - update.at) / DAY
            head.append(f"At this growth the ratio reaches it in {fmt.count(days)} days, {fmt.utc(update.binds_from)}.")
    known = (
        "" if update.present is not None else " The terms in force are not stored: its time and rise are not compared."
    )
    checked = (
        "Checked: not 0; later than the stored one; 7 to 180 days old; at most 3 % more in 3 days (the limit published "
        f"for the risk steward).{known}"
    )
    if not refused:
        return [html.P(head), html.P(["None of the contracts' rules refuses it. ", checked], className="t2 micro")]
    return [
        html.P(head),
        html.P([pill("warn", "Refused"), " The contracts would not take it:"]),
        html.Ul([html.Li(marked(rule)) for rule in refused], className="t2 micro"),
        html.P(checked, className="t2 micro"),
    ]


def models_table(rows: list[Priced], stored: int) -> list[Any]:
    """How each price is made, and its room."""
    rows = sorted(rows, key=lambda one: not one.binds)
    if not rows:
        return [empty("No prices", "No reserve of this market has collateral or debt.")]
    cells, rest = [], rows[ROWS:]
    for one in rows[:ROWS]:
        words = KINDS[one.kind] + (f" {marked(one.of)}" if one.of else "")
        cap = fmt.MISSING if one.cap is None else f"${one.cap:.4f}" if one.kind == "cap" else f"{one.cap:.5f}"
        if one.binds:
            state = pill("warn", "binds", "The cap holds the price down")
        elif one.room is not None:
            state = pill("watch", "close") if one.room < CLOSE else pill("ok", fmt.share(one.room, 1))
        elif one.kind == "ratio":
            state = pill("flat", "not stored", marked(one.note, 200))
        else:
            state = pill("flat", "no cap")
        cells.append(
            (
                token(one.symbol),
                words,
                f"${one.price:,.4f}" if one.price < 10 else f"${one.price:,.2f}",
                cap,
                state,
                fmt.money(one.collateral_usd),
                fmt.money(one.debt_usd),
            )
        )
    head = (("Reserve", False), ("Its price is", False), ("Oracle", True), ("Cap", True), ("Room", False),
            ("Collateral", True), ("Debt", True))  # fmt: skip
    more = [] if stored else [html.P(["Adapters read from the chain: none stored. ", html.Code(FILL)],
                                     className="t2 micro pad")]  # fmt: skip
    if rest:
        usd = sum(one.collateral_usd for one in rest)
        more.insert(0, html.P(f"{len(rest)} more reserves, {fmt.money(usd)} of collateral; all of them in the JSON.",
                              className="t2 micro pad"))  # fmt: skip
    return [table(head, cells), *more]
