"""Options of the flow `lending-events`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.options import AnyBlock, Attempts, Flag, Options, Whole


class LendingEventsOptions(Options):
    """Options of `lending-events`."""

    markets: Annotated[list[str] | None, Flag(metavar="MARKET")] = Field(
        None,
        description="names such as AaveV3Ethereum, AaveV2Ethereum, CompoundV2Ethereum, CompoundV3EthereumUSDC, "
        "or PROTOCOL:0xADDRESS, or all (of the node's chain) (default: the market that is configured)",
    )
    route: Literal["logs", "messari", "vendor"] = Field(
        "logs", description="a node's logs, a Messari subgraph, or an outside vendor's connector"
    )
    block: AnyBlock = Field("latest", description="read up to this block: latest, safe, finalized, or a number")
    from_block: Annotated[int, Whole()] | None = Field(None, description="first block (default: the market's first)")
    oracle_prices: bool = Field(
        False,
        description="ask the market's oracle for its price at the block of each event; old blocks need an archive node",
    )
    attempts: Attempts = 5
