"""What if a parameter changes? Who falls at today's prices when a threshold, a loan to value or a bonus is another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import dash_bootstrap_components as dbc
import numpy as np
from dash import dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, card, empty, pill, segmented, skeleton, table
from dashboard.look.escaping import marked
from dashboard.market.governance import fitted, under, value_of
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import PageData
from dashboard.market.state import WhatIf
from dashboard.market.terms import EXAMPLE, FIELDS, SET, of_link, ordered, parted, read
from data.payloads import decoded
from risk_core.governance import EMODE
from risk_core.proposals import Proposal, compare

ACCOUNTS = 6
START_CUT = 0.03
"""Points by which the page opens below today's threshold."""


def names_of(loaded: LoadedMarket) -> dict[str, str]:
    """Every reserve and e-mode whose parameters count, by the name that `parameter_change` knows: words."""
    market = loaded.market
    reserves, usd = market.reserves, np.zeros(market.n_reserves)
    np.add.at(usd, market.collateral.reserve, market.collateral.amount * market.price[market.collateral.reserve])
    order = [r for r in np.argsort(-usd, kind="stable") if reserves.liquidation_threshold[r] > 0]
    twice = {s for s in reserves.symbol if reserves.symbol.count(s) > 1}
    found = {}
    for r in order:
        symbol, asset = reserves.symbol[r], reserves.asset[r]
        # A link parts its values by commas and colons.
        plain = symbol not in twice and not {",", ":"} & set(symbol)
        found[symbol if plain else asset] = marked(symbol) + (f" {asset[:8]}" if symbol in twice else "")
    for number, label in zip(market.emodes.id.tolist(), market.emodes.label, strict=True):
        found[f"{EMODE}{number}"] = f"E-mode {number}" + (f", {marked(label)}" if label else "")
    return found


def parameters_card(loaded: LoadedMarket | None, stamp: str) -> dbc.Card:
    """The card with its question; a callback fills the answer. None: before any data."""
    names = names_of(loaded) if loaded else {}
    first = next(iter(names), "")
    today = value_of(loaded.market, first, "liquidation_threshold") if loaded and first else 0.0
    select = dbc.Select([{"label": text, "value": key} for key, text in names.items()], first, id=ids.TERMS_NAME,
                        className="pick")  # fmt: skip
    typed = dcc.Input(
        id=ids.TERMS_VALUE, type="number", min=0, max=100, step="any", value=round(100 * max(today - START_CUT, 0), 2),
        debounce=True, className="find", style={"width": "84px"},
    )  # fmt: skip
    bar = html.Div(
        [
            html.Label("Of", htmlFor=ids.TERMS_NAME, className="t2 micro"),
            select,
            segmented(ids.TERMS_FIELD, [(text, key) for key, text in FIELDS.items()], "liquidation_threshold",
                      "Which parameter"),
            html.Label("new value, %", htmlFor=ids.TERMS_VALUE, className="t2 micro"),
            typed,
            html.Button("Use it above", id=ids.TERMS_USE, className="ctl", n_clicks=0,
                        title="Make it a driver: under the sliders' prices, and simulated"),
        ],
        className="bar",
    )  # fmt: skip
    problem = html.Div(id=ids.TERMS_PROBLEM, className="no", role="alert")
    says = html.Div(skeleton(5), id=ids.TERMS_SAYS, **{"aria-live": "polite"})
    footer = f"exact, every account · at today's prices and parameters, whatever the drivers say · {stamp}"
    return card(
        "What if a parameter changes?", [bar, problem, says, _paste()], footer, "who falls, and whom to warn",
        source="/api/v1/what-if/parameters",
    )  # fmt: skip


def _paste() -> html.Details:
    """A field for the calls of a queued payload, folded."""
    return html.Details(
        [
            html.Summary("Read a queued payload", className="t2"),
            html.Label(
                'Its calls, {"to": address, "data": hex}: a JSON list, or one a line', htmlFor=ids.TERMS_PAYLOAD,
                className="t3 micro",
            ),
            dcc.Textarea(id=ids.TERMS_PAYLOAD, className="paste mono", spellCheck=False, value=""),
            html.Div(
                [
                    html.Button("Use its changes above", id=ids.TERMS_READ, className="ctl", n_clicks=0),
                    html.Span(id=ids.TERMS_READ_SAYS, className="micro t2", role="status"),
                ],
                className="bar",
            ),
        ]
    )  # fmt: skip


def pasted(loaded: LoadedMarket, held: object, text: object) -> tuple[dict[str, float], str]:
    """(the changed parameters of the drivers, `held`, with those of a payload's calls; what was read, in words).

    Raises `UndecodablePayload`, and `InputError` for what the pool refuses.
    """
    found = decoded(text if isinstance(text, str) else "", loaded.market)
    before = fitted(loaded, WhatIf(terms=read(held)[0]))[0].terms
    n = fmt.some(len(found.changes), "changed parameter")
    words = (
        f"{fmt.some(len(found.calls), 'call')} read, {n}. Not checked: that {found.to} is this market's configurator."
    )
    return merged(loaded, dict(before) | found.changes), words


def asked(market: rc.Market, name: object, field: object, percent: object) -> dict[str, float]:
    """The change that the fields state; a threshold below the loan to value takes that along, as the pool demands.

    Raises `InputError` for what is no number of per cent.
    """
    good = isinstance(percent, int | float) and not isinstance(percent, bool) and math.isfinite(percent)
    if not good or not 0 <= percent <= 100:  # type: ignore[operator]
        raise rc.InputError("the new value: expected a number of per cent from 0 to 100")
    value = round(float(percent) / 100, 8)  # type: ignore[arg-type]
    along = field == "liquidation_threshold" and value < value_of(market, str(name), "ltv")
    return {f"{name}.{field}": value} | ({f"{name}.ltv": value} if along else {})


