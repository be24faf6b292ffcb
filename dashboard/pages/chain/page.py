"""Chain: what is happening on the market's chain?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, html, no_update

import risk_core as rc
from dashboard import ids
from dashboard.look.components import card, empty, graph, legend, row, segmented, strip
from dashboard.look.shell import Page
from dashboard.market.chain import DAYS, LARGEST_DAYS, Activity
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.chain import charts, postmortem
from dashboard.pages.chain.answers import (
    PARTS,
    block_of,
    heatmap_json,
    volume_json,
    volumes,
)
from dashboard.pages.chain.parts import (
    block_card,
    facts,
    liquidations_table,
    moved_table,
    origin,
    provisions_table,
    verdict,
)
from dashboard.pages.chain.postmortem import postmortem_json, postmortem_page
from risk_core.analytics import mev
from risk_core.analytics.transfers import LIMIT

FILL = "python -m flows chain-activity --start-block N"
BY = {"token": "by token", "standard": "by standard"}


def build(source: PageData, search: str) -> html.Div:
    """One liquidation in full where the query names one, else the page; charts are filled by the callbacks."""
    asked = parse_qs(search.lstrip("?"))
    if "transaction" in asked:
        return postmortem_page(source, asked["transaction"][0], asked.get("log_index", [None])[0])
    activity, liquidations = source.chain(), source.liquidations()
    hit = [
        (
            card(
                title,
                liquidations_table(found),
                "USD at the price of the event · – where no price at most a day old was known",
                sub,
                flush=True,
                source=f"/api/v1/chain/liquidations?order={order}",
            ),
            {"xxl": 6},
        )
        for title, found, sub, order in (
            ("Newest liquidations", liquidations, "a click on the time opens one", "newest"),
            ("Largest liquidations", source.liquidations(largest=True), f"of {LARGEST_DAYS} days", "largest"),
        )
    ]
    if activity is None:
        nothing = empty("No blocks yet", "Transfers and scores come from whole blocks that a node was asked for.", FILL)
        return html.Div([row([(dbc.Card(nothing), {})]), row(hit)], className="page")
    found = volumes(activity.hours)
    scored = activity.scores
    chosen = block_of(activity, None)
    choice = dbc.Select(
        id=ids.CHAIN_BLOCK,
        value=str(activity.number[chosen]),
        className="pick",
        options=[
            {"label": f"{number:,} · score {score:.0f}", "value": str(number)}
            for number, score in zip(activity.number[::-1].tolist(), scored.score[::-1].tolist(), strict=True)
        ],
    )
    by = html.Div(
        [segmented(ids.CHAIN_BY, [(text, key) for key, text in BY.items()], "token", "Grouping")], className="bar"
    )
    hourly = card(
        "Token transfers by hour",
        [by, graph(ids.CHAIN_TRANSFERS, 260, "Transfers of each hour beside the usual number")],
        f"transfers · usual: median of that hour of the day in up to {DAYS} days before · ▲ a token beyond {LIMIT:g} "
        f"deviations · {origin(activity)}",
        f"last {len(found.ts)} whole hours",
        legend(
            [
                *((charts.colour_of(found, j), name, "block") for j, name in enumerate(found.names)),
                ("text", "usual, all", "solid"),
            ]
        ),
        source="/api/v1/token-volume",
    )
    moved = card(
        "Moved more than usual",
        moved_table(found),
        "median and median absolute deviation × 1.4826, at least 1 transfer and 5\u202f% of the median",
        f"hours beyond {LIMIT:g} deviations",
        flush=True,
        source="/api/v1/token-volume",
    )
    weights = ", ".join(f"{PARTS[key].lower()} {100 * w:.0f}" for key, w in mev.WEIGHTS.items())
    blocks = card(
        "Who takes from whom, block by block",
        graph(ids.CHAIN_MEV, 280, "Score of each block and its five parts; select one"),
        f"score 0 to 100, weights are a choice: {weights} · colour: square root of the part · payments to the block's "
        f"producer need traces and are not seen · {origin(activity)}",
        f"{len(activity.number)} blocks, newest right; select one",
        source="/api/v1/mev-heatmap",
    )
    one = card(
        "The chosen block",
        [
            html.Div([html.Label("Block", htmlFor=ids.CHAIN_BLOCK), choice], className="bar"),
            html.Div(id=ids.CHAIN_BLOCK_PARTS),
        ],
        "parts in points, they sum to the score · profit: what the attacker's trades in the pool left, before gas",
        source="/api/v1/mev-heatmap",
    )
    stood = card(
        "Just-in-time liquidity",
        provisions_table(activity),
        "put into a pool and taken out in one block by one account, with other people's swaps between · # place of the "
        f"transaction in the block · fees are paid apart and not in what was taken out · {origin(activity)}",
        f"in {len(activity.number)} blocks, newest on top",
        flush=True,
        source="/api/v1/mev-heatmap",
    )
    return html.Div(
        [
            verdict(activity, found, liquidations),
            strip(facts(activity)),
            row([(hourly, {"xl": 8}), (moved, {"xl": 4})]),
            row([(blocks, {"xl": 8}), (one, {"xl": 4})]),
            row([(stood, {})]),
            row(hit),
        ],
        className="page",
    )


def liquidations_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/chain/liquidations`: `?order=newest` or `largest` (of a week)."""
    order = query.get("order", "newest")
    if order not in ("newest", "largest"):
        raise rc.InputError(f"order: expected newest or largest, found {order[:40]!r}")
    return {"order": order, "liquidations": [asdict(one) for one in source.liquidations(largest=order == "largest")]}


