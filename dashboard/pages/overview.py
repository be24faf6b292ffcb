"""Overview: how risky is it now? The answer in a sentence, the figures of the newest run, and the evidence."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, html

from dashboard import figures, ids, service
from dashboard import formatting as fmt
from dashboard.book import Book, Run
from dashboard.components import (
    address,
    banner,
    card,
    empty,
    error_text,
    graph,
    kpi,
    money_value,
    pill,
    strip,
    table,
    token,
)
from dashboard.layout import Page
from dashboard.service import Position, Verdict
from dashboard.warehouse import Source, Unavailable

NO_RUN = "python -m flows risk-scenarios"
FEW = "Fewer than 30 simulated days carry this figure, so its error is not shown."


def build(source: Source, _search: str) -> html.Div:
    """The page of the newest snapshot, or what is missing and the command that fills it."""
    try:
        book = source.book()
        run = source.run(book.market.snapshot)
    except Unavailable as missing:
        return html.Div(
            html.Section(empty(missing.title, missing.text, missing.command), className="card"), className="page"
        )
    today = service.position(book)
    notes = [banner("watch", "note", text) for text in book.market.notes]
    if run is None:
        parts = [html.Section(empty("No run yet", "The snapshot is here, but no risk run of it is stored. This computes one:", NO_RUN), className="card"),
                 strip(_position_items(today)), *_exact_cards(today, book)]  # fmt: skip
    else:
        verdict = service.verdict(run, today)
        parts = [
            _verdict(verdict),
            _kpis(run, today, verdict, book),
            strip(_items(run, today)),
            _risk_cards(run),
            *_exact_cards(today, book, run),
        ]
    return html.Div([*notes, *parts], className="page")


def passport(run: Run) -> str:
    """Scenario, paths, seed, block, age of the run and code: what makes the figure reproducible."""
    return " · ".join([
        "USD", run.scenario_id, f"{fmt.count(run.n_paths)} paths", f"seed {run.seed}", f"block {fmt.count(run.block)}",
        f"run {fmt.utc(run.created_at)}", f"code {run.code_version}",
    ])  # fmt: skip


def _verdict(verdict: Verdict) -> html.Section:
    words = [html.B(text) if bold else text for text, bold in verdict.parts]
    return html.Section(
        [
            pill(verdict.severity, verdict.word, "LaR 99 % as a share of all debt; the limits are on the About page"),
            html.P(words),
        ],
        className="verdict",
    )


def _kpis(run: Run, today: Position, verdict: Verdict, book: Book) -> html.Section:
    lar, seized = run.estimate("lar_repaid", 0.99), run.estimate("lar_seized", 0.99)
    tail, var = run.estimate("es_deficit", 0.99), run.estimate("var_deficit", 0.99)
    horizon = fmt.hours(run.horizon_hours)
    watch = today.watch_debt_usd / today.borrowed_usd if today.borrowed_usd else 0.0
    few = pill("watch", "few draws", FEW)
    return html.Section(
        [
            kpi("kpi-lar", "Liquidations at risk", money_value(lar),
                f"{fmt.share(lar.value / today.borrowed_usd if today.borrowed_usd else 0, 2)} of debt; {fmt.money(seized.value)} of collateral sold",
                f"LaR 99\u202f% · debt repaid · {horizon}", few if lar.few_draws else pill(verdict.severity, verdict.word.lower()),
                "Debt that liquidators would repay over the horizon on a 1-in-100 path"),
            kpi("kpi-tail", "Deficit tail (ES 99\u202f%)", money_value(tail), f"VaR 99\u202f% {fmt.money(var.value)}" + (f" {error_text(var)}" if not var.few_draws else ""),
                f"mean loss of the protocol in the worst 1\u202f% · {horizon}", few if tail.few_draws else None,
                "Mean deficit of the protocol over the worst one per cent of paths"),
            kpi("kpi-watch", f"Debt below HF {service.WATCH_HF:g}", [fmt.money(today.watch_debt_usd), html.Span(f"{fmt.share(watch)} of debt", className="err")],
                f"{fmt.money(today.watch_exposed_usd)} can fall against its debt", f"{fmt.count(today.n_watch)} accounts · exact",
                pill("crit", f"{fmt.count(today.n_below_one)} below HF 1") if today.n_below_one else None,
                "Debt of accounts with a health factor below 1.1; the rest of it sits in same-asset loops"),
        ],
        className="grid g3",
    )  # fmt: skip


def _position_items(today: Position) -> list[tuple[str, Any, str]]:
    ratio = today.borrowed_usd / today.collateral_usd if today.collateral_usd else 0.0
    return [
        ("Supplied as collateral", fmt.money(today.collateral_usd), f"{fmt.count(today.n_reserves)} reserves"),
        ("Borrowed", fmt.money(today.borrowed_usd), f"{fmt.share(ratio)} of collateral"),
        ("Accounts", fmt.count(today.n_accounts), "every one takes part"),
        ("With debt", fmt.count(today.n_with_debt), f"{fmt.count(today.n_below_one)} below HF 1 now"),
    ]


def _items(run: Run, today: Position) -> list[tuple[str, Any, str]]:
    seized, chance = run.estimate("lar_seized", 0.99), run.get("p_deficit")
    items = _position_items(today)
    items.append(
        (
            "Collateral seized, LaR 99\u202f%",
            money_value(seized),
            f"what liquidators receive, {fmt.hours(run.horizon_hours)}",
        )
    )
    if chance is not None:
        width = (
            f"± {chance.half_width * 100:.2g}"
            if chance.half_width == chance.half_width and not chance.few_draws
            else ""
        )
        items.append(
            (
                f"P(deficit > $0), {fmt.hours(run.horizon_hours)}",
                [fmt.share(chance.value), html.Span(width, className="err")],
                f"{fmt.count(chance.n_positive or 0)} of {fmt.count(run.n_paths)} paths",
            )
        )
    return items


def _risk_cards(run: Run) -> html.Section:
    lar = run.get("lar_repaid", 0.99)
    return html.Section(
        [
            card(f"Liquidations at risk over the next {fmt.hours(run.horizon_hours)}",
                 graph(ids.OVERVIEW_FAN, 234, figures.alternative_text(lar, "Cumulative debt repaid over the horizon; 1-in-100 path at its end")),
                 f"{passport(run)} · whisker: 95\u202f% interval", "debt repaid by liquidators, cumulative"),
            card("Collateral that would be sold", graph(ids.OVERVIEW_SEIZED, 234, "Collateral seized by reserve, mean of all paths"),
                 f"USD · mean of {fmt.count(run.n_paths)} paths · oracle prices", "by reserve, mean path"),
        ],
        className="grid g21",
    )  # fmt: skip


def _exact_cards(today: Position, book: Book, run: Run | None = None) -> list[Any]:
    snapshot = book.market.snapshot
    stamp = f"block {fmt.count(snapshot.block)} · {fmt.utc(snapshot.block_time)}"
    legend = html.Span(
        [
            html.Span([html.I(className="sq", style={"background": f"var(--ui-{colour})"}), text])
            for colour, text in (("scenario", "exposed"), ("cat-other", "same-asset loops"))
        ],
        className="leg hide-s",
        style={"flexWrap": "nowrap"},
    )
    rows = [
        (
            address(r.address),
            fmt.health_factor(r.health_factor),
            fmt.money(r.debt_usd),
            token(r.collateral),
            fmt.move(-r.fall),
        )
        for r in today.largest
    ]
    largest = (
        table((("Account", False), ("HF", True), ("Debt", True), ("Collateral", False), ("Falls at", True)), rows)
        if rows
        else empty("No account is within reach", "Nothing becomes liquidatable when all crypto falls by 90 %.")
    )
    return [html.Section(
        [
            card("Debt by health factor", graph(ids.OVERVIEW_DEBT, 210, "Debt by health factor"), f"USD · every account, exact · e-mode thresholds applied · {stamp}",
                 f"{fmt.count(today.n_with_debt)} accounts with debt", legend),
            card("Largest accounts at risk", largest, f"falls at: move of ETH, BTC and all other crypto together · {stamp}",
                 f"{fmt.count(today.n_within)} fall when crypto loses {fmt.share(today.within, 0)}", flush=True),
        ],
        className="grid g21",
    )]  # fmt: skip


PAGE = Page("/", "Overview", "How risky is it now?", "home", "Now", build)


def register(app: Dash, source: Source) -> None:
    """Charts follow the theme; they are drawn from the snapshot the page was built from."""

    @app.callback(
        Output(ids.OVERVIEW_FAN, "figure"),
        Output(ids.OVERVIEW_SEIZED, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
    )
    def show_run(theme: str | None, snapshot: str) -> tuple[dict, dict]:
        run = source.run(source.book(snapshot).market.snapshot)
        return figures.lar_fan(run, theme), figures.seized_bars(run.seized_by_reserve, theme)

    @app.callback(Output(ids.OVERVIEW_DEBT, "figure"), Input(ids.THEME, "data"), State(ids.SNAPSHOT, "data"))
    def show_debt(theme: str | None, snapshot: str) -> dict:
        today = service.position(source.book(snapshot))
        return figures.debt_by_health_factor(today.buckets, today.watch_debt_usd, today.watch_exposed_usd, theme)
