"""The bodies of Binance's answers, checked and typed; no network here. Source: binance-spot-api-docs, rest-api.md.

A body that is not as documented is refused with the field, what was expected and what was found. Numbers stay text, as
received.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from flows.errors import ConfigurationError, MalformedAnswer

INTERVAL_SECONDS = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400,
    "6h": 21600, "8h": 28800, "12h": 43200, "1d": 86400,
}  # fmt: skip
COLUMNS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades",
    "taker_buy_base", "taker_buy_quote", "ignored",
)  # fmt: skip
"""The twelve elements of a kline, in their order."""


class Kline(NamedTuple):
    """One finished bar. Times are UTC milliseconds; prices and volumes are the strings received, unchecked.

    After a halt of the exchange bars may open off the grid (on 2018-02-09 at 09:28:14.789), last as long as others, and
    end early where bars return to the grid.
    """

    open_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time: int
    quote_volume: str
    trades: int
    taker_buy_base: str
    taker_buy_quote: str
    ignored: str
    payload_sha256: str
    """SHA-256 of the answer that held the bar, as received."""

    def next_open(self, step: int) -> int:
        """First millisecond at which the next bar may open: after a whole bar on the grid, the end of its `step` ms."""
        whole = self.open_time % step == 0 and self.close_time + 1 == self.open_time + step
        return self.open_time + (step if whole else 1)


class Tickers(NamedTuple):
    """Last traded `prices` by symbol, as received; `at` is the source's time in UTC seconds."""

    prices: dict[str, str]
    at: int
    payload_sha256: str


