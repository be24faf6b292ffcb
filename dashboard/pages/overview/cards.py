"""The cards of the Overview page: key figures, the risk run, and what is exact now."""

from __future__ import annotations

from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import (
    address,
    card,
    empty,
    error_text,
    graph,
    kpi,
    legend,
    money_value,
    pill,
    row,
    table,
    token,
    why_none,
)
from dashboard.market.loaded import LoadedMarket, ShownRun
from dashboard.pages.overview.answers import Buckets, Position, Verdict
from data.brief.reading import WATCHED

NO_RUN = "python -m flows risk-scenarios"
FEW = "This figure rests on fewer than 30 simulated paths, so no error is shown"


def passport(run: ShownRun) -> str:
    """Scenario, law of prices, paths, seed, block, time of the run and code: what makes the figures reproducible."""
    return " · ".join(
        [
            "USD",
            run.scenario_id,
            run.law or "law not noted",
            f"{fmt.count(run.n_paths)} paths",
            f"seed {run.seed}",
            f"block {fmt.count(run.block)}",
            f"run {fmt.utc(run.created_at)}",
            f"code {run.code_version}",
        ]
    )


def kpis(run: ShownRun, today: Position, say: Verdict) -> dbc.Row:
    """Three key figures: LaR, the tail beyond it, and who is near."""
    cards = (_lar_card(run, today, say), _tail_card(run), _watch_card(today))
    return row((one, {"md": 4}) for one in cards)


def _lar_card(run: ShownRun, today: Position, say: Verdict) -> dbc.Card:
    lar, seized = run.estimate("lar_repaid", 0.99), run.estimate("lar_seized", 0.99)
    part = lar.value / today.borrowed_usd if today.borrowed_usd else 0.0
    state = pill("watch", "few draws", FEW) if lar.few_draws else pill(say.severity, say.word.lower())
    return kpi(
        "kpi-lar",
        "Liquidations at risk",
        money_value(lar),
        f"{fmt.share(part, 2)} of debt, for {fmt.money(seized.value)} of collateral",
        f"LaR 99\u202f% · debt repaid · {fmt.hours(run.horizon_hours)}",
        state,
        "Debt that liquidators would repay over the horizon, exceeded on one path in a hundred",
    )


def _tail_card(run: ShownRun) -> dbc.Card:
    tail, var = run.estimate("es_deficit", 0.99), run.estimate("var_deficit", 0.99)
    if tail.n_positive == 0:
        note = f"No deficit on any of {fmt.count(run.n_paths)} paths"
    elif tail.few_draws:
        note = f"{fmt.paths_carry(tail.n_positive)} it, 30 are needed for an error"
    elif tail.no_interval:
        note = why_none(tail)
    else:
        note = f"VaR 99\u202f%: {fmt.money(var.value)} {'' if var.few_draws else error_text(var)}"
    return kpi(
        "kpi-tail",
        "Deficit tail (ES 99\u202f%)",
        money_value(tail),
        note,
        f"mean loss in the worst 1\u202f% · {fmt.hours(run.horizon_hours)}",
        pill("watch", "few draws", FEW) if tail.few_draws and tail.value > 0 else None,
        "Mean deficit of the protocol over the worst one per cent of paths",
    )


def _watch_card(today: Position) -> dbc.Card:
    part = today.watch_debt_usd / today.borrowed_usd if today.borrowed_usd else 0.0
    below = pill("crit", f"{fmt.count(today.n_below_one)} below HF 1") if today.n_below_one else None
    return kpi(
        "kpi-watch",
        f"Debt below HF {WATCHED:g}",
        [fmt.money(today.watch_debt_usd), html.Span(f"{fmt.share(part)} of debt", className="err")],
        f"{fmt.money(today.watch_exposed_usd)} can fall against its debt",
        f"{fmt.count(today.n_watch)} accounts · exact",
        below,
        "Debt of accounts with a health factor below 1.1; what cannot fall is in same-asset loops",
    )


