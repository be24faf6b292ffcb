"""What a page needs from the warehouse, loaded once for each snapshot and never changed afterwards.

A `LoadedMarket` is the market with all that is computed from it alone; a `ShownRun` is one stored risk run. Both are
immutable, so that all readers of the workbench can share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.drivers import AssetMap
from dashboard.market.state import WhatIf
from risk_core.accounts import totals

Array = NDArray[np.float64]


ETH_FALLS = np.arange(0, 31) * 0.02
"""Falls of ETH at which the curve is computed: 0 to 60 %."""
ETH_FALLS.setflags(write=False)


def repaid_as_eth_falls(market: rc.Market, assets: AssetMap, state: WhatIf) -> Array:
    """(S,) USD of debt that liquidators repay at each of `ETH_FALLS`, with the state's other price moves."""
    moves = [assets.moves(state.but(eth=-fall).moves) for fall in ETH_FALLS.tolist()]
    return np.array([rc.what_if(market, move).repaid_usd for move in moves])


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A figure with its error. `low` to `high` is the 95 % interval; `few_draws`: the error is not reliable.

    no_interval: why there is no interval, in words; empty where there is one.
    """

    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None
    n_positive: int | None = None
    few_draws: bool = False
    no_interval: str = ""

    @classmethod
    def of(cls, estimate: Any) -> ShownFigure:
        """From the engine's own estimate."""
        if estimate.no_interval:
            return cls(
                float(estimate.value),
                n_positive=int(estimate.n_positive),
                few_draws=bool(estimate.few_draws),
                no_interval=estimate.no_interval,
            )
        return cls(
            float(estimate.value),
            float(estimate.low),
            float(estimate.high),
            float(estimate.se),
            int(estimate.n_positive),
            bool(estimate.few_draws),
        )

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval; nan when it is not known."""
        if self.low is None or self.high is None:
            return float("nan") if self.se is None else 1.96 * self.se
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True, eq=False)
class ShownRun:
    """One stored risk run: how it was made, and its figures."""

    market: str
    block: int
    block_time: int
    scenario_id: str
    scenario: rc.Scenario
    seed: int
    n_paths: int
    horizon_hours: float
    policy: str
    code_version: str
    created_at: int
    synthetic: bool
    estimates: Mapping[tuple[str, float], ShownFigure]
    looks_ahead: bool = False
    """Whether prices later than the block went into it: no forecast."""
    law: str = ""
    """Which law of price moves made the figures, in words; empty for a run that did not store it."""
    stressed_usd: float | None = None
    """LaR 99 % with `stressed_words`; None where none was stored."""
    stressed_words: str = ""
    fan: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """`hours` (T + 1,), `levels`, and `usd` (T + 1, len(levels)): cumulative debt repaid; empty when not stored."""
    histogram: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """`edges` (B + 1,) USD of debt repaid and `count` (B,) of paths; empty when not stored."""
    seized_by_reserve: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Mean USD seized per path."""
    curves: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What is stored of the tail, as it is stored: `dashboard.market.tail` reads it."""

    def estimate(self, measure: str, level: float = 0.0) -> ShownFigure:
        """A stored figure. Raises `KeyError` that names what is stored."""
        key = (measure, round(level, 6))
        if key not in self.estimates:
            raise KeyError(f"the run holds no {measure} at level {level:g}; it holds {sorted(self.estimates)}")
        return self.estimates[key]

    def get(self, measure: str, level: float = 0.0) -> ShownFigure | None:
        """A stored figure, or None where the run does not hold it."""
        return self.estimates.get((measure, round(level, 6)))


@dataclass(frozen=True, slots=True, eq=False)
class LoadedMarket:
    """One snapshot, and what is computed from it alone. Arrays are (n_accounts,) unless said otherwise."""

    market: rc.Market
    assets: AssetMap
    health_factor: Array
    collateral_usd: Array
    debt_usd: Array
    today: rc.WhatIf
    """Without any shock: what is liquidatable now."""
    eth_curve: Array
    """(S,) debt repaid at each of `ETH_FALLS`, the other prices as in the snapshot."""
    daily_moves: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    """Driver to its observed daily moves, sorted ascending."""

    @property
    def history(self) -> str:
        """Which prices the daily moves come from, as text for a page."""
        return "sample prices" if self.market.snapshot.synthetic else "prices"

    @classmethod
    def build(cls, market: rc.Market, assets: AssetMap, daily_moves: Mapping[str, Array] | None = None) -> LoadedMarket:
        """Compute what every page needs of a market; this also compiles the engine's kernels."""
        collateral, debt = totals(market)
        return cls(
            market=market,
            assets=assets,
            health_factor=rc.health_factor(market),
            collateral_usd=collateral,
            debt_usd=debt,
            today=rc.what_if(market, np.zeros(market.n_reserves)),
            eth_curve=repaid_as_eth_falls(market, assets, WhatIf()),
            daily_moves=MappingProxyType(dict(daily_moves or {})),
        )
