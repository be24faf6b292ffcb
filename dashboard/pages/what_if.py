"""What-if: what becomes liquidatable when prices move, exactly, while the handle moves; Monte Carlo on request."""

from __future__ import annotations

from typing import Any

from dash import ALL, MATCH, ClientsideFunction, Dash, Input, Output, State, dcc, html

from dashboard import figures, ids, service
from dashboard import formatting as fmt
from dashboard.book import Book
from dashboard.components import (
    address,
    banner,
    card,
    compare,
    empty,
    error_text,
    graph,
    icon,
    slider_row,
    table,
    token,
)
from dashboard.drivers import DRIVERS
from dashboard.layout import Page
from dashboard.service import Answer, Comparison, Simulation
from dashboard.state import PRESETS, WhatIf, preset_of
from dashboard.warehouse import Source, Unavailable


def build(source: Source, search: str) -> html.Div:
    """The page with the state of the link in its sliders, or what is missing and the command that fills it."""
    try:
        book = source.book()
    except Unavailable as missing:
        return html.Div(
            html.Section(empty(missing.title, missing.text, missing.command), className="card"), className="page"
        )
    state, problems = WhatIf.from_query(search)
    snapshot = book.market.snapshot
    stamp = f"block {fmt.count(snapshot.block)} · {fmt.utc(snapshot.block_time)}"
    exact = f"USD · exact, every account · e-modes on · oracle prices · {stamp}"
    legend = html.Div(
        [
            html.Span(
                [
                    html.I(
                        style={
                            "borderColor": f"var(--ui-{n})",
                            "borderTopStyle": "dashed" if n == "baseline" else "solid",
                        }
                    ),
                    n,
                ]
            )
            for n in ("baseline", "scenario")
        ],
        className="leg",
    )
    blocks = html.Div(
        [html.Span([html.I(className="sq", style={"background": f"var(--ui-{n})"}), n]) for n in ("baseline", "scenario")], className="leg",
    )  # fmt: skip
    run = html.Button(
        "Run Monte Carlo",
        id=ids.SIMULATE,
        className="ctl primary",
        n_clicks=0,
        title=f"{fmt.count(service.PATHS)} paths, the same random numbers for both",
    )
    return html.Div(
        [
            *[banner("watch", "link", text) for text in problems],
            html.Div(id=ids.CHIPS, className="chips scroll"),
            html.Div(id=ids.PINNED, className="pinned", **{"aria-live": "polite"}),
            html.Div([
                _drivers(book, state),
                html.Div([
                    html.Section(id=ids.COMPARE, className="grid g4 cmps"),
                    html.Section([
                        card("Debt repaid as ETH falls", [legend, graph(ids.SWEEP, 246, "Debt that liquidators repay at once, against the move of ETH")], exact,
                             "the other drivers held; click the curve to set ETH"),
                        card("Collateral to be sold", [blocks, graph(ids.SOLD, 246, "Collateral seized at once, by reserve")], f"USD seized at these prices · {stamp}", "at once, by reserve"),
                    ], className="grid g32"),
                    html.Section([
                        card("Baseline and scenario, next 24 h", [html.Div(id=ids.SIMULATION_PROGRESS, className="prog"), html.Div(_not_run(), id=ids.SIMULATION)],
                             "95\u202f% intervals · differences by paired resampling", html.Span(id=ids.SIMULATION_NOTE, className="sub"), run, flush=True, source=""),
                        card("Accounts that fall", html.Div(id=ids.ACCOUNTS), f"largest repayments first · {stamp}", html.Span(id=ids.ACCOUNTS_COUNT, className="sub"), flush=True, source=""),
                    ], className="grid g32"),
                ], className="grid"),
            ], className="wi"),
            dcc.Store(id=ids.WHAT_IF, data=state.to_store()),
            dcc.Store(id=ids.QUERY),
            dcc.Store(id=ids.SIMULATION_FOR),
            dcc.Store(id=ids.PRESET_VALUES, data={p.key: p.state.to_store() for p in PRESETS}),
        ],
        className="page",
    )  # fmt: skip


def _drivers(book: Book, state: WhatIf) -> html.Aside:
    notes, store = service.driver_notes(book), state.to_store()
    groups = []
    for group in dict.fromkeys(d.group for d in DRIVERS):
        rows = [slider_row(d, store[d.key], notes[d.key]) for d in DRIVERS if d.group == group]
        groups.append(
            html.Details(
                [html.Summary([icon("chev"), group]), html.Div(rows, className="in")], className="grp", open=True
            )
        )
    fixed = ", ".join(book.assets.fixed)
    words = (
        f"Fixed at their oracle, moved by nothing: {fixed}."
        if fixed
        else "No reserve of this market has a fixed oracle price."
    )
    return html.Aside(
        [
            html.Div([html.B("Drivers"), html.Span(id=ids.TIMING, className="t3 micro", **{"aria-live": "polite"}), html.Span(className="sp"),
                      html.Button("Reset all", id=ids.RESET_ALL, className="ctl", n_clicks=0)], className="hd"),
            *groups,
            html.Div(words, className="t3 micro", style={"padding": "0 14px 10px"}),
            html.Div([html.Span(id=ids.LINK_TEXT, className="txt mono")], className="pass"),
        ],
        className="card panel", id=ids.DRIVERS, **{"aria-label": "Drivers"},
    )  # fmt: skip


