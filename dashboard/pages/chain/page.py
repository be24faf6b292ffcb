"""Chain: what is happening on the market's chain?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

import dash_bootstrap_components as dbc
import numpy as np
from dash import Dash, Input, Output, html, no_update

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, card, empty, graph, legend, pill, row, segmented, strip, table
from dashboard.look.escaping import named
from dashboard.look.shell import Page
from dashboard.market.chain import DAYS, LARGEST_DAYS, Activity, Liquidation
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.chain import charts, postmortem
from dashboard.pages.chain.answers import (
    PARTS,
    UNUSUAL_SCORE,
    Leg,
    Volumes,
    block_of,
    heatmap_json,
    loudest,
    provisions,
    sandwiches_of,
    story,
    volume_json,
    volumes,
)
from dashboard.pages.chain.postmortem import postmortem_json, postmortem_page
from risk_core.analytics import mev
from risk_core.analytics.transfers import LIMIT

FILL = "python -m flows chain-activity --start-block N"
FILL_EVENTS = "python -m flows lending-events"
BY = {"token": "by token", "standard": "by standard"}
ROLES = {"front-run": "crit", "back-run": "crit", "victim": "warn"}


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


def origin(activity: Activity) -> str:
    """The source of the blocks and the time of the newest."""
    chain = "a made-up chain of the sample" if activity.synthetic else f"chain {activity.chain_id}"
    return f"{chain}, to {fmt.utc(activity.newest.timestamp)}"


def verdict(activity: Activity, found: Volumes, liquidations: tuple[Liquidation, ...]) -> html.Section:
    """Transfers, sandwiches and liquidations in three sentences."""
    loud = loudest(found)
    sandwiched = len({one.block for one in activity.scores.sandwiches.found})
    words: list[Any] = []
    if not len(found.ts) or np.isnan(found.score).all():
        words.append("Too few whole hours are stored to say what is usual. ")
    elif loud:
        hour, j = loud[0]
        words += [
            "Tokens moved unusually in ",
            html.B(f"{len({i for i, _ in loud})} of {len(found.ts)} hours"),
            f"; furthest from usual was {found.names[j]} at {clock(found.ts[hour])}. ",
        ]
    else:
        words.append(f"Tokens moved as usual in the last {len(found.ts)} hours. ")
    words += [
        f"Of the last {len(activity.number)} blocks ",
        html.B(f"{sandwiched or 'none'} {'carries' if sandwiched < 2 else 'carry'} a sandwich"),
        ". ",
    ]
    if liquidations:
        words.append(f"The newest liquidation was on {fmt.utc(liquidations[0].ts)}.")
    calm = not loud and not sandwiched
    return html.Section(
        [pill("ok" if calm else "watch", "usual" if calm else "unusual"), html.P(words)], className="verdict"
    )


def clock(seconds: float) -> str:
    """`30 Jun 2025, 20:00 UTC`."""
    return fmt.utc(float(seconds))


def facts(activity: Activity) -> list[tuple[str, Any, str]]:
    """A line of figures on the blocks."""
    counts = activity.scores.counts
    top = int(np.argmax(activity.scores.score))
    discarded = activity.scores.sandwiches.discarded
    return [
        ("Newest block", fmt.count(activity.newest.number), fmt.utc(activity.newest.timestamp)),
        ("Swaps", fmt.count(counts["swaps"].sum()), f"in {fmt.count(counts['transactions'].sum())} transactions"),
        (
            "Sandwiches",
            str(len(activity.scores.sandwiches.found)),
            f"{counts['sandwiched'].sum()} swaps; {discarded} sets too large",
        ),
        (
            "Back-runs",
            str(counts["back_runs"].sum()),
            f"cyclic arbitrages: {counts['arbitrages'].sum()}, flash loans: {activity.flash_loans.sum()}",
        ),
        (
            "Just-in-time liquidity",
            str(len(activity.just_in_time)),
            f"for {sum(len(one.swaps) for one in activity.just_in_time)} swaps",
        ),
        ("Highest score", f"{activity.scores.score[top]:.0f}", f"block {activity.number[top]:,}"),
    ]


def moved_table(found: Volumes) -> Any:
    """Every unusual hour of a token, largest deviation first."""
    loud = loudest(found)
    if not loud:
        known = int(found.days.max(initial=0))
        text = f"No token was beyond {LIMIT:g} deviations; the hours have up to {known} earlier days to compare with."
        return empty("None", text)
    head = (("Token", False), ("Hour", False), ("Transfers", True), ("Usual", True), ("Amount", True))
    rows = [
        (
            found.names[j],
            clock(found.ts[i]).removesuffix(" UTC"),
            fmt.count(found.transfers[i, j]),
            f"{found.median[i, j]:g}",
            fmt.multiple(found.amount_times[i, j], 1) if np.isfinite(found.amount_times[i, j]) else fmt.MISSING,
        )
        for i, j in loud[:9]
    ]
    return table(head, rows, tight=True)


def block_card(activity: Activity, place: int) -> html.Div:
    """Score, points of each part, and the transactions of the block's sandwiches."""
    scored = activity.scores
    score, number = float(scored.score[place]), int(activity.number[place])
    below = int((scored.score < score).sum())
    counts = {key: int(of[place]) for key, of in scored.counts.items()}
    note = {
        "sandwiched": f"{counts['sandwiched']} of {counts['swaps']} swaps",
        "gas": f"{counts['gas_outliers']} of {counts['transactions']} transactions",
        "priority": "95\u202f% / median",
        "liquidations": str(counts["liquidations"]),
        "arbitrage": str(counts["arbitrages"]),
    }
    points = [
        (PARTS[key], note[key], f"{scored.points[place, i]:.1f} of {100 * weight:.0f}")
        for i, (key, weight) in enumerate(mev.WEIGHTS.items())
    ]
    parts: list[Any] = [
        html.P(
            [
                html.B(f"{score:.0f} of 100"),
                f" · block {number:,}, {fmt.utc(float(activity.ts[place]))} · "
                f"higher than {below} of the other {len(scored.score) - 1} · "
                f"base fee {activity.base_fee[place] / 1e9:.2f} gwei ",
                pill("warn" if score >= UNUSUAL_SCORE else "ok", "unusual" if score >= UNUSUAL_SCORE else "usual"),
            ]
        ),
        html.Div(table((("Part", False), ("", False), ("Points", True)), points, tight=True), className="scrollx"),
    ]
    sandwiches = sandwiches_of(activity, number)
    for one in sandwiches:
        head = (("#", True), ("Role", False), ("Who", False), ("Swapped", False))
        rows = [
            (str(leg.place), pill(ROLES[leg.role], leg.role), address(leg.sender), swapped(leg))
            for leg in story(activity, one)
        ]
        parts.append(html.Div(table(head, rows, tight=True), className="scrollx"))
    if not sandwiches:
        parts.append(html.P("No sandwich in this block.", className="t2"))
    return html.Div(parts)