def stored(source: PageData) -> Activity:
    """The newest blocks. Raises `Unavailable`, which names the command."""
    activity = source.chain()
    if activity is None:
        raise Unavailable("No blocks yet", "Transfers and scores come from whole blocks of a node.", FILL)
    return activity


def register(app: Dash, source: PageData) -> None:
    """Charts follow the grouping, the chosen block and the theme; a click on a block chooses it."""
    postmortem.register(app, source)

    @app.callback(Output(ids.CHAIN_TRANSFERS, "figure"), Input(ids.CHAIN_BY, "value"), Input(ids.THEME, "data"))
    def show_transfers(by: str, theme: str | None) -> dict:
        return charts.transfers(volumes(stored(source).hours, by), theme)

    @app.callback(Output(ids.CHAIN_BLOCK, "value"), Input(ids.CHAIN_MEV, "clickData"), prevent_initial_call=True)
    def choose(clicked: dict | None) -> Any:
        activity = stored(source)
        place = clicked["points"][0].get("x") if clicked and clicked.get("points") else None
        known = isinstance(place, int) and 0 <= place < len(activity.number)
        return str(activity.number[place]) if known else no_update

    @app.callback(
        Output(ids.CHAIN_MEV, "figure"),
        Output(ids.CHAIN_BLOCK_PARTS, "children"),
        Input(ids.CHAIN_BLOCK, "value"),
        Input(ids.THEME, "data"),
    )
    def show_block(block: str | None, theme: str | None) -> tuple[dict, html.Div]:
        activity = stored(source)
        place = block_of(activity, block)
        return charts.heatmap(activity, theme, place), block_card(activity, place)


def volume(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/token-volume`."""
    return volume_json(stored(source), query)


def heatmap(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/mev-heatmap`."""
    return heatmap_json(stored(source), query)


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    return html.Div(
        [
            graph(ids.CHAIN_TRANSFERS, 260, ""),
            graph(ids.CHAIN_MEV, 280, ""),
            dbc.RadioItems(id=ids.CHAIN_BY),
            dbc.Select(id=ids.CHAIN_BLOCK),
            html.Div(id=ids.CHAIN_BLOCK_PARTS),
            postmortem.outline(),
        ]
    )


PAGE = Page(
    "/chain", "Chain", "What is happening on the chain?", "chain", "Markets", build, outline, register,
    {
        "token-volume": volume, "mev-heatmap": heatmap, "chain/liquidations": liquidations_json,
        "chain/post-mortem": postmortem_json,
    },
)  # fmt: skip
