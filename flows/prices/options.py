"""Options of the flow `market-prices`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from flows.arguments import Unreadable
from flows.options import Every, Flag, Moment, Options, Whole

DAYS = 365
"""Length of the window without --from and --days: the memory of a two-speed volatility."""


def symbol(value: Any) -> str:
    """A Binance pair in capitals. Raises `Unreadable`."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z0-9]{2,20}", value.upper()):
        raise Unreadable(f"expected a Binance pair such as ETHUSDT, found {value!r:.60}")
    return value.upper()


def coin(value: Any) -> tuple[str, str]:
    """A pair, and DefiLlama's name of its coin. Raises `Unreadable`."""
    pair, _, called = "=".join(value).partition("=") if isinstance(value, list | tuple) else str(value).partition("=")
    if not re.fullmatch(r"[a-z0-9_-]+:[A-Za-z0-9_.-]+", called):
        raise Unreadable(f"expected a pair and a coin such as ETHUSDT=coingecko:ethereum, found {value!r:.60}")
    return symbol(pair), called


Symbol = Annotated[str, BeforeValidator(symbol)]
Coin = Annotated[tuple[str, str], BeforeValidator(coin), WithJsonSchema({"type": "string"})]


class MarketPricesOptions(Options):
    """Options of `market-prices`. `since` is `--from` on the command line."""

    excluding = (("days", "since"),)

    days: Annotated[int, Whole(1, 36_500)] | None = Field(None, description=f"length of the window (default: {DAYS})")
    since: Annotated[Moment | None, Flag(names=("--from",), metavar="DATE")] = Field(
        None, description="start of the window, UTC, such as 2021-01-01"
    )
    until: Annotated[Moment | None, Flag(metavar="DATE")] = Field(
        None, description="end of the window, UTC (default: now)"
    )
    # Of `flows.prices.binance.INTERVAL_SECONDS` (a test checks), whose import would make --help wait for requests.
    interval: list[Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]] = Field(["1h"], description="lengths of a bar")
    symbols: Annotated[list[Symbol] | None, Flag(metavar="SYMBOL")] = Field(
        None,
        description="Binance pairs such as ETHUSDT (default: the series that the newest snapshot's reserves follow)",
    )
    sources: list[Literal["binance", "defillama"]] = Field(
        ["binance"], description="sources to collect prices from; Binance's are always read, and served"
    )
    coins: Annotated[list[Coin], Flag(metavar="SYMBOL=COIN")] = Field(
        [], description="DefiLlama's coin of a series, such as ETHUSDT=coingecko:ethereum"
    )
    market: str | None = Field(None, description="market whose reserves are meant (default: the newest snapshot's)")
    allow_gaps: bool = Field(False, description="allow holes and bars off the grid (after a halt)")
    again: bool = Field(False, description="read bars again that are stored already")
    latest: bool = Field(False, description="store the last traded price of each series too")
    exchange_info: bool = Field(False, description="store what Binance says of each pair too")
    every: Every = None
