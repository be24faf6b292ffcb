"""What the Chain page says of blocks: the verdict, the cards and the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import address, empty, pill, table
from dashboard.look.escaping import named
from dashboard.market.chain import Activity, Liquidation
from dashboard.pages.chain import postmortem
from dashboard.pages.chain.answers import (
    PARTS,
    UNUSUAL_SCORE,
    Leg,
    Volumes,
    loudest,
    provisions,
    sandwiches_of,
    story,
)
from risk_core.analytics import mev
from risk_core.analytics.transfers import LIMIT

FILL_EVENTS = "python -m flows lending-events"
ROLES = {"front-run": "crit", "back-run": "crit", "victim": "warn"}


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
