"""Options of the flow `chain-activity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from flows.arguments import block
from flows.options import Flag, Number, Options, Whole

Count = Annotated[int, Whole(), Flag(metavar="N", group="live")]
Seconds = Annotated[float, Number(0, 86_400, "seconds"), Flag(metavar="SECONDS", group="live")]


def end(value: Any) -> str:
    """A last block as text. Raises `flows.arguments.Unreadable`."""
    return str(block(value))


class ChainActivityOptions(Options):
    """Options of `chain-activity`."""

    start_block: Annotated[int, Whole()] | None = Field(
        None, description="first block; with --live the newest stored one, else the head, by default"
    )
    end_block: Annotated[str, BeforeValidator(end)] = Field(
        "finalized",
        description="last block: a number, finalized, safe or latest (default: finalized, which no "
        "reorganisation reaches)",
    )
    network: str = Field("mainnet", description="network by name, or its chain id")
    threads: Annotated[int, Whole(1, 256)] = Field(4, description="requests under way at once")
    blocks_per_request: Annotated[int, Whole(1, 10_000)] = Field(20, description="blocks asked for in one request")
    reread: bool = Field(False, description="read blocks again that are stored, and replace what differs")
    attempts: Annotated[int, Whole(1, 100)] = Field(5, description="tries when the node cannot be reached")
    parquet: Annotated[Path | None, Flag(metavar="FOLDER")] = Field(
        None, description="write Parquet files into this folder instead of the warehouse"
    )
    dataset: Literal["logs", "transfers"] = Field("logs", description="what --parquet writes")

    live: Annotated[bool, Flag(group="live")] = Field(
        False,
        description="follow the chain's head until Ctrl-C or SIGTERM, from the newest stored block on, or from "
        "--start-block",
    )
    confirmations: Count = Field(0, description="stay N blocks behind the head")
    max_reorg: Count = Field(1_000, description="stored blocks that a reorganisation may replace")
    most_missed: Count = Field(10_000, description="blocks that may have been missed since the last run")
    marts_every: Seconds = Field(
        10.0, description="bring hourly and address tables up to date this often; after a reorganisation at once"
    )
    poll: Seconds = Field(15.0, description="look for blocks this often when nothing is announced")
    patience: Seconds = Field(120.0, description="how long a node that contradicts itself is asked again")
    refresh_market: Annotated[bool, Flag(group="live")] = Field(
        False, description="read the market AAVE_MARKET again, incrementally, when blocks touched it"
    )
