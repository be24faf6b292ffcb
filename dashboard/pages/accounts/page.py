"""Accounts: who is at risk, and each account in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

import dash_ag_grid as dag
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import card, graph, pill
from dashboard.look.shell import Page
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import PageData
from dashboard.pages.accounts import accrual, answers
from dashboard.pages.accounts.account import account_page
from dashboard.pages.accounts.bands import as_json, curve, own_pair, pairs_card

WORDS = {"ok": "healthy", "watch": "watch", "warn": "warning", "crit": "critical"}
COLUMNS = (
    ("address", "Account", 132, ""),
    ("health", "Health factor", 165, "collateral times threshold, over debt"),
    ("debt", "Debt", 110, "USD at oracle prices"),
    ("collateral", "Collateral", 115, "USD, enabled as collateral"),
    ("fall", "Falls at", 105, "move of all crypto together that brings the health factor to 1; filter in per cent"),
    ("main", "Main collateral", 140, "the largest by value"),
    ("price", "Liquidation price", 165, "of the main collateral, all else unchanged"),
    ("emode", "E-mode", 150, "category of correlated assets"),
)
"""Column, heading, least width in pixels, meaning on hover."""
FILTER_REST_MS = 60
"""Milliseconds without a key after which the filter of a column is asked for."""


def build(source: PageData, search: str) -> html.Div:
    """One account where the query names one, else the table of all."""
    asked = parse_qs(search.lstrip("?")).get("address")
    return account_page(source, asked[0]) if asked else everyone(source)


def everyone(source: PageData) -> html.Div:
    """The table of all accounts; its rows are loaded while it is scrolled."""
    loaded = source.loaded()
    indebted = int((loaded.debt_usd > 0).sum())
    find = dcc.Input(
        id=ids.ACCOUNTS_SEARCH,
        type="text",
        debounce=False,
        placeholder="Address or part of it",
        maxLength=42,
        className="find",
    )
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
                "click one to open it",
                source="/api/v1/accounts",
            ),
            accrual.accrual_card(source, loaded),
            pairs_card(source.bands()),
        ],
        className="page",
    )


def grid() -> dag.AgGrid:
    """The grid. No column definition holds script text, so the content security policy stays strict."""
    columns = [
        {
            "field": field,
            "headerName": title,
            "minWidth": width,
            "headerTooltip": says or None,
            "sortable": field != "price",
            "filter": False
            if field == "price"
            else "agNumberColumnFilter"
            if field in answers.NUMBERS
            else "agTextColumnFilter",
            "filterParams": None if field == "price" else {"debounceMs": FILTER_REST_MS},
            "type": "rightAligned" if field in (*answers.NUMBERS, "price") else None,
            **({"cellRenderer": "AccountLink", "pinned": "left", "maxWidth": 150} if field == "address" else {}),
            **({"cellRenderer": "AccountHealth", "sort": "asc"} if field == "health" else {}),
        }
        for field, title, width, says in COLUMNS
    ]
    return dag.AgGrid(
        id=ids.ACCOUNTS_GRID,
        columnDefs=[{key: value for key, value in column.items() if value is not None} for column in columns],
        defaultColDef={"flex": 1, "resizable": True, "suppressHeaderMenuButton": False},
        rowModelType="infinite",
        dashGridOptions={
            "rowHeight": 32, "headerHeight": 34, "cacheBlockSize": 100, "maxBlocksInCache": 20,
            # A sort drops all rows. With one row until the answer the grid does not draw a screen of empty ones first.
            "cacheOverflowSize": 2, "infiniteInitialRowCount": 1, "rowBuffer": 0,
            # Text is made selectable by the style sheet: the grid's own option wraps each cell in two more elements.
            "animateRows": False, "suppressCellFocus": False, "suppressMovableColumns": True, "tooltipShowDelay": 400,
        },
        style={"height": "100%", "width": "100%"},
        className="",
    )  # fmt: skip


def verdict(loaded: LoadedMarket) -> html.Section:
    """How many accounts can be liquidated now, and how many are below 1.05."""
    factor, debt = loaded.health_factor, loaded.debt_usd
    below, near = factor < 1, (factor >= 1) & (factor < 1.05)
    severity = "crit" if below.any() else "watch" if near.any() else "ok"
    words = [
        html.B(fmt.count(int(below.sum()))),
        " accounts can be liquidated now (",
        fmt.money(float(debt[below].sum())),
        " of debt); ",
        html.B(fmt.count(int(near.sum()))),
        " more have a health factor below 1.05, with ",
        html.B(fmt.money(float(debt[near].sum()))),
        " of debt.",
    ]
    return html.Section([pill(severity, WORDS[severity]), html.P(words)], className="verdict")


def rows_for(source: PageData, request: Mapping[str, Any], snapshot: str | None) -> tuple[dict[str, Any], str]:
    """((rows of one block of the grid, number of rows found), that number as text)."""
    of = answers.table(source.loaded(snapshot or None))
    found = answers.chosen(of, request.get("sortModel") or (), request.get("filterModel") or {})
    start = max(int(request.get("startRow") or 0), 0)
    end = min(int(request.get("endRow") or 0), start + answers.MOST_ROWS)
    in_words = f"{fmt.count(len(found))} of {fmt.count(of.loaded.market.n_accounts)}"
    return {"rowData": answers.shown(of, found[start:end]), "rowCount": len(found)}, in_words


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

    app.clientside_callback(
        ClientsideFunction("accounts", "search"),
        Output(ids.ACCOUNTS_GRID, "filterModel"),
        Input(ids.ACCOUNTS_SEARCH, "value"),
        State(ids.ACCOUNTS_GRID, "filterModel"),
        prevent_initial_call=True,
    )

    @app.callback(Output(ids.ACCOUNTS_ACCRUAL, "figure"), Input(ids.THEME, "data"), State(ids.SNAPSHOT, "data"))
    def show_accrual(theme: str | None, snapshot: str | None) -> Any:
        loaded = source.loaded(snapshot or None)
        days = accrual.days_of(source, loaded)
        return no_update if days is None else accrual.histogram(accrual.bars(days, loaded.debt_usd), theme)

    @app.callback(Output(ids.ACCOUNT_BAND, "figure"), Input(ids.ACCOUNT_BAND_OF, "data"), Input(ids.THEME, "data"))
    def show_band(address: str, theme: str | None) -> Any:
        loaded, bands = source.loaded(), source.bands()
        pair = own_pair(loaded, bands, address)[0]
        if bands is None or pair is None:
            return no_update
        return curve(bands, pair, float(loaded.health_factor[loaded.market.index(address)]), theme)


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
    """`/api/v1/accounts/account?address=0x...`: holdings, prices, interest alone, features, band, protection score."""
    found = answers.account(source.loaded(), query.get("address", ""))
    stored = source.wallet(found.address)
    features = None if stored is None else {"as_of": stored.as_of, "n_days": stored.n_days, **stored.values}
    pair, of_collateral, of_debt = own_pair(source.loaded(), source.bands(), found.address)
    band = None if pair is None else asdict(pair) | {"share_of_collateral": of_collateral, "share_of_debt": of_debt}
    score = source.protection(found.address)
    protection = None if score is None else asdict(score)
    days = accrual.days_of(source, source.loaded())
    alone = None if days is None else float(days[source.loaded().market.index(found.address)])
    return (
        asdict(found)
        | {"days_of_interest_to_one": alone}
        | {"features": features, "band": band, "protection": protection}
    )


def bands_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/accounts/bands`: the health-factor bands of every pair, unrounded."""
    return as_json(source.bands())


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise rc.InputError(f"{name}: expected a whole number, found {text[:40]!r}")
    return int(text)


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    return html.Div(
        [
            grid(),
            dcc.Input(id=ids.ACCOUNTS_SEARCH),
            html.Span(id=ids.ACCOUNTS_FOUND),
            graph(ids.ACCOUNTS_ACCRUAL, 220, ""),
            graph(ids.ACCOUNT_BAND, 220, ""),
            dcc.Store(id=ids.ACCOUNT_BAND_OF),
        ]
    )


PAGE = Page(
    "/accounts", "Accounts", "Who is at risk?", "accounts", "Risk", build, outline, register,
    {
        "accounts": accounts_json, "accounts/account": account_json, "accounts/bands": bands_json,
        "accounts/accrual": accrual.accrual_json,
    },
)  # fmt: skip
