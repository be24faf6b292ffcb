"""What a what-if means to the engine: the shocked market, the scenario from there, and what limits liquidators."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.market.governance import under
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.state import WhatIf
from data.liquidations import most_in_a_day
from data.quotes import depth_curves
from risk_core.analytics.slippage import impact_of

Array = NDArray[np.float64]
Progress = Callable[[int, int], object]

LAG_STEP = timedelta(minutes=15)
"""Longest step of a simulation with late feeds: a lag counts in whole steps."""


@dataclass(frozen=True)
class Depth:
    """What limits liquidators, as stored. impact: of sales into the quoted depth, None without quotes.

    capital_usd: the most debt that stored liquidations repaid in 24 hours, None where none is stored.
    """

    impact: rc.Impact | None = None
    capital_usd: float | None = None
    assumed: bool = False
    """Nobody quoted any of it."""

    @cached_property
    def key(self) -> str:
        """Equal for equal limits."""
        parts = [repr(self.capital_usd).encode()]
        if self.impact is not None:
            parts += [self.impact.sold_usd.tobytes(), self.impact.price.tobytes()]
        return hashlib.sha256(b"|".join(parts)).hexdigest()[:16]


NO_DEPTH = Depth()


def depth_of(source: PageData, market: rc.Market) -> Depth:
    """The limits stored for a market. Raises `Unavailable` for a warehouse that cannot be read."""
    ladders = source.quotes(market)
    curves = depth_curves(market, ladders)
    try:
        repaid = source.repaid()
    except Unavailable:
        repaid = None
    capital = None
    if repaid is not None and len(repaid.ts):
        seen = repaid.ts <= market.snapshot.block_time
        capital = most_in_a_day(repaid.ts[seen], np.nan_to_num(repaid.usd[seen])) if seen.any() else None
    quoted = any(curve is not None for curve in curves)
    return Depth(
        impact=impact_of(curves) if quoted else None,
        capital_usd=capital,
        assumed=quoted and all(ladder.assumed.all() for ladder in ladders),
    )


class World(NamedTuple):
    """The arguments of `risk_core.simulate`."""

    market: rc.Market
    scenario: rc.Scenario
    impact: rc.Impact | None = None
    liquidators: rc.Liquidators | None = None
    feeds: rc.Feeds | None = None
    borrowers: rc.Borrowers | None = None

    def simulate(
        self, n_paths: int, seed: int, threads: int, start: int = 0, progress: Progress | None = None
    ) -> rc.Result:
        """The paths from `start` to `n_paths`."""
        return rc.simulate(
            self.market, self.scenario, n_paths=n_paths, seed=seed, threads=threads, paths=(start, n_paths),
            progress=progress, impact=self.impact, liquidators=self.liquidators, feeds=self.feeds,
            borrowers=self.borrowers,
        )  # fmt: skip


def world(loaded: LoadedMarket, scenario: rc.Scenario, state: WhatIf, depth: Depth = NO_DEPTH) -> World:
    """The market at the shocked prices under the changed parameters, the scenario from there, and the limits.

    Where an oracle's cap limits a shocked price, the feed is assumed to be at the cap.
    """
    market = under(loaded, state.terms).market
    market = replace(market, price=market.shocked(loaded.assets.moves(state.moves)))
    horizon, step = scenario.horizon, scenario.step
    if "hours" in state.changed:
        horizon = timedelta(hours=state.hours)
    if state.lag > 0:
        step = min(step, LAG_STEP)
    then = replace(
        scenario, name="what-if", volatility=scenario.volatility * state.vol,
        correlation=blended(scenario.correlation, state.corr), horizon=horizon, n_steps=max(round(horizon / step), 1),
    )  # fmt: skip
    feeds = rc.Feeds.alike(market.n_reserves, lag=60 * state.lag) if state.lag > 0 else None
    delay = timedelta(hours=state.warning)
    borrowers = rc.Borrowers(share=state.respond, delay=delay) if state.respond > 0 else None
    if not state.limited:
        return World(market, then, feeds=feeds, borrowers=borrowers)
    impact = None if depth.impact is None else replace(depth.impact, sold_usd=depth.impact.sold_usd * state.depth)
    capital = float("inf") if depth.capital_usd is None else depth.capital_usd * state.capital
    day = then.step * max(round(timedelta(days=1) / then.step), 1)  # whole steps, as the engine asks for
    limits = rc.Liquidators(feedback=0.0, capital_usd=capital, window=day)
    return World(market, then, impact, limits, feeds, borrowers)


def limits_words(state: WhatIf, depth: Depth) -> str:
    """The limits of a what-if in words: depth, capital, lag; empty without any."""
    words = []
    if state.limited:
        quotes = "assumed depth" if depth.assumed else "quoted depth"
        words.append("endless depth: no quotes stored" if depth.impact is None else f"{quotes} × {state.depth:g}")
        if depth.capital_usd is None:
            words.append("endless capital: no liquidation stored")
        else:
            words.append(f"at most {fmt.money(depth.capital_usd * state.capital)} repaid in 24 h")
    if state.lag > 0:
        words.append(f"oracle {state.lag:g} min late")
    if state.respond > 0:
        words.append(f"{100 * state.respond:.0f}\u202f% of borrowers respond after {state.warning:g} h")
    return ", ".join(words)


def blended(correlation: Array, weight: float) -> Array:
    """(F, F) from the identity (weight -1) by `correlation` (0) to ones (1); a mean of matrices, so it stays valid."""
    to = np.ones_like(correlation) if weight > 0 else np.eye(len(correlation))
    mixed = (1 - abs(weight)) * correlation + abs(weight) * to
    np.fill_diagonal(mixed, 1.0)
    return mixed
