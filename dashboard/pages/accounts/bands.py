"""Which health factor is safe: the bands of all pairs in a table, and the band of one account."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from dash import dcc, html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, label, layout
from dashboard.look.components import card, empty, graph, legend, pill, table, token
from dashboard.look.escaping import charted, named
from dashboard.market.bands import HEADLINE, Bands, Level, PairBand
from dashboard.market.loaded import LoadedMarket
from risk_core.accounts import main_reserve

FILL = "python -m flows health-factor-bands"
SHOWN_PAIRS = 12
OTHERS = 6
"""Other pairs in the chart of an account, to show how pairs differ."""


def own_pair(loaded: LoadedMarket, bands: Bands | None, address: str) -> tuple[PairBand | None, float, float]:
    """(band of the account's main pair or None, share of its collateral in the pair, share of its debt)."""
    market = loaded.market
    row = market.index(address)
    shares, assets = [], []
    for side in (market.collateral, market.debt):
        entries = slice(side.indptr[row], side.indptr[row + 1])
        worth = side.amount[entries] * market.price[side.reserve[entries]]
        if not worth.sum() > 0:
            return None, 0.0, 0.0
        shares.append(float(worth.max() / worth.sum()))
        assets.append(market.reserves.asset[int(main_reserve(market, side)[row])])
    return (bands.pair(*assets) if bands else None), shares[0], shares[1]


def chance_words(band: PairBand, health_factor: float) -> tuple[str, str]:
    """(tone, text) of the chance for a health factor: the two stated chances that it lies between."""
    if health_factor < 1:
        return "crit", "it can be liquidated now"
    # The chance falls with the health factor: below the chances of lower levels, above those of higher levels.
    most = min((one.chance for one in band.levels if one.health_factor <= health_factor), default=1.0)
    least = max((one.chance for one in band.levels if one.health_factor > health_factor), default=0.0)
    tone = "warn" if least >= HEADLINE[0] else "watch" if least >= HEADLINE[2] else "ok"
    if least == 0.0:
        return tone, f"below {_per_cent(most)}"
    return tone, f"above {_per_cent(least)}" if most == 1.0 else f"between {_per_cent(least)} and {_per_cent(most)}"


def level_text(level: Level | None) -> Any:
    """A health factor with its 95 % interval, or "few draws" where there are too few paths for one."""
    if level is None:
        return fmt.MISSING
    if level.few_draws or level.low is None or level.high is None:
        error = html.Span("few draws", className="err", title=level.reason or None)
    else:
        half = max(level.high - level.health_factor, level.health_factor - level.low)
        error = html.Span(f"± {half:.3f}" if half >= 5e-4 else "± < 0.001", className="err")
    return html.Span([_up(level.health_factor), " ", error])


def _up(value: float) -> str:
    """Three decimals, rounded up, so that the text never understates a safe health factor."""
    return f"{np.ceil(value * 1000 - 1e-9) / 1000:.3f}"


def _per_cent(chance: float) -> str:
    return f"{chance * 100:g}{fmt.NARROW_SPACE}%"


def _days(bands: Bands) -> str:
    days = bands.horizon_seconds / 86_400
    return f"{days:g} days" if days != 1 else "1 day"


NO_BAND = "One price, capped, or barred from liquidations: the JSON has the reason of each."


def passport(bands: Bands) -> str:
    """How the bands were made."""
    kind = " · synthetic" if bands.synthetic else ""
    kind += " · its calibration saw prices later than the block: no forecast" if bands.looks_ahead else ""
    return (
        f"engine · {named(bands.law)} · {fmt.count(bands.n_paths)} paths · prices looked at {fmt.count(bands.n_steps)} "
        f"times in {_days(bands)} · seed {bands.seed} · block {bands.block} of {fmt.utc(bands.block_time)}{kind} · ±: "
        "95\u202f% · no interest, nobody repays"
    )


def pairs_card(bands: Bands | None) -> Any:
    """The card with the band of each pair, most debt first."""
    title, source = "Which health factor is safe?", "/api/v1/accounts/bands"
    if bands is None:
        text = "No bands are stored yet. This computes the health factors that are a 1, 5 and 20\u202f% chance:"
        return card(title, empty("Not computed yet", text, FILL), sub="by pair of main collateral and main debt")
    with_band = [one for one in bands.pairs if one.levels]
    without = len(bands.pairs) - len(with_band)
    head = (
        ("Collateral", False), ("Debt", False), ("Accounts", True), ("Owed", True),
        *((f"{_per_cent(chance)} chance", True) for chance in HEADLINE),
    )  # fmt: skip
    rows = [
        (
            token(one.collateral_symbol),
            token(one.debt_symbol),
            fmt.count(one.n_accounts),
            fmt.money(one.debt_usd),
            *(level_text(one.level(chance)) for chance in HEADLINE),
        )
        for one in with_band[:SHOWN_PAIRS]
    ]
    none = f"without a band: {fmt.count(without)} (one price, capped, or barred from liquidations)" if without else ""
    foot = " · ".join(
        part
        for part in (
            f"{fmt.count(min(SHOWN_PAIRS, len(with_band)))} of {fmt.count(len(with_band))} pairs, the most debt first; "
            "the JSON has all",
            none,
            passport(bands),
        )
        if part
    )
    body = table(head, rows) if rows else empty("No pair has a band", NO_BAND)
    return card(title, body, foot, f"health factor with that chance of liquidation within {_days(bands)}", flush=True,
                source=source)  # fmt: skip


def account_card(bands: Bands | None, loaded: LoadedMarket, address: str, health_factor: float) -> Any:
    """The card with the band of an account's main pair, the account, and other pairs."""
    title = "Which health factor is safe for this pair?"
    pair, of_collateral, of_debt = own_pair(loaded, bands, address)
    source = f"/api/v1/accounts/account?address={address}"
    if bands is None:
        text = "No bands are stored yet. This computes the health factors that are a 1, 5 and 20\u202f% chance:"
        return card(title, empty("Not computed yet", text, FILL))
    if not np.isfinite(health_factor):
        return card(title, empty("No pair", "The account has no debt."))
    if of_collateral == 0.0:
        return card(title, empty("No pair", "It has debt and no collateral: that is bad debt at any price."))
    if pair is None or not pair.levels:
        why = pair.reason if pair else "The bands were computed without the pair of its main collateral and debt."
        return card(title, empty("No band", why[:1].upper() + why[1:] + ".", "" if pair else FILL))
    tone, words = chance_words(pair, health_factor)
    names = f"{named(pair.collateral_symbol)} against {named(pair.debt_symbol)}"
    levels = [
        html.Div([html.Span(f"{_per_cent(chance)} chance"), html.Span(level_text(pair.level(chance)), className="num")],
                 className="feat")
        for chance in HEADLINE
    ]  # fmt: skip
    only = of_collateral > 0.995 and of_debt > 0.995
    share = "" if only else (
        f" The pair is {fmt.share(of_collateral, 0)} of its collateral and {fmt.share(of_debt, 0)} of its debt; the "
        "band is that of the pair alone."
    )  # fmt: skip
    sentence = html.P(
        ["At ", html.B(fmt.health_factor(health_factor, 3)), f" the chance of liquidation within {_days(bands)} is ",
         html.B(words), f".{share} "], className="t2",
    )  # fmt: skip
    chart = graph(ids.ACCOUNT_BAND, 220, f"Chance of liquidation by health factor, {names}")
    marks = legend(
        [("scenario", names, "solid"), ("text-3", "other pairs", "dashed"), ("text", "this account", "solid")]
    )
    return card(
        title, [html.Div([pill(tone, words), sentence]), html.Div(levels, className="feats"), chart,
                dcc.Store(id=ids.ACCOUNT_BAND_OF, data=address)],
        passport(bands), f"{names}, within {_days(bands)}", marks, source=source,
    )  # fmt: skip


def curve(bands: Bands, pair: PairBand, health_factor: float, theme: str | None) -> Figure:
    """Chance by health factor on a log scale: this pair, the largest others, and the account."""
    c = themes.colours(theme)
    others = [one for one in bands.pairs if one.levels and one is not pair][:OTHERS]
    lines = [(one, c["text-3"], 1.0, "dash") for one in others] + [(pair, c["scenario"], 2.0, "solid")]
    data = [
        {
            "type": "scatter", "mode": "lines+markers" if one is pair else "lines",
            "x": [level.health_factor for level in one.levels], "y": [level.chance * 100 for level in one.levels],
            "name": charted(f"{one.collateral_symbol} / {one.debt_symbol}"),
            "line": {"color": colour, "width": width, "dash": dash}, "marker": {"size": 5},
            "hovertemplate": f"{charted(one.collateral_symbol)} / {charted(one.debt_symbol)} <b>%{{y:.1f}} %</b> at "
                             "%{x:.3f}<extra></extra>",
        }
        for one, colour, width, dash in lines
    ]  # fmt: skip
    most = max(level.health_factor for one in (pair, *others) for level in one.levels)
    right = max(most, min(health_factor, 1.2 * most - 0.2)) * 1.01
    at = min(max(health_factor, 1.0), right)
    marker = {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
              "line": {"color": c["text"], "width": 1.25}}  # fmt: skip
    notes = []
    if health_factor > right:
        notes.append(label("this account is further right →", 1, 1, c["text-2"], xref="paper", yref="paper",
                           xanchor="right", yanchor="top"))  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            theme, 220, shapes=[marker] if health_factor <= right else [], annotations=notes,
            margin={"l": 52, "r": 14, "t": 8, "b": 28}, hovermode="closest",
            xaxis={"range": [0.995, right], "nticks": 6, "fixedrange": True, **STANDOFF},
            yaxis={"type": "log", "range": [np.log10(0.4), np.log10(60)], "tickvals": [0.5, 1, 5, 20, 50],
                   "ticktext": [_per_cent(tick / 100) for tick in (0.5, 1, 5, 20, 50)], "fixedrange": True, **STANDOFF},
        ),
    }  # fmt: skip


def as_json(bands: Bands | None) -> dict[str, Any]:
    """`/api/v1/accounts/bands`: every pair with all its levels, unrounded; `pairs` is None where none are stored."""
    if bands is None:
        return {"pairs": None, "command": FILL}
    return asdict(bands)
