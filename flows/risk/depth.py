"""Depth, late oracles and borrowers' behaviour: what the figure of a run is with one of them, and the quotes behind it.

Everything here is stated or assumed, and says so; nothing of it is fitted to the market.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from data.quotes import AGE, ALWAYS, depth_curves, quotes_of
from risk_core import Borrowers, Feeds, Impact, Liquidators, simulate
from risk_core.analytics.slippage import impact_of

if TYPE_CHECKING:
    from data.quotes import Ladder
    from data.store import Reader
    from risk_core import Market, Result, Scenario

MOST_PATHS = 5_000
"""Paths of each of these models, at most: one takes up to twenty times as long as the plain run."""
DEPTH, ORACLE, BEHAVIOUR = "Depth", "Oracle", "Behaviour"
"""Groups of models."""
LATE = timedelta(hours=1)


def quotes(store: Reader, market: Market, *, look_ahead: bool) -> tuple[Ladder, ...]:
    """The quotes of the week before the block; the newest of all where a look ahead is allowed."""
    at = market.snapshot
    first, last = (0, ALWAYS) if look_ahead else (at.block_time - AGE, at.block_time)
    return quotes_of(store, at.market, market.reserves.asset, synthetic=at.synthetic, first=first, last=last)


def impact(store: Reader, market: Market, *, look_ahead: bool) -> tuple[Impact | None, bool]:
    """(impact of sales by the stored quotes, whether nobody quoted any of them); None without usable quotes."""
    ladders = quotes(store, market, look_ahead=look_ahead)
    curves = depth_curves(market, ladders)
    if all(curve is None for curve in curves):
        return None, False
    return impact_of(curves), all(ladder.assumed.all() for ladder in ladders)


def models(
    market: Market, scenario: Scenario, n_paths: int, seed: int, policy: str, quoted: Impact | None, *, assumed: bool
) -> Iterator[tuple[str, str, str, bool, Result]]:
    """(name, group, description, False, result) of each; on the first of the run's paths, with its law.

    quoted: impact of sales, None leaves out the models of depth. assumed: nobody quoted it.
    """
    n = min(n_paths, MOST_PATHS)
    limits = Liquidators(feedback=0.0)
    if quoted is not None and policy != "first_passage":
        depth = "assumed" if assumed else "quoted"
        for name, share in ((f"{depth} depth", 1.0), ("half of it", 0.5)):
            thinner = replace(quoted, sold_usd=share * quoted.sold_usd)
            run = simulate(market, scenario, n, seed, policy=policy, impact=thinner, liquidators=limits)
            words = f"liquidators sell into {'half the ' if share < 1 else ''}{depth} depth and act where they earn"
            yield name, DEPTH, words, False, run
    lag = max(LATE, scenario.step)  # a lag counts in whole steps
    late = Feeds.alike(market.n_reserves, lag=lag.total_seconds())
    hours = lag / timedelta(hours=1)
    run = simulate(market, scenario, n, seed, policy=policy, feeds=late)
    yield f"oracle {hours:g} h late", ORACLE, f"every feed is read {hours:g} h after it answers", False, run
    who = Borrowers()
    run = simulate(market, scenario, n, seed, policy=policy, borrowers=who)
    after = who.delay / timedelta(hours=1)
    words = (
        f"{who.share:.0%} of the accounts repay to health factor {who.target:g} after {after:g} h below {who.zone:g}; "
        "share and time as fitted to another market, the health factors assumed"
    )
    yield "borrowers respond", BEHAVIOUR, words, False, run
