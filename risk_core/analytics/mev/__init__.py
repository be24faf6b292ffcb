"""Who takes from whom in a block: sandwiches, back-runs, cyclic arbitrage, just-in-time liquidity, and a score.

No standard exists for such a score; the formula is our own, its parts are returned with it and its weights are an
argument. Everything is linear in the number of swaps and transactions.
"""

from __future__ import annotations

from risk_core.analytics.mev.arbitrage import arbitrages, back_runs
from risk_core.analytics.mev.liquidity import JustInTime, LiquidityChanges, just_in_time
from risk_core.analytics.mev.sandwiches import (
    MOST_CALLERS,
    MOST_GROUPS,
    MOST_VICTIMS,
    Sandwich,
    Sandwiches,
    sandwiches,
)
from risk_core.analytics.mev.scores import WEIGHTS, Scores, gas_outliers, priority, scores
from risk_core.analytics.mev.swaps import ABSENT, Swaps

__all__ = [
    "ABSENT",
    "MOST_CALLERS",
    "MOST_GROUPS",
    "MOST_VICTIMS",
    "WEIGHTS",
    "JustInTime",
    "LiquidityChanges",
    "Sandwich",
    "Sandwiches",
    "Scores",
    "Swaps",
    "arbitrages",
    "back_runs",
    "gas_outliers",
    "just_in_time",
    "priority",
    "sandwiches",
    "scores",
]
