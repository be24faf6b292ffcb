"""Options of the flow `sale-quotes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from flows.options import Flag, Options

HEADER = "sold, bought (symbol or address of a reserve), size_usd, received_usd, quoted_at (seconds UTC), source"


class SaleQuotesOptions(Options):
    """Options of `sale-quotes`."""

    file: Annotated[Path | None, Flag(metavar="FILE")] = Field(
        None, description=f"Parquet or CSV with {HEADER}; and kind (quote or assumed), if not all are quotes"
    )
