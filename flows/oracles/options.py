"""Options of the flow `oracle-prices`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from flows.arguments import Unreadable, number
from flows.options import AnyBlock, Attempts, Every, Flag, Options

DEFAULT_ROUNDS = 500


def read_rounds(value: Any) -> int | None:
    """A number of rounds, None for all. Raises `Unreadable`."""
    if value is None or value == "all":
        return None
    try:
        return number(value)
    except Unreadable:
        raise Unreadable(f"expected a whole number or all, found {value!r:.60}") from None


class OraclePricesOptions(Options):
    """Options of `oracle-prices`."""

    feeds: Annotated[list[str] | None, Flag(metavar="FEED")] = Field(
        None,
        description="pairs such as ETH/USD, addresses of proxies, or all (default: the market's own feeds, and "
        "those of the built-in list whose heartbeat is known)",
    )
    rounds: Annotated[
        int | None, BeforeValidator(read_rounds), WithJsonSchema({"anyOf": [{"type": "integer"}, {"const": "all"}]})
    ] = Field(DEFAULT_ROUNDS, description="newest rounds of each feed to have, or all; across phases")
    block: AnyBlock = Field(
        "latest", description="latest, safe, finalized, or a number (default: latest); an old one needs an archive node"
    )
    market: str | None = Field(None, description="market whose sources are read (default: AAVE_MARKET)")
    no_market: bool = Field(False, description="feeds only, no Aave market")
    attempts: Attempts = 5
    every: Every = None