def used(loaded: LoadedMarket, held: object, name: object, field: object, percent: object) -> dict[str, float]:
    """The changed parameters of the drivers, `held`, with that of the fields: {NAME.FIELD: fraction}.

    One that is set to today's value is no change. Raises `InputError` for what the pool refuses.
    """
    before = fitted(loaded, WhatIf(terms=read(held)[0]))[0].terms
    return merged(loaded, dict(before) | asked(under(loaded, before).market, name, field, percent))


def merged(loaded: LoadedMarket, changes: Mapping[str, float]) -> dict[str, float]:
    """The changes that differ from the market, after the market has taken all of them. Raises `InputError`."""
    terms = ordered(changes)
    under(loaded, terms)
    return {key: value for key, value in terms if not math.isclose(value_of(loaded.market, *parted(key)), value)}


def answer(source: PageData, name: object, field: object, percent: object, snapshot: str | None) -> list[Any]:
    """The answer in words and a table, or why there is none."""
    loaded = source.loaded(snapshot)
    try:
        changes = asked(loaded.market, name, field, percent)
        found = compare(loaded.market, changes)
        today = value_of(loaded.market, str(name), str(field))
    except rc.InputError as refused:
        return [empty("No such change", marked(str(refused), 400))]
    return says(found, today)


def says(found: Proposal, today: float) -> list[Any]:
    """What changes at once, whom to warn, and the command that simulates both."""
    value, *along = found.changes.values()
    falls, warn = found.falls, found.warn
    owed = float(found.debt_usd[falls].sum())
    n = len(falls)
    severity = ("crit", "Falls") if n else ("watch", "To warn") if len(warn) else ("ok", "Nobody falls")
    with_ltv = ", the loan to value with it" if along else ""
    head: list[Any] = [pill(*severity), f" From {fmt.share(today, 2)} to {fmt.share(value, 2)}{with_ltv}: "]
    if n:
        head += [
            html.B(f"{fmt.count(n)} account{'s' if n != 1 else ''}"),
            f" with {fmt.money(owed)} of debt become{'s' if n == 1 else ''} liquidatable at once; liquidators would "
            f"repay {fmt.money(found.then.repaid_usd - found.now.repaid_usd)} more",
            f", and {fmt.money(found.then.deficit_usd)} would be a deficit. " if found.then.deficit_usd > 0 else ". ",
        ]
    elif found.then.seized_usd != found.now.seized_usd:
        head.append(f"nobody falls; collateral seized now changes to {fmt.money(found.then.seized_usd)}. ")
    else:
        head.append("nobody becomes liquidatable. ")
    head.append(
        f"The health factor of {fmt.count(found.n_lower)} accounts with debt falls, of {fmt.count(len(warn))} to below "
        f"{found.warn_below:g} ({fmt.money(float(found.debt_usd[warn].sum()))} of debt)."
    )
    parts: list[Any] = [html.P(head)]
    rows = [(row, "liquidatable") for row in falls[:ACCOUNTS]]
    rows += [(row, "to warn") for row in warn[: max(ACCOUNTS - len(rows), 0)]]
    if rows:
        cells = [
            (
                address(str(found.before.accounts[row])),
                f"{fmt.health_factor(float(found.health_before[row]))} → "
                f"{fmt.health_factor(float(found.health_after[row]))}",
                fmt.money(float(found.debt_usd[row])),
                pill("crit" if effect == "liquidatable" else "watch", effect),
            )
            for row, effect in rows
        ]
        parts.append(table((("Account", False), ("HF", True), ("Debt", True), ("", False)), cells, tight=True))
    words = " ".join(f"{key}={value:g}" for key, value in found.changes.items())
    command = html.Code(f"python -m flows parameter-change --set {marked(words, 200)}")
    parts.append(html.P(["The difference of the day's figures, with its error: ", command], className="t2 micro"))
    return parts


def parameters_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/what-if/parameters?set=WETH.liquidation_threshold:0.80`; several are parted by commas."""
    loaded = source.loaded()
    changes: dict[str, float] = {}
    for key, value in of_link(query.get(SET, "")).items():
        try:
            changes[key] = float(value)
        except ValueError:
            found = f"{key}:{value}" if value else key
            raise rc.InputError(f"set: expected NAME.FIELD:VALUE, such as {EXAMPLE}, found {found[:60]!r}") from None
    if not changes:
        raise rc.InputError(f"set: expected NAME.FIELD:VALUE, such as {EXAMPLE}, found nothing")
    proposal = compare(loaded.market, changes)
    return {
        "changes": changes,
        "liquidatable_accounts": {"before": proposal.now.n_accounts, "after": proposal.then.n_accounts},
        "repaid_usd": {"before": proposal.now.repaid_usd, "after": proposal.then.repaid_usd},
        "seized_usd": {"before": proposal.now.seized_usd, "after": proposal.then.seized_usd},
        "deficit_usd": {"before": proposal.now.deficit_usd, "after": proposal.then.deficit_usd},
        "n_lower": proposal.n_lower,
        "falls": _accounts(proposal, proposal.falls),
        "warn": _accounts(proposal, proposal.warn),
        "warn_below": proposal.warn_below,
        "block": loaded.market.snapshot.block,
        "is_synthetic": loaded.market.snapshot.synthetic,
    }


def _accounts(found: Proposal, rows: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"address": str(found.before.accounts[row]), "health_before": float(found.health_before[row]),
         "health_after": float(found.health_after[row]), "debt_usd": float(found.debt_usd[row])}
        for row in rows
    ]  # fmt: skip
