"""Where the prices of a run come from, and from which step on each reserve takes part."""

from __future__ import annotations

import numpy as np

from risk_core.checks import IntArray
from risk_core.errors import InputError
from risk_core.feeds import Feeds
from risk_core.oracles import oracle_rows
from risk_core.plan import NEVER_OPEN
from risk_core.price_models import PricePaths, Scenario
from risk_core.types import Market


def opening_steps(market: Market, scenario: Scenario | PricePaths) -> IntArray:
    """(R,) first step (0 is the end of the first) at which a reserve may take part in a liquidation.

    Paused and inactive reserves never; a reserve in its grace period once the period has passed.
    """
    reserves = market.reserves
    step = scenario.step.total_seconds()
    wait_for = reserves.grace_until - market.snapshot.block_time
    # the end of step k is at (k + 1) * step, and the grace period bars up to and including its last second
    first = np.maximum(np.floor(wait_for / step).astype(np.int64), 0)
    return np.where(reserves.active & ~reserves.paused, np.where(wait_for >= 0, first, 0), NEVER_OPEN)


class Draws:
    """Where relative prices come from (given paths, or the parameters of one random step), and how oracles change them.

    factor: (R,) row of each reserve's oracle price among `n_rows` rows and the constant.
    """

    def __init__(self, market: Market, scenario: Scenario | PricePaths, feeds: Feeds | None = None) -> None:
        own = np.arange(market.n_reserves)
        factor, n_factors = (
            (own, market.n_reserves) if isinstance(scenario, PricePaths) else (scenario.factor, len(scenario.factors))
        )
        if len(factor) != market.n_reserves:
            raise InputError(
                f"Scenario.factor: expected {market.n_reserves} entries, one for each reserve, found {len(factor)}"
            )
        self.n_factors: int = n_factors
        if feeds is not None and len(feeds.deviation) != market.n_reserves:
            raise InputError(
                f"Feeds.deviation: expected {market.n_reserves} entries, one for each reserve, found "
                f"{len(feeds.deviation)}"
            )
        times = None if feeds is None else feeds.times(scenario.step)
        self.oracle = oracle_rows(market.reserves.oracle, market.price, factor, self.n_factors, times)
        self.factor, self.n_rows = self.oracle.row, self.oracle.n_rows
        draw = scenario.draw(market) if isinstance(scenario, PricePaths) else scenario.draw()
        rows = self.oracle
        self.kernel = draw._replace(
            own=rows.own, base=rows.base, feed=rows.feed, plain=rows.plain, most=rows.most, follows=rows.follows,
            deviation=rows.deviation, heartbeat=rows.heartbeat, age=rows.age, lag=rows.lag,
        )  # fmt: skip

    def highest(self) -> np.ndarray:
        """(..., R) relative prices that are surely reached: the highest of given paths, the start of random ones.

        Caps are left out: they only lower prices, and this is used as an upper bound.
        """
        given = self.kernel.given
        reached = given.max(axis=2) if len(given) else self.kernel.start
        return np.append(reached, np.ones((*reached.shape[:-1], 1)), axis=-1)[..., self.oracle.market_row]
