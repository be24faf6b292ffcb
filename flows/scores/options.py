"""Options of the flow `protocol-scores`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from flows.arguments import Unreadable, real
from flows.options import Flag, Options, Whole


def pair(value: Any) -> str:
    """The text NAME=NUMBER with its number checked, at least 0. Raises `Unreadable`."""
    name, found, number = value.partition("=") if isinstance(value, str) else ("", "", "")
    if not name.strip() or not found or real(number) < 0:
        raise Unreadable(f"expected NAME=NUMBER such as WETH=25000000, found {value!r:.60}")
    return f"{name.strip()}={real(number)!r}"


Pairs = Annotated[list[Annotated[str, BeforeValidator(pair)]], Flag(metavar="NAME=NUMBER")]


class ProtocolScoresOptions(Options):
    """Options of `protocol-scores`."""

    market: str | None = Field(None, description="market to score (default: the newest snapshot's)")
    paths: Annotated[int, Whole(1_000, 100_000_000)] = Field(100_000, description="simulated paths of each assumption")
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(7, description="seed of the random numbers")
    weights: Pairs = Field([], description="weights of parts, the others keep theirs; all of them sum to 1")
    depth: Pairs = Field(
        [],
        description="USD of a collateral that can be sold within its bonus, by symbol (default: by stored quotes)",
    )
    cover: Pairs = Field(
        [], description="tokens that cover bad debt of a reserve, by symbol (default: what umbrella-cover stored)"
    )
    slug: str | None = Field(None, description="the protocol as DefiLlama calls it (default: aave-v3, else aave)")
    skip_if_stored: bool = Field(False, description="do nothing where the same question was answered already")
