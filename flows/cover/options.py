"""Options of the flow `umbrella-cover`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import AnyBlock, Attempts, Flag, Options


class UmbrellaCoverOptions(Options):
    """Options of `umbrella-cover`."""

    market: str | None = Field(None, description="market whose cover is read (default: AAVE_MARKET); it must be stored")
    block: AnyBlock = Field("latest", description="latest, safe, finalized, or a number; an old one needs an archive")
    umbrella: Annotated[str | None, Flag(metavar="ADDRESS")] = Field(
        None, description="address of Umbrella (default: the known one of the market)"
    )
    attempts: Attempts = 5
