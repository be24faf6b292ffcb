"""Overview: how risky is it now, or was it at a stored block? The answer in a sentence, the run, and the evidence."""

from __future__ import annotations

from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, State, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import (
    address,
    banner,
    card,
    empty,
    error_text,
    graph,
    kpi,
    legend,
    missing,
    money_value,
    pill,
    row,
    strip,
    table,
    token,
    why_none,
)
from dashboard.look.shell import Page
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.overview import charts, past_parts
from dashboard.pages.overview.answers import Buckets, Position, Verdict, position, verdict
from dashboard.pages.overview.distribution import repaid_distribution
from dashboard.pages.overview.past import LIST, Chosen, changes_json, chosen, hash_of, query_of, timeline_json
from dashboard.pages.overview.past_parts import AHEAD, changed, command, control, timeline_card, told_as_past
from dashboard.pages.overview.told import brief_json, told
from dashboard.pages.overview.watched import watched
from data.brief.reading import WATCHED

QUESTION = "How risky is it now?"
NO_RUN = "python -m flows risk-scenarios"
FEW = "This figure rests on fewer than 30 simulated paths, so no error is shown"

Item = tuple[str, Any, str]


def build(source: PageData, search: str) -> html.Div:
    """The page of the newest snapshot or of a stored block, or what is missing and the command that fills it."""
    try:
        found = _chosen(source, search)
        loaded = source.loaded(found.at.hash if found is not None and found.is_past else None)
    except Unavailable as nothing:
        return missing(nothing.title, nothing.text, nothing.command)
    except rc.InputError as wrong:
        return missing("This block cannot be shown", str(wrong), LIST)
    past = found if found is not None and found.is_past else None
    text = "The snapshot is here, but no risk run of it is stored. This computes one:"
    if past is not None:
        text = "No risk run of this block is stored. This computes one, on prices up to the block's time only:"
    instead = empty("No run yet", text, NO_RUN if past is None else command(past.at.block))
    try:
        run = source.run(loaded.market.snapshot)
    except Unavailable as nothing:  # exact figures do not need the run, so they are shown
        run, instead = None, empty(nothing.title, nothing.text, nothing.command)
    today, figures = position(loaded), _address(past)
    parts: list[Any] = [] if found is None or len(found.blocks) < 2 else [control(found)]
    parts += [] if past is None else [told_as_past(past, run), timeline_card(past)]
    parts += [banner("watch", "note", text) for text in loaded.market.notes]
    parts += [banner("watch", "look ahead", AHEAD)] if run is not None and run.looks_ahead else []
    if run is None:
        parts += [dbc.Card(instead), strip(_position_items(today))]
    else:
        say = verdict(run, today)
        parts += [
            _verdict(say),
            _kpis(run, today, say),
            strip(_position_items(today) + _run_items(run)),
            _risk_cards(run, figures),
        ]
    if past is not None:
        parts += [changed(source, past), _exact_cards(today, loaded, figures)]
        return html.Div(parts, className="page")
    since = [changed(source, found)]
    since += [] if found is None or len(found.blocks) < 2 else [timeline_card(found)]
    parts += [told(source), *since, _exact_cards(today, loaded, figures), watched(source)]
    return html.Div(parts, className="page")


def _chosen(source: PageData, search: str) -> Chosen | None:
    """What the address asks for. The newest snapshot is shown also where the others cannot be listed."""
    query = query_of(search)
    try:
        return chosen(source, query)
    except Unavailable:
        if "block" in query:
            raise
        return None


def question(source: PageData, search: str) -> str:
    """The question that the page at this address answers."""
    try:
        found = _chosen(source, search)
    except (Unavailable, rc.InputError):
        return QUESTION
    return "How risky was it then?" if found is not None and found.is_past else QUESTION


def _address(past: Chosen | None) -> str:
    """Where the page's figures are served as JSON."""
    return "/api/v1/summary" + ("" if past is None else f"?block={past.at.block}")


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


def _verdict(say: Verdict) -> html.Section:
    words = [html.B(text) if bold else text for text, bold in say.parts]
    rule = "LaR 99 % as a share of all debt; the limits are on the About page"
    return html.Section([pill(say.severity, say.word, rule), html.P(words)], className="verdict")


