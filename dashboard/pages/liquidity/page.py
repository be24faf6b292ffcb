"""Liquidity: can what liquidators must sell be sold inside their bonus, and who carries it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dash_bootstrap_components as dbc
import numpy as np
from dash import Dash, Input, Output, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import card, graph, legend, row, segmented, token
from dashboard.look.escaping import marked
from dashboard.look.shell import Page
from dashboard.market.drivers import BY_KEY
from dashboard.market.liquidators import Repaid
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.queues import ShownQueue
from dashboard.pages.liquidity import charts, warning
from dashboard.pages.liquidity.answers import (
    CARRIED_DAYS,
    DAY,
    FALLERS,
    STEPS,
    Way,
    as_json,
    best,
    carriers,
    limits,
    sales,
    ways,
)
from dashboard.pages.liquidity.parts import (
    QUEUE_FILL,
    carriers_table,
    limit_rows,
    queue_table,
    quotes_table,
    verdict,
)
from dashboard.pages.what_if.answers import rarity

FILL = "python -m flows sale-quotes --file FILE"
FALLS = ("10", "20", "30", "40", "50")
USUAL_FALL = "20"
NAMES = {"eth": "ETH", "both": "ETH and BTC", "all": "all but stablecoins"}
NOTE = (
    "USD at oracle prices · exact, every account, all sold at once · depth: the largest sale that still earns inside "
    "the reserve's own bonus, with a flash loan at 0.05\u202f% and no gas; an e-mode pays a smaller bonus"
)


def build(source: PageData, _search: str) -> html.Div:
    """The page; what depends on the fall is filled by the callbacks."""
    loaded, found = state(source)
    shown = curves_shown(loaded, found)
    picks = html.Div(
        [
            segmented(ids.LIQUIDITY_FALLING, [(text, key) for key, text in NAMES.items()], "both", "What falls"),
            segmented(ids.LIQUIDITY_FALL, [(fmt.move(-int(f) / 100), f) for f in FALLS], USUAL_FALL, "By how much"),
        ],
        className="bar",
    )
    names = loaded.market.reserves.symbol
    small = [small_curve(n, names, shown[n] if n < len(shown) else None) for n in range(len(ids.LIQUIDITY_CURVES))]
    assumed = all(way.ladder.assumed.all() for way in found)
    basis = "assumed, nobody quoted them" if assumed else f"newest {age_of(found)}"
    distance = card(
        "Distance to capacity",
        [picks, html.Div(id=ids.LIQUIDITY_LIMITS)],
        NOTE,
        "what liquidators sell against what fits inside the bonus",
        source="/api/v1/liquidity",
    )
    cost = card(
        "What does a sale cost?",
        row((one, {"md": 6, "xl": 4}) for one in small),
        f"{sum(len(way.state) for way in found)} quotes of {len(found)} pairs, {basis} · dashed: no quote is as large: "
        "it costs at least this · circle: what is sold at the fall above",
        "share of the value that is lost",
        source="/api/v1/liquidity",
    )
    repaid = source.repaid()
    capital = card(
        "Liquidator capital in use",
        graph(ids.LIQUIDITY_CAPITAL, 240, "Debt repaid in a rolling 24 hours, and the 99 % day ahead"),
        "USD of debt repaid in a rolling 24 h · stored liquidations of this market"
        f"{without_price(repaid)} · point: LaR 99 % of the newest run",
        "24 h, last 90 days",
        source="/api/v1/liquidity",
    )
    who = card(
        "Who carries it",
        carriers_table(repaid),
        f"debt repaid in the newest {CARRIED_DAYS} days with liquidations · how long each waited is not stored",
        f"{CARRIED_DAYS} days",
        flush=True,
        source="/api/v1/liquidity",
    )
    quotes = card(
        "Quotes behind the curves",
        quotes_table(loaded, found),
        "refused first, then the largest of each pair · a quote that brings in less than a smaller one is not used",
        flush=True,
        source="/api/v1/liquidity",
    )
    at = loaded.market.snapshot
    line = source.queue(at)
    drawn = graph(ids.LIQUIDITY_QUEUE, 240, "Mean debt that waits, by the hour")
    waits = card(
        "How long does it queue?",
        row(
            [
                (html.Div(queue_table(line), className="scrollx"), {"xl": 7}),
                (html.Div([legend(charts.queue_legend(line)), drawn], hidden=line is None), {"xl": 5}),
            ]
        ),
        queue_note(line),
        "debt below 1 that nobody repays yet",
        source="/api/v1/liquidity/queue",
    )  # fmt: skip
    return html.Div(
        [
            html.Section(id=ids.LIQUIDITY_VERDICT, className="verdict"),
            row([(distance, {})]),
            row([(cost, {})]),
            row([(waits, {})]),
            row([(warning.warning_card(f"block {fmt.count(at.block)} · {fmt.utc(at.block_time)}"), {})]),
            row([(capital, {"xl": 8}), (who, {"xl": 4})]),
            row([(quotes, {})]),
        ],
        className="page",
    )


def queue_note(line: ShownQueue | None) -> str:
    """What the queue rests on."""
    if line is None:
        return "not stored"
    words = [
        f"99 % over {line.horizon_hours:g} h, shortfall: mean of the worst 1 %",
        f"95 % intervals from {line.n_paths:,} paths, the same for all",
        f"half of a sale absorbed in {line.half_life_hours:g} h",
        "the oracle does not see sales" if not line.feedback else f"the oracle sees {line.feedback:.0%} of an impact",
        "* few paths stand behind it",
    ]
    if line.assumed:
        words.append("depth assumed")
    if line.looks_ahead:
        words.append("prices later than the block were used")
    if line.unquoted:
        words.append(f"no quotes: {len(line.unquoted)} reserves, taken as endlessly deep")
    return " · ".join(words)


def state(source: PageData) -> tuple[LoadedMarket, tuple[Way, ...]]:
    """The newest market with a curve for each quoted pair. Raises `Unavailable` where nothing is quoted."""
    loaded = source.loaded()
    found = ways(loaded.market, source.quotes(loaded.market))
    if not found:
        raise Unavailable(
            "No quotes yet",
            "The page needs what sales of the market's reserves bring in: a file of quotes with source and time.",
            "python -m data.sample" if loaded.market.snapshot.synthetic else FILL,
        )
    return loaded, found


def without_price(repaid: Repaid) -> str:
    """How many liquidations count nothing, as their price was not known; empty for none."""
    n = int(np.isnan(repaid.usd).sum())
    return f", {fmt.count(n)} without a known price count 0" if n else ""


def small_curve(n: int, names: tuple[str, ...], way: Way | None) -> html.Div:
    """The place of one small chart with the names of its pair; hidden where there is no pair for it."""
    if way is None:
        return html.Div(graph(ids.LIQUIDITY_CURVES[n], charts.HEIGHT, ""), hidden=True)
    sold, bought = names[way.sold], marked(names[way.bought])
    title = html.Div([token(sold), html.Span(f" → {bought}", className="muted")])
    return html.Div([title, graph(ids.LIQUIDITY_CURVES[n], charts.HEIGHT, f"Slippage of {marked(sold)} by size")])


def curves_shown(loaded: LoadedMarket, found: tuple[Way, ...]) -> list[Way]:
    """The best pair of each of the six reserves that are sold most when ETH and BTC fall by 40 %."""
    sold = sales(loaded, "both").sold[40]
    chosen = sorted(best(found).values(), key=lambda way: (-sold[way.sold], way.sold))
    return chosen[: len(ids.LIQUIDITY_CURVES)]


def age_of(found: tuple[Way, ...]) -> str:
    """When the newest quote was made."""
    return fmt.utc(float(max(way.ladder.quoted_at.max() for way in found)))


def register(app: Dash, source: PageData) -> None:
    """What follows the fall, what falls, and the theme."""

    @app.callback(
        Output(ids.LIQUIDITY_VERDICT, "children"),
        Output(ids.LIQUIDITY_LIMITS, "children"),
        Input(ids.LIQUIDITY_FALLING, "value"),
        Input(ids.LIQUIDITY_FALL, "value"),
    )
    def show_limits(falling: str, fall: str) -> tuple[list, list]:
        falling, share = asked({"falling": falling, "fall": fall})
        loaded, found = state(source)
        rows = limits(loaded, found, sales(loaded, falling), share)
        rare = rarity(BY_KEY["eth"], -share, loaded.daily_moves.get("eth"), f"{loaded.history} for ETH")
        return verdict(rows, falling, share, rare), limit_rows(rows)

    @app.callback(
        [Output(one, "figure") for one in ids.LIQUIDITY_CURVES],
        Input(ids.LIQUIDITY_FALLING, "value"),
        Input(ids.LIQUIDITY_FALL, "value"),
        Input(ids.THEME, "data"),
    )
    def show_curves(falling: str, fall: str, theme: str | None) -> list[dict]:
        falling, share = asked({"falling": falling, "fall": fall})
        loaded, found = state(source)
        sold = sales(loaded, falling)
        at = round(share * 100)
        figures = [charts.curve(way, float(sold.sold[at, way.sold]), theme) for way in curves_shown(loaded, found)]
        return figures + [charts.nothing("", theme)] * (len(ids.LIQUIDITY_CURVES) - len(figures))

    @app.callback(Output(ids.LIQUIDITY_CAPITAL, "figure"), Input(ids.THEME, "data"))
    def show_capital(theme: str | None) -> dict:
        repaid = source.repaid()
        if not len(repaid.ts):
            return charts.nothing("No liquidation of this market is stored.", theme, 240)
        market = source.loaded().market
        run = source.run(market.snapshot)
        ahead = run.get("lar_repaid", 0.99) if run and run.horizon_hours == DAY / 3600 else None
        return charts.capital(repaid, ahead, market.snapshot.block_time, theme)

    @app.callback(Output(ids.LIQUIDITY_QUEUE, "figure"), Input(ids.THEME, "data"))
    def show_queue(theme: str | None) -> dict:
        line = source.queue(source.loaded().market.snapshot)
        return charts.nothing("", theme, 240) if line is None else charts.queue(line, theme)

    warning.register(app, source)


def queue_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/liquidity/queue`: the stored simulation of limited liquidators."""
    loaded = source.loaded()
    line = source.queue(loaded.market.snapshot)
    if line is None:
        raise Unavailable("No queue yet", "How long debt waits is simulated by its own command.", QUEUE_FILL)
    return asdict(line) | {"block": loaded.market.snapshot.block, "is_synthetic": loaded.market.snapshot.synthetic}


