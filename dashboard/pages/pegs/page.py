"""Pegs: which stablecoins are at their peg by every source, and which reserves on Aave follow each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, graph, kpi, legend, pill, row, segmented, table, token
from dashboard.look.shell import Page
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.pegs import charts
from dashboard.pages.pegs.answers import (
    FACTORS,
    SEVERITY,
    Peg,
    as_json,
    followers,
    peg,
)
from risk_core.analytics.pegs import CRITICAL, CRITICAL_BPS, HEALTHY, WARNING, WARNING_BPS, Episode

DAYS = {"7": "7 d", "30": "30 d", "120": "120 d"}
FILL = "python -m flows market-prices"
RULE = (
    f"Warning from {WARNING_BPS:g} basis points, critical from {CRITICAL_BPS:g}, two hours in a row or by two sources"
)


def build(source: PageData, _search: str) -> html.Div:
    """The page; its charts are filled by the callbacks."""
    found = every(source)
    if not found:
        raise Unavailable("No stablecoin prices yet", "The page needs hourly prices of USDC, USDT or DAI in USD.", FILL)
    loaded = source.loaded()
    chosen = [(one.token, one.token) for one in found]
    picks = html.Div(
        [segmented(ids.PEGS_DAYS, [(text, key) for key, text in DAYS.items()], "120", "Time shown")], className="bar"
    )
    colours = ("scenario", "text", "cat-5", "cat-3")
    lines = card(
        "Distance from 1 USD",
        [picks, graph(ids.PEGS_DEVIATION, 260, "Distance of each token from 1 USD in basis points")],
        passport(found[0]),
        "basis points, by hour",
        legend([(colour, one.token, "solid") for one, colour in zip(found, colours, strict=False)]),
        source="/api/v1/pegs/status",
    )
    rolling = card(
        "Compared with its last day",
        [
            segmented(ids.PEGS_TOKEN, chosen, found[0].token, "Token"),
            graph(ids.PEGS_BAND, 240, "Price and its 24 hour band"),
        ],
        "USD · band: 24 h mean ± 2 standard deviations, weighted by time · the newest price is not in its own band",
        "price, 24 h mean",
        source="/api/v1/pegs/status",
    )
    unusual = card(
        "How unusual was it?",
        graph(ids.PEGS_HEAT, 180, "Largest z-score of each six hours"),
        "largest |z| of each 6 h · 1 is unusual, 2 an outlier · no cell: fewer than 12 updates in 24 h, or no movement",
        f"|z| over 24 h, last {charts.HEAT_DAYS} days",
        source="/api/v1/pegs/status",
    )
    past = card(
        "Times away from the peg",
        episodes_table(found),
        f"{WARNING_BPS:g} bp or more, until 6 calm hours",
        "newest first",
        flush=True,
        source="/api/v1/pegs/status",
    )
    hit = card(
        "Who follows, and through which oracle",
        followers_table(loaded),
        "USD at oracle prices · a cap stops a rise, never a fall: below 1 USD the oracle shows what its feed shows",
        "largest debt first",
        flush=True,
        source="",
    )
    return html.Div(
        [
            verdict(found),
            row((token_card(one), {"md": 4}) for one in found),
            row([(lines, {"xl": 8}), (past, {"xl": 4})]),
            row([(unusual, {"xl": 6}), (rolling, {"xl": 6})]),
            row([(hit, {})]),
        ],
        className="page",
    )


def every(source: PageData) -> list[Peg]:
    """The state of each followed stablecoin that has prices."""
    try:
        loaded = source.loaded()
    except Unavailable:
        loaded = None
    found = (peg(name, source.peg(name), loaded) for name in FACTORS.values())
    return [one for one in found if one is not None]


def worst_of(found: list[Peg]) -> Peg:
    """The token in the worst state, the furthest from 1 USD among equals."""
    order = (CRITICAL, WARNING, HEALTHY)
    return min(found, key=lambda peg: (order.index(peg.status), -abs(peg.deviation_bps)))


def verdict(found: list[Peg]) -> html.Section:
    """The worst state first, in a sentence."""
    worst = worst_of(found)
    if worst.status == HEALTHY:
        words: list[Any] = [
            "All ",
            html.B(f"{len(found)} stablecoins"),
            " stand at their peg. Furthest is ",
            html.B(worst.token),
            ", ",
            html.B(charts.signed_bps(worst.deviation_bps)),
            " away; ",
        ]
    else:
        words = [
            html.B(worst.token),
            " stands ",
            html.B(charts.signed_bps(worst.deviation_bps)),
            " from its peg; ",
            f"{fmt.money(worst.debt_usd)} of debt follows it; ",
        ]
    words.append(
        f"compared with its last day that is {'without a score' if worst.word.startswith('no') else worst.word}."
    )
    return html.Section([pill(SEVERITY[worst.status], worst.status, RULE), html.P(words)], className="verdict")


def token_card(one: Peg) -> dbc.Card:
    """A token's price, its distance from 1 USD, its z-score, and the source."""
    apart = f" · sources {one.apart_bps:.1f}\u00a0bp apart" if one.apart_bps is not None else " · one source only"
    z = f"z {one.z:+.1f}, {one.word}".replace("-", fmt.MINUS) if one.word != "no 24 h score" else one.word
    return kpi(
        f"peg-{one.token.lower()}",
        one.token,
        [f"${one.closes.price[-1]:.4f}", html.Span(charts.signed_bps(one.deviation_bps), className="err")],
        f"{fmt.money(one.debt_usd)} of debt and {fmt.money(one.collateral_usd)} of collateral follow it",
        f"{z}{apart}",
        pill(SEVERITY[one.status], one.status, RULE),
        f"{one.token} in USD by {'synthetic prices' if one.closes.synthetic else one.closes.source}, newest hour",
    )


