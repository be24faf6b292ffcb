"""Options of the flow `wallet-features`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import Number, Options, Whole


class WalletFeaturesOptions(Options):
    """Options of `wallet-features`."""

    strong_room: Annotated[float, Number(0, 1, "a fraction")] = Field(
        0.5, description="protection score: room before it falls from which a wallet is strong"
    )
    strong_acts: Annotated[int, Whole(1, 1_000)] = Field(5, description="the same: times it lowered its risk by itself")
    strong_recent: Annotated[int, Whole(1, 1_000)] = Field(10, description="the same: what it did in the last 7 days")
    medium_room: Annotated[float, Number(0, 1, "a fraction")] = Field(0.3, description="room of a medium wallet")
    lookback_days: Annotated[int, Whole(1, 10_000)] = Field(730, description="days that the score looks back")
    skip_if_stored: bool = Field(False, description="do nothing where neither states nor events changed since")
