"""Options of the flow `daily`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import Options, Whole
from flows.risk.options import LAST_SEED, MOST_PATHS


class DailyOptions(Options):
    """Options of `daily`."""

    paths: Annotated[int, Whole(1, MOST_PATHS)] = Field(10_000, description="simulated paths")
    seed: Annotated[int, Whole(0, LAST_SEED)] = Field(7, description="seed of the simulation")