def episodes_table(found: list[Peg]) -> Any:
    """Every time away from the peg, the newest first."""
    rows: list[tuple[str, Episode]] = [(one.token, e) for one in found for e in one.episodes]
    if not rows:
        return empty("None", f"No token was {WARNING_BPS:g} basis points or more away in the stored history.")
    head = (("Token", False), ("Began", False), ("Deepest", True), ("Lasted", True), ("Half of it after", True))
    rows.sort(key=lambda item: -item[1].began)
    return table(
        head,
        [
            (
                token(name),
                fmt.utc(e.began).rpartition(",")[0],
                fmt.move(e.depth),
                lasted(e.duration) + ("" if e.ended else " so far"),
                lasted(e.half_life) if e.half_life else fmt.MISSING,
            )
            for name, e in rows[:12]
        ],
        tight=True,
    )


def lasted(seconds: int) -> str:
    """A duration in hours, or days from two on: `18 h`, `3.5 d`."""
    return f"{seconds / 3600:.0f}\u00a0h" if seconds < 2 * 86_400 else f"{seconds / 86_400:.1f}\u00a0d"


def followers_table(loaded: Any) -> Any:
    """Reserves by the peg that their oracle follows, with the highest price the oracle can give."""
    head = (
        ("Reserve", False),
        ("Follows", False),
        ("Its oracle", False),
        ("Price now", True),
        ("Price at most", True),
        ("Debt", True),
        ("Collateral", True),
    )
    rows = [
        (
            token(f.symbol),
            f.token,
            f.kind,
            f"${f.price_usd:.4f}",
            f"${f.cap_usd:.4f}" if f.cap_usd < float("inf") else "no cap",
            fmt.money(f.debt_usd),
            fmt.money(f.collateral_usd),
        )
        for f in followers(loaded)
    ]
    return table(head, rows, tight=True)


def passport(one: Peg) -> str:
    """Unit, time and source."""
    kind = "synthetic prices" if one.closes.synthetic else one.closes.source
    return f"USD · hourly · to {fmt.utc(float(one.closes.ts[-1]))} · {kind} · dashed: warning and critical"


def register(app: Dash, source: PageData) -> None:
    """Charts follow the time shown, the token and the theme."""

    @app.callback(
        Output(ids.PEGS_DEVIATION, "figure"),
        Output(ids.PEGS_HEAT, "figure"),
        Input(ids.PEGS_DAYS, "value"),
        Input(ids.THEME, "data"),
    )
    def show_all(days: str, theme: str | None) -> tuple[dict, dict]:
        found = every(source)
        return charts.deviations(found, theme, int(days)), charts.heat(found, theme)

    @app.callback(
        Output(ids.PEGS_BAND, "figure"),
        Input(ids.PEGS_TOKEN, "value"),
        Input(ids.PEGS_DAYS, "value"),
        Input(ids.THEME, "data"),
    )
    def show_one(name: str, days: str, theme: str | None) -> dict:
        one = peg(name, source.peg(name))
        if one is None:
            raise Unavailable("No prices", f"There are no prices of {name}.", FILL)
        return charts.band(one, theme, min(int(days), 30))


def status_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/pegs/status`, `?token=USDC` for one."""
    known = {one.token: one for one in every(source)}
    asked = query.get("token")
    if asked is None:
        return {name: as_json(one) for name, one in known.items()}
    if asked not in known:
        raise rc.InputError(
            f"token: expected one of {', '.join(known) or 'none, there are no prices'}, found {asked[:40]!r}"
        )
    return as_json(known[asked])


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    charted = (ids.PEGS_DEVIATION, ids.PEGS_HEAT, ids.PEGS_BAND)
    choices = (ids.PEGS_DAYS, ids.PEGS_TOKEN)
    return html.Div([*[graph(chart, 240, "") for chart in charted], *[dbc.RadioItems(id=choice) for choice in choices]])


PAGE = Page(
    "/pegs",
    "Pegs",
    "Do stablecoins hold their peg?",
    "pegs",
    "Markets",
    build,
    outline,
    register,
    {"pegs/status": status_json},
)
