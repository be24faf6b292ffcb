"""The other pages in one line each; where data is missing, the line names the command that fetches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dash_bootstrap_components as dbc
import numpy as np
from dash import dcc

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.look.components import kpi, pill, row
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.series import DAY
from dashboard.pages.clusters import page as clusters
from dashboard.pages.market_risk import asked, parts
from dashboard.pages.market_risk.answers import rolling
from dashboard.pages.pegs import charts as peg_charts
from dashboard.pages.pegs import page as pegs
from dashboard.pages.pegs.answers import SEVERITY


def watched(source: PageData) -> dbc.Row:
    """Three cards, each with a link to its page."""
    cards = (_told(source, make, title, path) for make, title, path in _CARDS)
    return row((card, {"md": 4}) for card in cards)


def _told(source: PageData, make: Callable[[PageData], tuple[Any, ...]], title: str, path: str) -> dbc.Card:
    try:
        value, note, meta, state = make(source)
    except (Unavailable, rc.InputError) as nothing:
        command = getattr(nothing, "command", "")
        value, note, meta, state = fmt.MISSING, getattr(nothing, "title", str(nothing)), command, None
    link = dcc.Link("Open", href=path, className="micro")
    return kpi(f"watched{path.replace('/', '-')}", title, value, [note, " ", link], meta, state)


def _pegs(source: PageData) -> tuple[Any, ...]:
    found = pegs.every(source)
    if not found:
        raise Unavailable("No stablecoin prices yet", "", pegs.FILL)
    worst = pegs.worst_of(found)
    value = f"{worst.token} {peg_charts.signed_bps(worst.deviation_bps)}"
    return (
        value,
        f"furthest of {len(found)} stablecoins from 1 USD",
        worst.word,
        pill(SEVERITY[worst.status], worst.status),
    )


def _clusters(source: PageData) -> tuple[Any, ...]:
    fit = clusters.stored(source)
    chances = fit.chances
    usual = float(np.median(chances.probability))
    raised = chances.low[-1] > usual
    value = clusters.chance_text(float(chances.probability[-1]), chances.n_paths)
    state = pill("watch", "raised") if raised else pill("ok", "usual")
    return value, f"usually {fmt.share(usual)}", clusters.burst(fit), state


def _market(source: PageData) -> tuple[Any, ...]:
    answer = rolling(source.closes(asked.DEFAULT, DAY))
    method = answer.method("ewma")
    note = "or more is lost on 1,000,000 USD of ETH, one day in twenty"
    return (
        fmt.money(max(method.today, 0.0)),
        note,
        "VaR 95\u202f%, EWMA",
        pill(parts.TONE[method.verdict], method.verdict, parts.SAYS[method.verdict]),
    )


_CARDS = (
    (_pegs, "Pegs", "/pegs"),
    (_clusters, "Chance of a burst of liquidations", "/clusters"),
    (_market, "ETH in a day", "/market"),
)
