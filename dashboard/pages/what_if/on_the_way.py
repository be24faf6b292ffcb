"""What is repaid on the way to the prices of a what-if, where the exact answer gets there in one jump."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.governance import under
from dashboard.market.loaded import LoadedMarket
from dashboard.market.state import WhatIf
from dashboard.pages.what_if.world import world

Array = NDArray[np.float64]

PATHS = 2_000


def on_the_way(loaded: LoadedMarket, scenario: rc.Scenario, state: WhatIf, seed: int) -> rc.Result | None:
    """The market on paths from today's prices to those of the what-if, at the horizon; None where there are none.

    There are none for laws without a closed form of such paths, and where factors always move together. Limits of
    liquidators, late oracles and borrowers who respond are left out.
    """
    try:
        market, paths = paths_to(loaded, scenario, state, seed)
    except rc.InputError:
        return None
    return rc.simulate(market, paths, threads=1)


def paths_to(loaded: LoadedMarket, scenario: rc.Scenario, state: WhatIf, seed: int) -> tuple[rc.Market, rc.PricePaths]:
    """(the market before the move, paths to the prices of its feeds). Raises `InputError` where there are none.

    Factors go there by the law; what a reserve moves beside its factor, such as a staked token's ratio or a peg, comes
    in a straight line of its log price.
    """
    market = under(loaded, state.terms).market
    there = world(loaded, scenario, state).scenario
    level = np.log1p(loaded.assets.moves(state.moves))
    own, ends = level.copy(), {}
    for k, name in enumerate(there.factors):
        follows = there.factor == k
        if follows.any() and there.volatility[k] > 0:
            common = np.median(level[follows])
            own[follows] -= common
            ends[name] = float(np.expm1(common))
    paths = rc.bridge(market, there, ends, PATHS, seed)
    if not own.any():
        return market, paths
    along = np.exp(own[:, None] * np.linspace(0.0, 1.0, paths.n_steps + 1))
    return market, replace(paths, price=paths.price * along)
