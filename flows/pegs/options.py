"""Options of the flow `peg-health`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import Number, Options, Whole

# The same as in `risk_core.analytics.pegs` (a test checks): importing it would make --help wait for the engine.
WARNING_BPS, CRITICAL_BPS, LEAST_UPDATES = 50.0, 200.0, 12


class PegHealthOptions(Options):
    """Options of `peg-health`."""

    days: Annotated[int, Whole(1, 3_650)] = Field(30, description="days before the newest price to keep")
    warning_bps: Annotated[float, Number(0.1, 10_000, "basis points")] = Field(
        WARNING_BPS, description="distance that warns"
    )
    critical_bps: Annotated[float, Number(0.1, 10_000, "basis points")] = Field(
        CRITICAL_BPS, description="distance that is critical, twice in a row or by two sources"
    )
    least_updates: Annotated[int, Whole(2, 10_000)] = Field(
        LEAST_UPDATES, description="updates in 24 hours for a z-score"
    )