class SymbolInfo(NamedTuple):
    """One symbol of exchangeInfo. `status` is TRADING for one that trades; `document` is its JSON, keys sorted."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    document: str
    payload_sha256: str


def milliseconds(interval: str) -> int:
    """Length of a bar in milliseconds. Raises `ConfigurationError`."""
    if interval not in INTERVAL_SECONDS:
        raise ConfigurationError(f"interval: expected one of {', '.join(INTERVAL_SECONDS)}, found {interval!r}")
    return INTERVAL_SECONDS[interval] * 1000


def klines(source: object, symbol: str, body: Any, digest: str) -> list[Kline]:
    """The bars of one answer, in the order received."""
    if not isinstance(body, list):
        raise MalformedAnswer(f"{source}: klines of {symbol} are not a list: {body!r:.120}. Nothing was written")
    return [_kline(source, symbol, number, row, digest) for number, row in enumerate(body)]


def _kline(source: object, symbol: str, number: int, row: Any, digest: str) -> Kline:
    def refuse(why: str) -> MalformedAnswer:
        return MalformedAnswer(f"{source}: kline {number} of {symbol} {why}: {row!r:.160}. Nothing was written")

    if not isinstance(row, list) or len(row) != len(COLUMNS):
        raise refuse(f"is not an array of {len(COLUMNS)} elements")
    bar = Kline(*row, digest)
    for name in ("open_time", "close_time", "trades"):
        if not isinstance(getattr(bar, name), int) or isinstance(getattr(bar, name), bool):
            raise refuse(f"has a {name} that is not an integer")
    # 1e14 ms is the year 5138; the bulk files switched to microseconds, this interface sends them only on request.
    if not 0 < bar.open_time < 10**14:
        raise refuse("has an open_time that is not a whole second in UTC milliseconds")
    if bar.close_time <= bar.open_time:
        raise refuse("closes before it opens")
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base", "taker_buy_quote"):
        if not isinstance(getattr(bar, name), str):
            raise refuse(f"has a {name} that is not a string")
    return bar


def check_order(source: object, symbol: str, interval: str, opens: Sequence[int], allow_gaps: bool) -> None:
    """Check that opening times (UTC ms) are on the grid of the bars and follow each other by one bar.

    `allow_gaps` allows missing bars and bars off the grid: an exchange that halts produces both. The order is always
    checked. Raises `MalformedAnswer` with the cause.
    """
    step = milliseconds(interval)
    refused = f"{source}: {interval} klines of {symbol}"
    for before, after in pairwise(opens):
        if after == before:
            raise MalformedAnswer(f"{refused} repeat the bar of {utc(after)}. Nothing was written; run again")
        if after < before:
            raise MalformedAnswer(
                f"{refused} are out of order: {utc(after)} follows {utc(before)}. Nothing was written; run again"
            )
    if allow_gaps:
        return
    advice = "Nothing was written; choose another window, or --allow-gaps"
    for number, after in enumerate(opens):
        before = opens[number - 1] if number else None
        if off := after % step:
            apart = f" have bars {(after - before) / 1000:,.0f} s apart:" if before is not None else ""
            whole = "" if after % 1000 == 0 else ", not a whole second"
            raise MalformedAnswer(
                f"{refused}{apart} the bar of {utc(after)} opens {off / 1000:,.10g} s after a full bar (open_time "
                f"{after}{whole}), as after a halt of the exchange. {advice} to take such bars as they are"
            )
        if before is not None and after - before != step:
            raise MalformedAnswer(
                f"{refused} have a gap of {(after - before) // step - 1} bars between {utc(before)} and {utc(after)}. "
                f"{advice} if the pair was really halted then"
            )


def tickers(source: object, symbols: Sequence[str], body: Any) -> dict[str, str]:
    """Last price of each of `symbols` in a ticker/price answer."""
    try:
        prices = {str(row["symbol"]): row["price"] for row in body}
    except (TypeError, KeyError) as exc:
        raise MalformedAnswer(f"{source}: ticker/price is not a list of symbol and price: {body!r:.120}") from exc
    for symbol in symbols:
        if not _is_positive(prices.get(symbol)):
            raise MalformedAnswer(
                f"{source}: ticker/price of {symbol} is {prices.get(symbol)!r}, not a positive number as text"
            )
    return {symbol: prices[symbol] for symbol in symbols}


def symbols_of(source: object, body: Any, digest: str) -> list[SymbolInfo]:
    """The symbols of an exchangeInfo answer."""
    rows = _field(source, "exchangeInfo", body, "symbols", list)
    found = []
    for number, row in enumerate(rows):
        where = f"exchangeInfo.symbols[{number}]"
        names = [_field(source, where, row, name, str) for name in ("symbol", "status", "baseAsset", "quoteAsset")]
        found.append(SymbolInfo(*names, json.dumps(row, sort_keys=True, separators=(",", ":")), digest))
    return found


def weight_limit(source: object, body: Any) -> int | None:
    """Request weight allowed in a minute, by an exchangeInfo answer; None where it states none."""
    for number, row in enumerate(_field(source, "exchangeInfo", body, "rateLimits", list)):
        where = f"exchangeInfo.rateLimits[{number}]"
        kind, interval = (_field(source, where, row, name, str) for name in ("rateLimitType", "interval"))
        if (kind, interval, _field(source, where, row, "intervalNum", int)) == ("REQUEST_WEIGHT", "MINUTE", 1):
            return _field(source, where, row, "limit", int)
    return None


def _field(source: object, where: str, body: Any, name: str, kind: type) -> Any:
    if not isinstance(body, Mapping):
        raise MalformedAnswer(f"{source}: {where}: expected an object, found {body!r:.80}. Nothing was written")
    if name not in body:
        known = ", ".join(map(str, list(body)[:12])) or "no field"
        raise MalformedAnswer(f"{source}: {where}.{name}: expected {kind.__name__}, found only {known}")
    if not isinstance(body[name], kind) or isinstance(body[name], bool):
        raise MalformedAnswer(f"{source}: {where}.{name}: expected {kind.__name__}, found {body[name]!r:.80}")
    return body[name]


def _is_positive(text: Any) -> bool:
    try:
        return isinstance(text, str) and math.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False


def utc(milliseconds: int) -> str:
    """A time, given in UTC milliseconds, as text for messages."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(milliseconds // 1000))
