"""Options of the flow `brief`."""

from __future__ import annotations

from pydantic import Field

from flows.options import Options


class BriefOptions(Options):
    """Options of `brief`."""

    market: str | None = Field(None, description="market to write of (default: the newest snapshot's)")
