"""Options of the flows that read an Aave market, now and at past blocks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from flows.arguments import Unreadable, number
from flows.options import AnyBlock, Attempts, Flag, Number, Options, Whole

Prices = Literal["logs", "oracle"]
"""Where the prices of a stored block are from: what the feeds logged, or what the oracle says at the block."""
FAST = "the fast verified path"
Share = Annotated[float, Number(0, 1, "a share"), Flag(metavar="SHARE", group=FAST)]


class AaveMarketOptions(Options):
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


def read_every(value: Any) -> str | int | None:
    """day, hour, or a number of blocks. Raises `Unreadable`."""
    if value is None or value in ("hour", "day"):
        return value
    try:
        found = number(value)
    except Unreadable:
        found = 0
    if not found:
        raise Unreadable(f"expected day, hour or a number of blocks from 1 on, found {value!r:.60}")
    return found


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int | str) and not isinstance(value, bool) else value


class AaveHistoryOptions(Options):
    """Options of `aave-history`."""

    excluding = (("at", "every"), ("every", "out"))

    market: str | None = Field(None, description="name in the Aave address book (default: AAVE_MARKET)")
    block: AnyBlock = Field(
        "latest",
        description="last block of the replay, where the result is compared with the node: "
        "latest, safe, finalized, or a number whose state the node still has (default: latest)",
    )
    at: Annotated[list[Annotated[int, Whole()]] | None, BeforeValidator(_listed), Flag(metavar="BLOCK")] = Field(
        None, description="block whose books are written; several with --store (default: the last)"
    )
    from_block: Annotated[int, Whole()] | None = Field(
        None, description="where the logs begin (default: the market's first block)"
    )
    out: Annotated[str | None, Flag(metavar="FILE")] = Field(None, description="JSON file for the books at that block")
    store: bool = Field(
        False, description="store the blocks of --at or --every in the warehouse, once the comparison has passed"
    )
    every: Annotated[
        str | int | None,
        BeforeValidator(read_every),
        WithJsonSchema({"anyOf": [{"type": "integer"}, {"enum": ["day", "hour"]}]}),
        Flag(metavar="day|hour|BLOCKS"),
    ] = Field(None, description="the first block of each UTC day or hour, or every multiple of so many blocks")
    prices: Prices = Field(
        "logs",
        description="prices of stored blocks: what the feeds logged (plain feeds only), or what the oracle says at "
        "each block, for which the node needs the state of that block",
    )
    anew: bool = Field(False, description="read all logs again, whatever an earlier run has kept")
    estimate: Annotated[bool, Flag(names=("--estimate", "--dry-run"))] = Field(
        False, description="print how many requests this needs and how long they take, then stop"
    )
    attempts: Attempts = 5

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.store and self.at is None and self.every is None:
            raise ValueError("--store: expected blocks in --at or --every, found neither")
        for name, given in (("--every", self.every is not None), ("--prices", self.prices != "logs")):
            if given and not self.store:
                raise ValueError(f"{name} is for --store, which is not given")
        if self.at is not None and len(self.at) != 1 and not (self.store and self.at and self.out is None):
            raise ValueError(f"--at: expected one block, or several with --store alone, found {len(self.at)}")
        return self
