"""Depth, late oracles and borrowers' behaviour: what the figure of a run is with one of them, and the quotes behind it.

How borrowers behave is fitted to the market where `borrower-response` has stored a fit. All else is stated or assumed,
and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from data.quotes import AGE, ALWAYS, depth_curves, quotes_of
from flows.risk.report import amount
from risk_core import Borrowers, Feeds, Impact, Liquidators, measures, simulate
from risk_core.analytics.slippage import impact_of

if TYPE_CHECKING:
    from data.borrowers import StoredResponse
    from data.quotes import Ladder
    from data.store import Reader
    from risk_core import Market, Result, Scenario

MOST_PATHS = 5_000
"""Paths of each of these models, at most: one takes up to twenty times as long as the plain run."""
DEPTH, ORACLE, BEHAVIOUR = "Depth", "Oracle", "Behaviour"
"""Groups of models."""
LATE = timedelta(hours=1)
SEEDS = (0, 1, 2)
"""Draws of which accounts respond; the figure is that of the first, the others show how much it depends on the draw."""


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
    market: Market, scenario: Scenario, n_paths: int, seed: int, policy: str, quoted: Impact | None, *, assumed: bool,
    response: StoredResponse | None = None,
) -> Iterator[tuple[str, str, str, bool, Result]]:  # fmt: skip
    """(name, group, description, False, result) of each; on the first of the run's paths, with its law.

    quoted: impact of sales, None leaves out the models of depth. assumed: nobody quoted it. response: how borrowers of
    this market were seen to respond; None takes the defaults of `Borrowers`.
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
    yield from _behaviour(market, scenario, n, seed, policy, response)


def _behaviour(
    market: Market, scenario: Scenario, n: int, seed: int, policy: str, response: StoredResponse | None
) -> Iterator[tuple[str, str, str, bool, Result]]:
    """Borrowers who respond, by the stored fit with both ends of its share, else by the defaults."""

    def run(who: Borrowers) -> Result:
        return simulate(market, scenario, n, seed, policy=policy, borrowers=who)

    def of(draw: int) -> Borrowers:
        return Borrowers(seed=draw) if response is None else response.borrowers(seed=draw)

    drawn = [run(of(draw)) for draw in SEEDS]
    figures = [measures.lar(result, 0.99).value for result in drawn]
    who = of(SEEDS[0])
    after = who.delay / timedelta(hours=1)
    if response is None:
        origin = "share and time as fitted to another market, the health factors assumed"
    else:
        later = ", some later than the block" if response.last_ts > market.snapshot.block_time else ""
        origin = f"fitted to this market, {response.n_spells:,} spells{later}, the zone assumed"
    words = (
        f"{who.share:.0%} of the accounts repay to health factor {who.target:.4g} after {after:.3g} h below "
        f"{who.zone:g}; {origin}; {len(SEEDS)} draws of which accounts do: {amount(min(figures), 'USD')} to "
        f"{amount(max(figures), 'USD')}"
    )
    yield "borrowers respond", BEHAVIOUR, words, False, drawn[0]
    if response is not None:
        for name, share in (("fewer respond", response.share_low), ("more respond", response.share_high)):
            end = "lower" if share == response.share_low else "upper"
            words = f"{share:.0%} of the accounts instead, the {end} end of the share's 95 % interval"
            yield name, BEHAVIOUR, words, False, run(response.borrowers(share=share))