def _kpis(run: ShownRun, today: Position, say: Verdict) -> dbc.Row:
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


def _position_items(today: Position) -> list[Item]:
    ratio = today.borrowed_usd / today.collateral_usd if today.collateral_usd else 0.0
    return [
        ("Supplied as collateral", fmt.money(today.collateral_usd), f"{fmt.count(today.n_reserves)} reserves"),
        ("Borrowed", fmt.money(today.borrowed_usd), f"{fmt.share(ratio)} of collateral"),
        ("Accounts", fmt.count(today.n_accounts), "all of them are included"),
        ("With debt", fmt.count(today.n_with_debt), f"{fmt.count(today.n_below_one)} below HF 1 now"),
    ]


def _run_items(run: ShownRun) -> list[Item]:
    seized, chance = run.estimate("lar_seized", 0.99), run.get("p_deficit")
    items: list[Item] = [
        ("Collateral seized, 99\u202f%", fmt.money(seized.value), error_text(seized) or "what liquidators get")
    ]
    if chance is not None:
        hits = f"{fmt.count(chance.n_positive or 0)} of {fmt.count(run.n_paths)} paths"
        items.append((f"P(deficit > $0), {fmt.hours(run.horizon_hours)}", _chance(chance), hits))
    return items


def _chance(chance: ShownFigure) -> Any:
    if not chance.n_positive:
        return f"< {fmt.share(chance.high, 2).removeprefix('< ')}" if chance.high else fmt.share(chance.value)
    error = "" if chance.few_draws else f"{fmt.PLUS_MINUS}{fmt.NO_BREAK}{chance.half_width * 100:.2g}"
    return [fmt.share(chance.value), html.Span(error, className="err")]


def _risk_cards(run: ShownRun, figures: str) -> dbc.Row:
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


def _exact_cards(today: Position, loaded: LoadedMarket, figures: str) -> dbc.Row:
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


def register(app: Dash, source: PageData) -> None:
    """Charts follow the theme; they are drawn from the snapshot that the page was built from."""

    @app.callback(
        Output(ids.OVERVIEW_FAN, "figure"),
        Output(ids.OVERVIEW_SEIZED, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.URL, "search"),
    )
    def show_run(theme: str | None, snapshot: str, search: str | None) -> tuple[dict, dict]:
        run = _run(source, snapshot, search)
        return charts.lar_fan(run, theme), charts.seized_bars(run.seized_by_reserve, theme)

    @app.callback(
        Output(ids.OVERVIEW_DISTRIBUTION, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.URL, "search"),
    )
    def show_distribution(theme: str | None, snapshot: str, search: str | None) -> dict:
        return repaid_distribution(_run(source, snapshot, search), theme)

    @app.callback(
        Output(ids.OVERVIEW_DEBT, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
        State(ids.URL, "search"),
    )
    def show_debt(theme: str | None, snapshot: str, search: str | None) -> dict:
        loaded = source.loaded(hash_of(source, query_of(search), snapshot))
        return charts.debt_by_health_factor(position(loaded).buckets, theme)

    past_parts.register(app, source)


def _run(source: PageData, snapshot: str, search: str | None = None) -> ShownRun:
    """The stored run of a snapshot. Raises `Unavailable` if it was deleted while the page was open."""
    run = source.run(source.loaded(hash_of(source, query_of(search), snapshot)).market.snapshot)
    if run is None:
        raise Unavailable("No run yet", "The run that this page showed is not stored any more.", NO_RUN)
    return run


def outline() -> html.Div:
    """The charts that the callbacks fill."""
    charts = (ids.OVERVIEW_FAN, ids.OVERVIEW_DISTRIBUTION, ids.OVERVIEW_SEIZED, ids.OVERVIEW_DEBT)
    return html.Div([*[graph(chart, 234, "") for chart in charts], *past_parts.outline()])


PAGE = Page(
    "/",
    "Overview",
    QUESTION,
    "home",
    "Now",
    build,
    outline,
    register,
    {"overview/brief": brief_json, "overview/changes": changes_json, "overview/timeline": timeline_json},
    question,
)
