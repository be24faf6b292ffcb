"""Accounts: who is at risk, and one account with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any
from urllib.parse import parse_qs

import dash_ag_grid as dag
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, missing, pill, row, strip, table, token
from dashboard.look.escaping import marked, named
from dashboard.look.shell import Page
from dashboard.market.loaded import LoadedMarket
from dashboard.market.wallets import WalletFeatures
from dashboard.market.warehouse import PageData
from dashboard.pages.accounts import answers
from risk_core.analytics.wallets import FEATURES, Feature

FILL = "python -m flows wallet-features"
WORDS = {"ok": "healthy", "watch": "watch", "warn": "warning", "crit": "critical"}
COLUMNS = (
    ("address", "Account", 132, ""), ("health", "Health factor", 165, "collateral times threshold, over debt"),
    ("debt", "Debt", 110, "USD at oracle prices"), ("collateral", "Collateral", 115, "USD, enabled as collateral"),
    ("fall", "Falls at", 105, "move of all crypto together that brings the health factor to 1; filter in per cent"),
    ("main", "Main collateral", 140, "the largest by value"),
    ("price", "Liquidation price", 165, "of the main collateral, all else unchanged"),
    ("emode", "E-mode", 150, "category of correlated assets"),
)  # fmt: skip
"""Column, heading, least width in pixels, meaning on hover."""


def build(source: PageData, search: str) -> html.Div:
    """One account where the query names one, else the table of all."""
    asked = parse_qs(search.lstrip("?")).get("address")
    return one(source, asked[0]) if asked else everyone(source)


def everyone(source: PageData) -> html.Div:
    """The table of all accounts; its rows are asked for while it is scrolled."""
    loaded = source.loaded()
    indebted = int((loaded.debt_usd > 0).sum())
    find = dcc.Input(
        id=ids.ACCOUNTS_SEARCH, type="text", debounce=0.3, placeholder="Address or part of it", maxLength=42,
        className="find",
    )  # fmt: skip
    count = html.Span(id=ids.ACCOUNTS_FOUND, className="t2 micro", role="status")
    name = html.Label("Search", htmlFor=ids.ACCOUNTS_SEARCH, className="t2 micro")
    bar = html.Div([name, find, html.Span(className="sp"), count], className="bar")
    return html.Div(
        [
            verdict(loaded),
            card(
                "Every account",
                [bar, html.Div(grid(), className="accounts-grid")],
                f"{fmt.count(loaded.market.n_accounts)} accounts, {fmt.count(indebted)} with debt · sorted and "
                f"filtered on the server · {fmt.utc(loaded.market.snapshot.block_time)} · colours: "
                "health factor below 1, 1.05, 1.25, the same for all pairs",
                "a click opens one",
                source="/api/v1/accounts",
            ),
        ],
        className="page",
    )  # fmt: skip


def grid() -> dag.AgGrid:
    """The grid: no text of a column is a script, so the content policy stays as strict as it is."""
    columns = [
        {
            "field": field, "headerName": title, "minWidth": width, "headerTooltip": says or None,
            "sortable": field != "price",
            "filter": False if field == "price" else
                "agNumberColumnFilter" if field in answers.NUMBERS else "agTextColumnFilter",
            "type": "rightAligned" if field in (*answers.NUMBERS, "price") else None,
            **({"cellRenderer": "AccountLink", "pinned": "left", "maxWidth": 150} if field == "address" else {}),
            **({"cellRenderer": "AccountHealth", "sort": "asc"} if field == "health" else {}),
        }
        for field, title, width, says in COLUMNS
    ]  # fmt: skip
    return dag.AgGrid(
        id=ids.ACCOUNTS_GRID,
        columnDefs=[{key: value for key, value in column.items() if value is not None} for column in columns],
        defaultColDef={"flex": 1, "resizable": True, "suppressHeaderMenuButton": False},
        rowModelType="infinite",
        dashGridOptions={
            "rowHeight": 32, "headerHeight": 34, "cacheBlockSize": 100, "maxBlocksInCache": 20,
            "cacheOverflowSize": 2, "infiniteInitialRowCount": 100, "rowBuffer": 10, "suppressCellFocus": False,
            "suppressMovableColumns": True, "enableCellTextSelection": True, "tooltipShowDelay": 400,
        },
        style={"height": "100%", "width": "100%"},
        className="",
    )  # fmt: skip


def verdict(loaded: LoadedMarket) -> html.Section:
    """How many can be liquidated now, and how many soon."""
    factor, debt = loaded.health_factor, loaded.debt_usd
    below, near = factor < 1, (factor >= 1) & (factor < 1.05)
    severity = "crit" if below.any() else "watch" if near.any() else "ok"
    words = [
        html.B(fmt.count(int(below.sum()))), " accounts can be liquidated now (",
        fmt.money(float(debt[below].sum())), " of debt); ", html.B(fmt.count(int(near.sum()))),
        " more have a health factor below 1.05, with ", html.B(fmt.money(float(debt[near].sum()))), " of debt.",
    ]  # fmt: skip
    return html.Section([pill(severity, WORDS[severity]), html.P(words)], className="verdict")


def one(source: PageData, address: str) -> html.Div:
    """An account with its holdings, prices and features; for one that is not there, in words."""
    loaded = source.loaded()
    try:
        found = answers.account(loaded, address)
    except rc.InputError as unknown:
        page = missing("No such account", marked(str(unknown), 300))
        page.children = [page.children, html.P(html.A("All accounts", href="/accounts"), className="back")]
        return page
    stored = source.wallet(found.address)
    when = fmt.utc(loaded.market.snapshot.block_time)
    json_at = f"/api/v1/accounts/account?address={found.address}"
    return html.Div(
        [
            html.Div(
                [html.A("Accounts", href="/accounts"), " / ", html.Span(found.address, className="mono")],
                className="crumb",
            ),
            account_verdict(found),
            strip(facts(found)),
            row(
                [
                    (
                        card(
                            "What it has and owes", holdings_table(found),
                            f"oracle prices · {when} · supplies that are not enabled as collateral are not shown",
                            "tokens and USD", flush=True, source=json_at,
                        ),
                        {"xl": 7},
                    ),
                    (
                        card(
                            "At which price?", prices_table(found),
                            f"oracle prices · {when} · what an oracle links moves together",
                            "health factor 1, all other prices held", flush=True, source=json_at,
                        ),
                        {"xl": 5},
                    ),
                ]
            ),
            row([(features_card(stored, json_at), {})]),
        ],
        className="page",
    )  # fmt: skip


def account_verdict(found: answers.Account) -> html.Section:
    """What it takes to liquidate this account."""
    tone = answers.tone(found.health_factor)
    if found.debt_usd == 0:
        words: list[Any] = [html.B("Nothing can liquidate this account: "), "it has no debt."]
    elif found.health_factor < 1:
        words = [html.B("This account can be liquidated now.")]
    elif np.isnan(found.fall):
        words = [
            html.B("No fall of all crypto together liquidates this account: "),
            "its collateral does not fall faster than its debt.",
        ]
    else:
        words = [
            "A fall of all crypto together by ", html.B(fmt.share(-found.fall)), " lets this account be liquidated.",
        ]  # fmt: skip
    return html.Section([pill(tone, WORDS[tone]), html.P(words)], className="verdict")


def facts(found: answers.Account) -> list[tuple[str, Any, str]]:
    """The account in a line of figures: label, value, note."""
    net = found.collateral_usd - found.debt_usd
    fall = "no fall does it" if np.isnan(found.fall) else "all crypto together"
    return [
        ("Health factor", fmt.health_factor(found.health_factor, 3), "below 1 it can be liquidated"),
        ("Collateral", fmt.money(found.collateral_usd), "enabled as such"),
        ("Debt", fmt.money(found.debt_usd), "with interest"),
        ("Net", fmt.money(net), "collateral less debt"),
        ("Falls at", answers.fall_text(found.fall), fall),
        ("E-mode", named(found.emode), "thresholds follow it" if found.emode != "none" else "reserve thresholds"),
    ]


def amount(value: float) -> str:
    """Tokens, four digits or more."""
    return fmt.MISSING if value == 0 else f"{value:,.0f}" if value >= 10_000 else f"{value:,.4g}"


def holdings_table(found: answers.Account) -> Any:
    """What the account has and owes, by reserve."""
    head = (("Asset", False), ("Collateral", True), ("", True), ("Threshold", True), ("Debt", True), ("", True))
    rows = [
        (
            token(one.symbol), amount(one.collateral), fmt.money(one.collateral_usd) if one.collateral else "",
            fmt.share(one.threshold) if one.collateral else fmt.MISSING, amount(one.debt),
            fmt.money(one.debt_usd) if one.debt else "",
        )
        for one in found.holdings
    ]  # fmt: skip
    return table(head, rows) if rows else empty("Nothing is held", "The account has neither collateral nor debt.")


def prices_table(found: answers.Account) -> Any:
    """At which price of each reserve alone the account could be liquidated."""
    head = (("Asset", False), ("Now", True), ("Liquidated at", True), ("Move", True))
    rows = []
    for one in found.holdings:
        at = one.liquidation_price
        none = not np.isfinite(at) or found.debt_usd == 0
        rows.append(
            (
                token(one.symbol), answers.price_text(one.price),
                html.Span("none does it", className="t2") if none else answers.price_text(at),
                "" if none else fmt.move(at / one.price - 1),
            )
        )  # fmt: skip
    return table(head, rows)


def features_card(stored: WalletFeatures | None, source: str) -> Any:
    """The 26 features in their groups; a name tells its definition."""
    title, sub = "The wallet in 26 features", "Aave v2, v3 and Compound v2, v3 together, in ETH"
    if stored is None:
        text = "No features of this wallet are stored yet. This computes those of every wallet:"
        return card(title, empty("Not computed yet", text, FILL), sub=sub)
    groups = [
        html.Section(
            [html.H3(group), *[feature_line(feature, stored.values[feature.name]) for feature in members]]
        )
        for group, members in groupby(sorted(FEATURES, key=lambda f: GROUPS.index(f.group)), lambda f: f.group)
    ]  # fmt: skip
    lost = f" · {fmt.count(stored.n_without_value)} events without a known value" if stored.n_without_value else ""
    days = "1 day" if stored.n_days == 1 else f"{fmt.count(stored.n_days)} days"
    foot = (
        f"as of {fmt.utc(stored.as_of)} · {days}, first block of each · ETH at the time of "
        f"each event{lost} · a name tells its definition on hover"
    )
    return card(title, html.Div(groups, className="feats"), foot, sub, source=source)


GROUPS = tuple(dict.fromkeys(feature.group for feature in FEATURES))


def feature_line(feature: Feature, value: float | None) -> html.Div:
    """A feature in plain words with its value; its definition on hover and focus."""
    said = f"{feature.says}. {feature.name}"
    name = html.Abbr(label(feature), title=said, tabIndex=0, **{"aria-label": f"{label(feature)}: {feature.says}"})
    return html.Div([name, html.Span(feature_text(feature, value), className="num")], className="feat")


LABELS = {
    "risk_factor": "Risk now, 1 ÷ HF", "avg_risk_factor": "Risk, average", "max_risk_factor": "Risk, worst ever",
    "avg_weighted_risk_factor": "Risk, average by debt",
    "risk_factor_above_threshold_daily_count": "Days with HF below 1.2", "total_collateral_eth": "Collateral now",
    "total_collateral_avg_eth": "Collateral, average", "total_available_borrows_eth": "Could still borrow",
    "total_available_borrows_avg_eth": "Could borrow, average", "borrow_amount_sum_eth": "Borrowed in all",
    "borrow_amount_avg_eth": "A loan, on average", "borrow_count": "Loans", "repay_amount_sum_eth": "Repaid in all",
    "repay_amount_avg_eth": "A repayment, on average", "repay_count": "Repayments",
    "borrow_repay_diff_eth": "Borrowed less repaid", "deposit_count": "Deposits", "deposit_amount_sum_eth": "Put in",
    "time_since_first_deposit": "First deposit", "withdraw_amount_sum_eth": "Taken out",
    "withdraw_deposit_diff_eth": "Taken out beyond deposits", "liquidation_count": "Liquidated",
    "time_since_last_liquidated": "Last time", "liquidation_amount_sum_eth": "Collateral lost to them",
    "unique_borrow_protocol_count": "Protocols it borrows from",
    "unique_lending_protocol_count": "Protocols it lends to",
}  # fmt: skip


def label(feature: Feature) -> str:
    """A feature in plain words."""
    return LABELS[feature.name]


def feature_text(feature: Feature, value: float | None) -> str:
    """A feature with its unit; a dash where it has no value."""
    if value is None:
        return fmt.MISSING
    if feature.unit == "s":
        return fmt.age(value)
    if feature.unit == "ETH":
        size = f"{abs(value):,.0f}" if abs(value) >= 10_000 else f"{abs(value):,.4g}"
        return f"{fmt.MINUS if value < 0 else ''}{size}{fmt.NO_BREAK}ETH"
    if feature.unit == "ratio":
        return f"{value:.3f}" if value < 1e6 else "no collateral"
    if feature.unit == "days":
        return f"{fmt.count(value)}{fmt.NO_BREAK}days"
    return fmt.count(value)


def rows_for(source: PageData, request: Mapping[str, Any], snapshot: str | None) -> tuple[dict[str, Any], str]:
    """(rows of one block of the grid and how many there are, that in words)."""
    of = answers.table(source.loaded(snapshot or None))
    found = answers.chosen(of, request.get("sortModel") or (), request.get("filterModel") or {})
    start = max(int(request.get("startRow") or 0), 0)
    end = min(int(request.get("endRow") or 0), start + answers.MOST_ROWS)
    said = f"{fmt.count(len(found))} of {fmt.count(of.loaded.market.n_accounts)}"
    return {"rowData": answers.shown(of, found[start:end]), "rowCount": len(found)}, said


def register(app: Dash, source: PageData) -> None:
    """The grid asks for rows; the search is a filter of its address column."""

    @app.callback(
        Output(ids.ACCOUNTS_GRID, "getRowsResponse"),
        Output(ids.ACCOUNTS_FOUND, "children"),
        Input(ids.ACCOUNTS_GRID, "getRowsRequest"),
        State(ids.SNAPSHOT, "data"),
        prevent_initial_call=True,
    )
    def show_rows(request: dict[str, Any] | None, snapshot: str | None) -> tuple[Any, Any]:
        return rows_for(source, request, snapshot) if request else (no_update, no_update)

    @app.callback(
        Output(ids.ACCOUNTS_GRID, "filterModel"),
        Input(ids.ACCOUNTS_SEARCH, "value"),
        State(ids.ACCOUNTS_GRID, "filterModel"),
        prevent_initial_call=True,
    )
    def search(text: str | None, present: dict[str, Any] | None) -> dict[str, Any]:
        others = {column: rule for column, rule in (present or {}).items() if column != "address"}
        asked = (text or "").strip()
        return others | ({"address": {"filterType": "text", "type": "contains", "filter": asked}} if asked else {})


def accounts_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/accounts`: `search`, `sort` (a column), `order` (asc, desc), `start` and `rows`, unrounded."""
    of = answers.table(source.loaded())
    start, many = (_whole(query, name, default) for name, default in (("start", 0), ("rows", 100)))
    if many > answers.MOST_ROWS:
        raise rc.InputError(f"rows: expected {answers.MOST_ROWS} at most, found {many}")
    order = query.get("order", "asc")
    if order not in ("asc", "desc"):
        raise rc.InputError(f"order: expected asc or desc, found {order[:40]!r}")
    sort = [{"colId": query.get("sort", "health"), "sort": order}]
    found = answers.chosen(of, sort, {}, query.get("search", ""))
    at = found[start : start + many]
    names = {"health": "health_factor", "debt": "debt_usd", "collateral": "collateral_usd", "fall": "falls_at"}
    words = {"address": "address", "emode": "emode", "main": "main_collateral"}
    columns = {name: of.words[key][at].tolist() for key, name in words.items()}
    columns |= {name: of.numbers[key][at].tolist() for key, name in names.items()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return {"n_accounts": of.loaded.market.n_accounts, "n_found": len(found), "start": start, "accounts": rows}


def account_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/accounts/account?address=0x...`: holdings, liquidation prices and features, unrounded."""
    found = answers.account(source.loaded(), query.get("address", ""))
    stored = source.wallet(found.address)
    features = None if stored is None else {"as_of": stored.as_of, "n_days": stored.n_days, **stored.values}
    return asdict(found) | {"features": features}


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise rc.InputError(f"{name}: expected a whole number, found {text[:40]!r}")
    return int(text)


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    return html.Div([grid(), dcc.Input(id=ids.ACCOUNTS_SEARCH), html.Span(id=ids.ACCOUNTS_FOUND)])


PAGE = Page(
    "/accounts", "Accounts", "Who is at risk?", "accounts", "Risk", build, outline, register,
    {"accounts": accounts_json, "accounts/account": account_json},
)  # fmt: skip