def asked(query: Mapping[str, str]) -> tuple[str, float]:
    """(what falls, by which share). Raises `InputError` for a choice that does not exist."""
    falling, fall = query.get("falling", "both"), query.get("fall", USUAL_FALL)
    if falling not in FALLERS:
        raise rc.InputError(f"falling: expected one of {', '.join(FALLERS)}, found {falling!r:.40}")
    if not fall.isascii() or not fall.isdigit() or not 0 <= int(fall[:4]) < STEPS:
        raise rc.InputError(f"fall: expected a whole per cent from 0 to {STEPS - 1}, found {fall!r:.40}")
    return falling, int(fall) / 100


def liquidity_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/liquidity`, with `?falling=eth|both|all` and `&fall=20`, in whole per cent."""
    loaded, found = state(source)
    repaid = source.repaid()
    return as_json(loaded, found, *asked(query)) | {
        "liquidators": [
            {"address": c.address, "repaid_usd": c.usd, "share": c.share, "n": c.n} for c in carriers(repaid)
        ],
        "n_unpriced": int(np.isnan(repaid.usd).sum()),
    }


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    return html.Div(
        [
            html.Section(id=ids.LIQUIDITY_VERDICT),
            html.Div(id=ids.LIQUIDITY_LIMITS),
            *[dbc.RadioItems(id=choice) for choice in (ids.LIQUIDITY_FALLING, ids.LIQUIDITY_FALL)],
            *[graph(one, charts.HEIGHT, "") for one in ids.LIQUIDITY_CURVES],
            graph(ids.LIQUIDITY_CAPITAL, 240, ""),
            graph(ids.LIQUIDITY_QUEUE, 240, ""),
            graph(ids.LIQUIDITY_WARNING, warning.HEIGHT, ""),
            html.Div(id=ids.LIQUIDITY_WARNING_SAYS),
        ]
    )


PAGE = Page(
    "/liquidity",
    "Liquidity",
    "Can the market absorb it?",
    "liquidity",
    "Risk",
    build,
    outline,
    register,
    {"liquidity": liquidity_json, "liquidity/queue": queue_json, "liquidity/warning": warning.warning_json},
)
"""Depth, what is sold, and who carries it."""