def chips(state: WhatIf) -> list[Any]:
    """Named scenarios; the one in use is on, otherwise a chip says how many drivers differ."""
    on = preset_of(state)
    buttons = [
        html.Button(p.label, id=ids.of("chip", p.key), className="chip on" if p.key == on else "chip", n_clicks=0, title=p.hint)
        for p in PRESETS
    ]  # fmt: skip
    if not on:
        n = len(state.changed)
        buttons.append(html.Span(f"{n} driver{'s' if n != 1 else ''} changed", className="chip on plain"))
    return buttons


def _money_card(component_id: str, label: str, pair: service.Pair, worse: str = "worse") -> html.Section:
    change = "no change" if pair.change == 0 else ("▲ " if pair.change > 0 else "▼ ") + fmt.money(abs(pair.change))
    tone = "t2" if pair.change == 0 else worse if pair.change > 0 else "better"
    return compare(
        component_id,
        label,
        "exact",
        fmt.money(pair.scenario),
        fmt.money(pair.baseline),
        change,
        tone,
        fmt.money_full(pair.scenario),
    )


def cards(answer: Answer) -> list[html.Section]:
    """Four comparisons: debt repaid, collateral seized, deficit, accounts."""
    n = answer.accounts
    change = (
        "no change"
        if n.change == 0
        else f"{'▲' if n.change > 0 else '▼'} {fmt.count(abs(n.change))} of {fmt.count(answer.n_with_debt)}"
    )
    return [
        _money_card("cmp-repaid", "Debt repaid now", answer.repaid),
        _money_card("cmp-seized", "Collateral seized", answer.seized),
        _money_card("cmp-deficit", "Deficit", answer.deficit),
        compare(
            "cmp-accounts",
            "Accounts",
            "exact",
            fmt.count(n.scenario),
            fmt.count(n.baseline),
            change,
            "t2" if n.change == 0 else "worse" if n.change > 0 else "better",
        ),
    ]


def pinned(answer: Answer) -> list[html.Div]:
    """The two answers that stay in sight on a phone while a thumb is on a slider."""
    return [
        html.Div([html.Div("Debt repaid now", className="l"), html.Div(fmt.money(answer.repaid.scenario), className="v"),
                  html.Div(f"baseline {fmt.money(answer.repaid.baseline)}", className="micro t2")]),
        html.Div([html.Div("Deficit", className="l"), html.Div(fmt.money(answer.deficit.scenario), className="v"),
                  html.Div(f"baseline {fmt.money(answer.deficit.baseline)}", className="micro t2")]),
    ]  # fmt: skip


def accounts(answer: Answer) -> tuple[Any, str]:
    """The accounts that fall, and how many; or how far the closest one is."""
    n = int(answer.accounts.scenario)
    if answer.first:
        rows = [
            (
                address(r.address),
                fmt.health_factor(r.health_factor),
                fmt.money(r.debt_usd),
                fmt.money(r.repaid_usd),
                token(r.collateral),
            )
            for r in answer.first
        ]
        return table(
            (("Account", False), ("HF", True), ("Debt", True), ("Repaid", True), ("Sells", False)), rows
        ), f"{fmt.count(n)} account{'s' if n != 1 else ''}"
    if answer.nearest is None:
        return empty("No account has debt", "Nothing can be liquidated."), "none"
    near = answer.nearest
    text = [
        "No account falls below HF 1. The closest, ",
        address(near.address),
        f", has HF {fmt.health_factor(near.health_factor, 3)} and {fmt.money(near.debt_usd)} of debt.",
    ]
    return empty("Nothing to liquidate", text), "none"


def captions(answer: Answer) -> list[str]:
    return [answer.captions[d.key] for d in DRIVERS]


def _not_run() -> html.Div:
    return empty(
        "Not simulated yet",
        f"The figures above are exact at these prices. What prices may do in the next 24 h takes a run of {fmt.count(service.PATHS)} paths.",
    )


def simulation_table(result: Simulation) -> html.Table:
    """Baseline, scenario, difference and its error for each measure."""
    return table(
        (("", False), ("Baseline", True), ("Scenario", True), ("Difference", True), ("Error", True)),
        [_comparison(c) for c in result.rows],
    )