def swapped(leg: Leg) -> html.Div:
    """The swap of a transaction, and below it the attacker's result."""
    return html.Div([leg.swapped, html.Div(html.B(leg.result)) if leg.result else None])


def provisions_table(activity: Activity) -> Any:
    """Accounts that provided liquidity within one block only."""
    found = provisions(activity)
    if not found:
        return empty("None", "No account took liquidity out in the block in which it had put it in for others' swaps.")
    head = (("Block", True), ("Account", False), ("Swaps", True), ("Put in", False), ("Taken out", False))
    rows = [
        (
            f"{one.block:,}",
            address(one.sender),
            str(one.swaps),
            f"#{one.put_at}: {one.put_in}",
            f"#{one.taken_at}: {one.taken_out}",
        )
        for one in found
    ]
    return table(head, rows, tight=True)


def liquidations_table(found: tuple[Liquidation, ...]) -> Any:
    """The newest liquidations of the market."""
    if not found:
        return empty("No liquidations yet", "None of this market are stored.", FILL_EVENTS)
    # The time leads to the post-mortem, the account to its page.
    head = (("When", False), ("Account", False), ("Sold", False), ("Repaid", True), ("Seized", True))
    rows = [
        (
            html.A(fmt.utc(one.ts), href=postmortem.link(one.tx_hash, one.log_index)),
            html.A(address(one.wallet), href=f"/accounts?address={one.wallet}"),
            named(one.collateral),
            f"{one.repaid:,.0f} {named(one.debt)}" if one.repaid is not None else named(one.debt) or fmt.MISSING,
            fmt.money(one.seized_usd),
        )
        for one in found
    ]
    return table(head, rows, tight=True)


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
