"""Looking back on the Overview: the control that chooses a stored block, the timeline, and what changed since."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import banner, card, empty, graph, pill, row, table, token
from dashboard.look.escaping import marked
from dashboard.market.loaded import ShownRun
from dashboard.market.looking_back import StoredBlock
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.overview.past import Chosen, changes_of, chosen, query_of
from dashboard.pages.overview.past_charts import TIMELINE_HEIGHT, WATERFALL_HEIGHT, timeline_chart, waterfall
from data.snapshot.changes import Changes

TITLE = "What changed since"
UNREAD = " · liquidations were not read that far: python -m flows lending-events"
TOP = 6
"""Reserves that a card lists."""
AHEAD = (
    "The stored run of this block was calibrated on prices later than the block (--allow-look-ahead): "
    "its figures are no forecast"
)


def command(block: int) -> str:
    """What computes the run of a stored block."""
    return f"python -m flows risk-scenarios --block {block}"


def link(found: Chosen, at: StoredBlock) -> str:
    """The address of the Overview as of a block."""
    return "/" if at.block == found.newest.block else f"/?{urlencode({'block': at.block})}"


def control(found: Chosen) -> html.Section:
    """The bar that names the block shown, chooses another one, and says how far back it is."""
    back = fmt.age(found.newest.time - found.at.time).removesuffix(" ago")
    where = f"block {fmt.count(found.at.block)}"
    words = f"{where} · {back} before the newest" if found.is_past else f"{where} · the newest of {len(found.blocks)}"
    parts: list[Any] = [
        html.Span("As of", className="t2"),
        _step(found, found.before, "\u2190", "Snapshot before"),
        _select(ids.AS_OF, found.drawn, found.at, "As of which stored snapshot"),
        _step(found, found.after, "\u2192", "Snapshot after"),
        html.Span(words, className="t2 micro"),
        html.Span(className="sp"),
    ]
    if found.is_past:
        parts += [pill("watch", "look back"), html.A("Newest", href="/", className="ctl primary")]
    shown = {
        "block": str(found.at.block),
        "against": "" if found.against is None else str(found.against.block),
        "newest": str(found.newest.block),
    }
    parts += [dcc.Store(id=ids.AS_OF_SHOWN, data=shown), dcc.Store(id=ids.AS_OF_ASKED)]
    return html.Section(parts, className=f"bar asof{' past' if found.is_past else ''}", **{"aria-label": "As of"})


def _step(found: Chosen, to: StoredBlock | None, sign: str, says: str) -> Any:
    if to is None:
        return html.Span(sign, className="ctl icon off", **{"aria-hidden": "true"})
    return html.A(sign, href=link(found, to), className="ctl icon", title=says, **{"aria-label": says})


def _select(component_id: str, blocks: list[StoredBlock], at: StoredBlock, says: str) -> html.Span:
    options = [{"label": f"{fmt.utc(one.time)}", "value": str(one.block)} for one in reversed(blocks)]
    select = dbc.Select(options, str(at.block), id=component_id, className="pick")
    return html.Span(select, role="group", **{"aria-label": says})


def told_as_past(found: Chosen, run: ShownRun | None) -> dbc.Alert:
    """Says that the page looks back, how far, and what its figures know."""
    text = f"This is the market as it was at block {fmt.count(found.at.block)}, {fmt.utc(found.at.time)}."
    if run is not None and not run.looks_ahead:
        text += f" Its forecast was computed {fmt.utc(run.created_at)}, from prices up to the block's time only."
    return banner("flat", "look back", text)


def timeline_card(found: Chosen) -> dbc.Card:
    """The stored blocks over time."""
    drawn = found.drawn
    n_runs = sum(one.lar_usd is not None for one in drawn)
    says = f"Debt at {len(drawn)} stored snapshots and LaR at {n_runs} of them"
    thinned = "" if len(drawn) == len(found.blocks) else f", {fmt.count(len(drawn))} of them drawn"
    if n_runs < len(drawn):
        runs: Any = [f"{n_runs} with a run; the others: ", html.Code("python -m flows risk-scenarios --every day")]
    else:
        runs = "each with a run"
    return card(
        "Stored snapshots",
        [graph(ids.OVERVIEW_TIMELINE, TIMELINE_HEIGHT, says), html.Div(runs, className="t2 micro")],
        "USD · debt: exact, oracle prices of each block · LaR: debt repaid over 24 h, 1 path in 100, whiskers: "
        "95\u202f% interval, none with few draws, hollow: the run saw later prices · a mark opens its block",
        f"{fmt.count(len(found.blocks))}{thinned}",
        source=f"/api/v1/overview/timeline?{urlencode(_asked(found))}",
    )


def _asked(found: Chosen) -> dict[str, int]:
    asked = {"block": found.at.block}
    return asked if found.against is None else asked | {"against": found.against.block}


def changed(source: PageData, found: Chosen | None) -> Any:
    """The cards of what changed, or why there are none."""
    try:
        told = changes_of(source, found)
    except Unavailable as nothing:
        return card(TITLE, empty(nothing.title, nothing.text, nothing.command))
    assert found is not None
    assert found.against is not None
    address = f"/api/v1/overview/changes?{urlencode(_asked(found))}"
    span = f"blocks {fmt.count(told.first)} to {fmt.count(told.second)}"
    moved = told.total("debt")
    says = (
        f"Debt from {fmt.money(moved.before)} to {fmt.money(moved.after)}: actions {fmt.money_change(moved.action)}, "
        f"interest {fmt.money_change(moved.interest)}, prices {fmt.money_change(moved.price)}"
    )
    against = html.Span(
        [_select(ids.AGAINST, [one for one in found.drawn if one.block != found.at.block], found.against,
                 "Compared with which stored snapshot")],
        className="bar",
    )  # fmt: skip
    is_since = found.against.block == told.first
    debt = card(
        TITLE if is_since else "What changed until",
        graph(ids.OVERVIEW_CHANGES, WATERFALL_HEIGHT, says),
        "USD · exact, every account · action: at index and price of the first block; interest: at its price; price: "
        f"the rest, they add up · {span}{_left_out(told)}",
        against,
        html.Span(f"debt {fmt.money_change(moved.after - moved.before)}", className="b6"),
        source=address,
    )
    accounts = card(
        "Which accounts",
        _accounts(told),
        "accounts · exact · opened, closed: of any balance; grown, shrunk: owe more or less of a token, before "
        f"interest · {span}{'' if told.liquidated is not None else UNREAD}",
        f"{fmt.utc(told.first_time)} to {fmt.utc(told.second_time)}",
        flush=True,
        source=address,
    )
    reserves = card(
        "Reserves that moved most",
        _reserves(told),
        f"USD of debt · exact · interest is the rest · {span}",
        f"of {len(told.debt)} with debt",
        flush=True,
        source=address,
    )
    return row([(debt, {"xl": 5}), (accounts, {"md": 5, "xl": 3}), (reserves, {"md": 7, "xl": 4})])


def _left_out(told: Changes) -> str:
    return f" · without a price, in no sum: {marked(', '.join(told.unpriced))}" if told.unpriced else ""


def _accounts(told: Changes) -> Any:
    if told.liquidated is None:
        liquidated: Any = "not read"
    else:
        liquidated = fmt.count(told.liquidated)
    rows = [
        ("Opened", "not read" if told.opened is None else fmt.count(told.opened)),
        ("Closed", "not read" if told.closed is None else fmt.count(told.closed)),
        ("Debt grown", fmt.count(told.grown)),
        ("Debt shrunk", fmt.count(told.shrunk)),
        ("Liquidated", liquidated),
    ]
    return table((("", False), ("Accounts", True)), rows, tight=True)


def _reserves(told: Changes) -> Any:
    if not told.debt:
        return empty("Nothing was owed", "No reserve had debt at either block.")
    rows = [
        (token(one.symbol), fmt.money(one.after), fmt.money_change(one.after - one.before),
         fmt.money_change(one.action), fmt.money_change(one.price))
        for one in told.debt[:TOP]
    ]  # fmt: skip
    head = (("Reserve", False), ("Debt", True), ("Change", True), ("Action", True), ("Price", True))
    return table(head, rows, tight=True)


def register(app: Dash, source: PageData) -> None:
    """The two charts follow the theme; the chooser opens another address."""

    @app.callback(Output(ids.OVERVIEW_TIMELINE, "figure"), Input(ids.THEME, "data"), State(ids.URL, "search"))
    def show_timeline(theme: str | None, search: str | None) -> dict:
        return timeline_chart(_needed(source, search), theme)

    @app.callback(Output(ids.OVERVIEW_CHANGES, "figure"), Input(ids.THEME, "data"), State(ids.URL, "search"))
    def show_changes(theme: str | None, search: str | None) -> dict:
        return waterfall(changes_of(source, _needed(source, search)).total("debt"), theme)

    app.clientside_callback(
        ClientsideFunction("workbench", "lookBack"),
        Output(ids.AS_OF_ASKED, "data"),
        Input(ids.AS_OF, "value"),
        Input(ids.AGAINST, "value"),
        Input(ids.OVERVIEW_TIMELINE, "clickData"),
        State(ids.AS_OF_SHOWN, "data"),
        prevent_initial_call=True,
    )


def _needed(source: PageData, search: str | None) -> Chosen:
    found = chosen(source, query_of(search))
    if found is None:
        raise Unavailable("No snapshot yet", "The snapshots that this page showed are not stored any more.")
    return found


def outline() -> list[Any]:
    """What the callbacks name."""
    return [
        graph(ids.OVERVIEW_TIMELINE, TIMELINE_HEIGHT, ""),
        graph(ids.OVERVIEW_CHANGES, WATERFALL_HEIGHT, ""),
        dbc.Select(id=ids.AS_OF),
        dbc.Select(id=ids.AGAINST),
        dcc.Store(id=ids.AS_OF_SHOWN),
        dcc.Store(id=ids.AS_OF_ASKED),
    ]
