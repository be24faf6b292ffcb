"""Options of the flow that reads an Aave market."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import AnyBlock, Attempts, Flag, Number, Options, Whole

FAST = "the fast verified path"
Share = Annotated[float, Number(0, 1, "a share"), Flag(metavar="SHARE", group=FAST)]


class Asked(Options):
    """Options of `aave-market`."""

    excluding = tuple(
        ("borrowers", other) for other in ("candidates", "full", "full_every", "max_missing", "scan_when_short",
                                           "max_disagreement", "spot_check", "max_lag")
    )  # fmt: skip

    market: str | None = Field(None, description="name in the Aave address book (default: AAVE_MARKET)")
    block: AnyBlock = Field(
        "latest", description="latest, safe, finalized, or a number (default: latest); an old one needs an archive node"
    )
    from_block: Annotated[int, Whole()] | None = Field(
        None, description="where the scan of the log begins (default: the market's first block)"
    )
    full: Annotated[
        bool,
        Flag(
            off=(
                "--incremental",
                "read again only accounts that events have touched, if a snapshot can be carried forward (the default)",
            )
        ),
    ] = Field(False, description="read every account, and compare with what carrying forward gives")
    full_every: Annotated[float, Number(0, 1e9, "hours"), Flag(metavar="HOURS")] = Field(
        24.0, description="read every account when the last such run is this old, by the blocks' times"
    )
    attempts: Attempts = 5

    borrowers: Annotated[bool, Flag(group=FAST)] = Field(
        False,
        description="read accounts with debt only: the pool's Borrow events name each of them, and their debts "
        "must sum to every debt token's supply; nobody else can be liquidated",
    )
    candidates: Annotated[str | None, Flag(metavar="subgraph|FILE", group=FAST)] = Field(
        None,
        description="who the accounts are: the market's official subgraph, or a file with one address a line; "
        "every figure is then read from the chain",
    )
    estimate: Annotated[bool, Flag(names=("--estimate", "--dry-run"), group=FAST)] = Field(
        False, description="print how many requests this needs and how long they take, then stop"
    )
    max_missing: Share = Field(
        0.001, description="share of a token's scaled supply that may be held by accounts that are not named"
    )
    scan_when_short: Annotated[bool, Flag(group=FAST)] = Field(
        False, description="scan the whole log when more than that is missing, instead of refusing"
    )
    max_disagreement: Share = Field(0.01, description="share of rows in which the subgraph may differ from the chain")
    spot_check: Annotated[int, Whole(0, 100_000), Flag(metavar="N", group=FAST)] = Field(
        0, description="compare parameters and N health factors with Aave's API (default: none)"
    )
    max_lag: Annotated[int, Whole(0), Flag(metavar="BLOCKS", group=FAST)] = Field(
        100, description="blocks that the subgraph may be behind the node"
    )
