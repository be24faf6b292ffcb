"""Options of the flow `liquidation-clusters`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import Options, Whole


class LiquidationClustersOptions(Options):
    """Options of `liquidation-clusters`."""

    market: str | None = Field(None, description="market to fit (default: the newest snapshot's)")
    days: Annotated[int, Whole(7, 3_650)] = Field(90, description="days of liquidations before the newest")
    horizon_hours: Annotated[int, Whole(1, 24 * 30)] = Field(24, description="hours that are forecast")
    within_hours: Annotated[int, Whole(1, 24 * 30)] = Field(1, description="hours within which a cluster's events come")
    at_least: Annotated[int, Whole(2, 10_000)] = Field(8, description="liquidations that make a cluster")
    past_days: Annotated[int, Whole(0, 365)] = Field(30, description="days before the newest to compute as well")
    paths: Annotated[int, Whole(100, 10_000_000)] = Field(4_000, description="simulated paths of each forecast")
    engine_paths: Annotated[int, Whole(10, 1_000_000)] = Field(
        1_000, description="paths of the newest risk run on which the engine's liquidations are counted by step"
    )
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(7, description="seed of the random numbers")
    or_nothing: bool = Field(False, description="end without an error where the liquidations are too few to fit")
    skip_if_stored: bool = Field(False, description="do nothing where the newest liquidations are fitted already")