def risk_cards(run: ShownRun, figures: str) -> dbc.Row:
    """What the stored risk run says of the next hours, and how its losses are spread."""
    lar = run.get("lar_repaid", 0.99)
    says = f"Cumulative debt repaid. On the 1-in-100 path {fmt.money(lar.value if lar else None)} by the end"
    fan = card(
        f"Liquidations at risk, {fmt.hours(run.horizon_hours)}",
        graph(ids.OVERVIEW_FAN, 234, says),
        passport(run),
        "debt repaid, cumulative",
        source=figures,
    )
    sold = card(
        "Collateral that would be sold",
        graph(ids.OVERVIEW_SEIZED, 234, "Collateral seized by reserve, mean of all paths"),
        f"USD · mean of {fmt.count(run.n_paths)} paths · oracle prices",
        "by reserve, mean path",
        source=figures,
    )
    return row((one, {"xl": 4}) for one in (fan, _distribution_card(run, figures), sold))


def _distribution_card(run: ShownRun, figures: str) -> dbc.Card:
    title = "Distribution of debt repaid"
    if not run.histogram:
        return card(title, empty("Not stored with this run", "Computing the run again stores it:", NO_RUN + " --force"))
    beyond = run.get("es_repaid", 0.99)
    mean = f"▲ {fmt.money(beyond.value)} on average beyond 99\u202f%" if beyond else ""
    says = f"Share of paths by debt repaid, on a log scale; {mean}"
    return card(
        title,
        graph(ids.OVERVIEW_DISTRIBUTION, 234, says),
        f"{mean} · {fmt.count(run.n_paths)} paths · shaded: 95\u202f% interval of each quantile",
        f"{fmt.hours(run.horizon_hours)}, share of paths",
        source=figures,
    )


def exact_cards(today: Position, loaded: LoadedMarket, figures: str) -> dbc.Row:
    """What is exact at the snapshot: debt by health factor, and the accounts nearest to a liquidation."""
    snapshot = loaded.market.snapshot
    stamp = f"block {fmt.count(snapshot.block)} · {fmt.utc(snapshot.block_time)}"
    note = (
        f"Below HF {WATCHED:g}: {fmt.money(today.watch_debt_usd)}, "
        f"of which {fmt.money(today.watch_exposed_usd)} can fall against its debt"
    )
    histogram = card(
        "Debt by health factor",
        dbc.Tabs(
            [
                dbc.Tab(
                    [html.Div(note, className="t2 micro"), graph(ids.OVERVIEW_DEBT, 280, note)],
                    label="Chart",
                    tab_id="chart",
                ),
                dbc.Tab(html.Div(_buckets(today.buckets), className="scrolly"), label="Table", tab_id="table"),
            ],
            active_tab="chart",
        ),
        f"USD · every account, exact · e-mode thresholds applied · {stamp}",
        f"{fmt.count(today.n_with_debt)} accounts with debt",
        legend([("scenario", "exposed", "block"), ("cat-other", "same-asset loops", "block")]),
        source=figures,
    )
    accounts = card(
        "Largest accounts at risk",
        _accounts(today),
        f"largest debt first · falls at: ETH, BTC and all other crypto together · {stamp}",
        f"{fmt.count(today.n_within)} fall if crypto loses {fmt.share(today.within, 0)}",
        flush=True,
        source=figures,
    )
    return row([(histogram, {"xl": 8}), (accounts, {"xl": 4})])


def _buckets(buckets: Buckets) -> Any:
    """The chart's figures as text, for those who cannot see it or want to copy them."""
    head = (("Health factor from", False), ("Exposed", True), ("Same-asset loops", True))
    rows = [
        (label, fmt.money(exposed), fmt.money(loops))
        for label, exposed, loops in zip(buckets.labels, buckets.exposed, buckets.loops, strict=True)
    ]
    return table(head, rows, tight=True)


def _accounts(today: Position) -> Any:
    if not today.largest:
        return empty("No account is within reach", "Nothing falls when all crypto loses 90\u202f%.")
    head = (("Account", False), ("HF", True), ("Debt", True), ("Collateral", False), ("Falls at", True))
    rows = [
        (
            address(r.address),
            fmt.health_factor(r.health_factor),
            fmt.money(r.debt_usd),
            token(r.collateral),
            "now" if r.fall == 0 else fmt.move(-r.fall),
        )
        for r in today.largest
    ]
    return table(head, rows, tight=True)
