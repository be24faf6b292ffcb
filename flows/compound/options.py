"""Options of the flow `compound-market`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import AnyBlock, Attempts, Flag, Options, Whole


class CompoundMarketOptions(Options):
    """Options of `compound-market`."""

    markets: Annotated[list[str] | None, Flag(metavar="MARKET")] = Field(
        None,
        description="names such as CompoundV2Ethereum and CompoundV3EthereumUSDC, or compound_v3:0xCOMET, "
        "compound_v2:0xCOMPTROLLER (default: all of the node's chain)",
    )
    block: AnyBlock = Field(
        "latest", description="latest, safe, finalized, or a number (default: latest); an old one needs an archive node"
    )
    from_block: Annotated[int, Whole()] | None = Field(
        None, description="where the scan of the log begins (default: the contract's first block)"
    )
    attempts: Attempts = 5
