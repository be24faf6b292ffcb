"""Options of the flow that computes the risk figures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.options import Number, Options, Whole

MOST_PATHS = 100_000_000
"""More would run for days; the error of a figure falls with the root of the paths."""
LAST_SEED = 2**64 - 1
# The same as in `risk_core.laws.from_returns` (a test checks): importing it would make --help wait for the compiler.
LawName = Literal[
    "normal", "t4", "t5", "two-speed-normal", "two-speed-t5", "two-speed-jumps", "bootstrap", "garch", "garch-t",
    "filtered-history",
]  # fmt: skip
DEFAULT: LawName = "two-speed-t5"


class Asked(Options):
    """Options of `risk-scenarios`."""

    excluding = (("force", "skip_if_stored"), ("block", "every"))

    market: str | None = Field(None, description="market to simulate (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")
    every: Literal["day"] | None = Field(
        None, description="the first stored snapshot of each UTC day that has no run with these options yet"
    )
    allow_look_ahead: bool = Field(
        False,
        description="use prices later than the block where too few are before it; the run is marked as no forecast",
    )
    paths: Annotated[int, Whole(1, MOST_PATHS)] = Field(10_000, description="simulated paths")
    seed: Annotated[int, Whole(0, LAST_SEED)] = Field(7, description="seed of the random numbers")
    steps: Annotated[int, Whole(1, 1_000_000)] = Field(24, description="steps of a path")
    horizon_hours: Annotated[float, Number(0, 24 * 365, "hours", open=True)] = Field(
        24.0, description="length of a path"
    )
    policy: Literal["largest_legs", "most_profitable"] = Field(
        "largest_legs", description="which legs liquidators choose"
    )
    law: LawName = Field(DEFAULT, description="law of the price moves; `backtest` shows how good each was")
    force: bool = Field(False, description="compute even if the same figures are stored")
    skip_if_stored: bool = Field(False, description="do not compute stored figures again (the default)")