def _comparison(row: Comparison) -> tuple[Any, ...]:
    def value(estimate: Any) -> Any:
        text = fmt.money(estimate.value) if row.unit == "USD" else fmt.share(estimate.value)
        title = (
            "fewer than 30 paths carry it"
            if estimate.few_draws
            else f"95 %: {error_text(estimate)}"
            if row.unit == "USD"
            else ""
        )
        return html.Span(
            [text, " ", html.Span("few draws", className="t3 micro") if estimate.few_draws and estimate.value else ""],
            title=title,
        )

    if row.unit == "USD":
        change, error = fmt.money_change(row.change), fmt.money_error(row.error, row.error)
    else:
        change, error = f"{row.change * 100:+.1f} pt".replace("-", fmt.MINUS), f"± {row.error * 100:.1f}"
    few = row.baseline.few_draws and row.scenario.few_draws
    difference = (
        html.Span(change, className="b6 " + ("worse" if row.change > 0 else "better"))
        if row.clear
        else html.Span("≈ 0", className="t2", title="No clear difference")
    )
    return (
        row.label,
        html.Span(value(row.baseline), className="t2"),
        html.Span(value(row.scenario), className="b6"),
        difference,
        html.Span(fmt.MISSING if few else error, className="t3"),
    )


def simulation_note(result: Simulation) -> str:
    return f"{fmt.count(result.n_paths)} paths · seed {result.seed} · {fmt.hours(result.horizon_hours)} · same random numbers · code {result.code_version}"


PAGE = Page("/what-if", "What-if", "What if prices move?", "whatif", "Now", build)


def register(app: Dash, source: Source) -> None:
    """Handles move in the browser; one callback answers; Monte Carlo runs when asked."""

    def browser(function: str, *arguments: Any, **options: Any) -> None:
        app.clientside_callback(ClientsideFunction("workbench", function), *arguments, **options)

    browser(
        "row",
        Output(ids.of("slider", MATCH), "value"), Output(ids.of("typed", MATCH), "value"), Output(ids.of("row", MATCH), "className"),
        Output(ids.of("fill", MATCH), "style"), Output(ids.of("problem", MATCH), "children"),
        Input(ids.of("slider", MATCH), "value"), Input(ids.of("typed", MATCH), "value"), Input(ids.of("reset", MATCH), "n_clicks"),
        State(ids.of("driver", MATCH), "data"),
    )  # fmt: skip
    browser("collect", Output(ids.WHAT_IF, "data"), Input(ids.of("slider", ALL), "value"), prevent_initial_call=True)
    browser(
        "preset", Output(ids.of("slider", ALL), "value", allow_duplicate=True),
        Input(ids.of("chip", ALL), "n_clicks"), Input(ids.RESET_ALL, "n_clicks"),
        State(ids.PRESET_VALUES, "data"), State(ids.of("driver", ALL), "data"), prevent_initial_call=True,
    )  # fmt: skip
    browser(
        "curve",
        Output(ids.of("slider", "eth"), "value", allow_duplicate=True),
        Input(ids.SWEEP, "clickData"),
        prevent_initial_call=True,
    )
    browser("address", Output(ids.LINK_TEXT, "children"), Input(ids.QUERY, "data"))
    browser(
        "stale", Output(ids.SIMULATION, "className"), Output(ids.SIMULATION_NOTE, "children"),
        Input(ids.QUERY, "data"), Input(ids.SIMULATION_FOR, "data"), prevent_initial_call=True,
    )  # fmt: skip

    @app.callback(
        Output(ids.COMPARE, "children"), Output(ids.PINNED, "children"), Output(ids.CHIPS, "children"), Output(ids.SWEEP, "figure"),
        Output(ids.SOLD, "figure"), Output(ids.ACCOUNTS, "children"), Output(ids.ACCOUNTS_COUNT, "children"),
        Output(ids.of("caption", ALL), "children"), Output(ids.QUERY, "data"),
        Input(ids.WHAT_IF, "data"), Input(ids.THEME, "data"), State(ids.SNAPSHOT, "data"),
    )  # fmt: skip
    def show_answer(data: dict, theme: str | None, snapshot: str) -> tuple:
        state = WhatIf.from_store(data)
        answer = service.answer(source.book(snapshot), state)
        return (
            cards(answer), pinned(answer), chips(state), figures.sweep(answer.curve, theme), figures.sold(answer.sold, theme),
            *accounts(answer), captions(answer), state.to_query(),
        )  # fmt: skip

    @app.callback(
        Output(ids.SIMULATION, "children"), Output(ids.SIMULATION_FOR, "data"), Input(ids.SIMULATE, "n_clicks"),
        State(ids.WHAT_IF, "data"), State(ids.SNAPSHOT, "data"), prevent_initial_call=True,
        running=[(Output(ids.SIMULATE, "disabled"), True, False), (Output(ids.SIMULATION_PROGRESS, "className"), "prog on", "prog")],
    )  # fmt: skip
    def run_monte_carlo(clicks: int, data: dict, snapshot: str) -> tuple:
        return simulated(source.book(snapshot), WhatIf.from_store(data))


def simulated(book: Book, state: WhatIf) -> tuple[Any, dict[str, str] | None]:
    """The table and what it was computed for, or why there is none."""
    try:
        result = service.simulate(book, state)
    except ValueError as refused:
        return empty("No run to start from", str(refused)), None
    return simulation_table(result), {"query": result.query, "note": simulation_note(result)}
