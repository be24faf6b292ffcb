"""Binance spot market data without a key: klines and latest prices, as documented for `/api/v3`.

Weights: klines 2, ticker/price 2 for one symbol and 4 for several, of 6,000 a minute for each address; the
used weight comes back in `X-MBX-USED-WEIGHT-1M`. Source: binance-spot-api-docs, rest-api.md, errors.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

from flows import settings
from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused
from flows.sources.http_retry import HttpRefused, JsonAnswer, JsonSource

DEFAULT_URL = "https://data-api.binance.vision"
WEIGHT_LIMIT = 6000
WEIGHT_MARGIN = 0.8
"""Share of the limit at which we pause: other programs behind the same address use it too."""
PAGE = 1000
"""Most klines in one answer."""
INTERVAL_SECONDS = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400,
    "6h": 21600, "8h": 28800, "12h": 43200, "1d": 86400,
}  # fmt: skip
INVALID_SYMBOL = -1121
COLUMNS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades",
    "taker_buy_base", "taker_buy_quote", "ignored",
)  # fmt: skip
"""The twelve elements of a kline, in their order."""


class UnknownSymbol(SourceRefused):
    """Binance has no such trading pair (error -1121)."""


class Kline(NamedTuple):
    """One finished bar. Times are UTC milliseconds; prices and volumes are the strings received, unjudged."""

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
    """Of the answer that held the bar, as received."""


class Binance:
    """Reads one Binance host, inside its limits. `clock` gives UTC seconds; other arguments: see `JsonSource`."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        clock: Callable[[], float] = time.time,
        max_wait: float = 180.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = JsonSource("Binance", base_url, variable="BINANCE_URL", max_wait=max_wait, sleep=sleep)
        self._clock = clock

    @classmethod
    @contextmanager
    def from_environment(cls) -> Iterator[Binance]:
        """The host named by BINANCE_URL, else the public one; closed afterwards."""
        source = cls(settings.get("BINANCE_URL", DEFAULT_URL) or DEFAULT_URL)
        try:
            yield source
        finally:
            source.close()

    def close(self) -> None:
        self._http.close()

    def klines(self, symbol: str, interval: str, start: int, end: int, *, allow_gaps: bool = False) -> list[Kline]:
        """Finished bars of `symbol` that open in [start, end), oldest first.

        `start`, `end`: UTC seconds. A bar whose close time is not yet past is left out. The list begins later
        than `start` for a younger listing, and never has a hole: `MalformedAnswer` names the first gap,
        repetition or disorder, unless `allow_gaps` lets holes pass. Raises `UnknownSymbol`, `SourceUnavailable`.
        """
        step = _milliseconds(interval)
        wanted = range(start * 1000, end * 1000)
        now = int(self._clock() * 1000)
        bars: list[Kline] = []
        at = wanted.start
        while at < wanted.stop:
            page = self._page(symbol, interval, at, wanted.stop - 1)
            self._check_order(symbol, interval, step, bars[-1:] + page, allow_gaps)
            bars += page
            if not page or page[-1].open_time + step >= min(now, wanted.stop):
                break
            at = page[-1].open_time + step
        return [bar for bar in bars if bar.open_time in wanted and bar.close_time < now]

    def latest_prices(self, symbols: Sequence[str]) -> dict[str, str]:
        """Last traded price of each symbol, as received. Raises `UnknownSymbol` when one of them is unknown."""
        # One refused symbol fails the whole answer, so the message cannot say which; it names all that were asked.
        asked = json.dumps(list(symbols), separators=(",", ":"))
        body = self._get("/api/v3/ticker/price", {"symbols": asked}, ", ".join(symbols)).body
        try:
            prices = {str(row["symbol"]): str(row["price"]) for row in body}
        except (TypeError, KeyError) as exc:
            raise MalformedAnswer(
                f"{self._http}: ticker/price is not a list of symbol and price: {body!r:.120}"
            ) from exc
        for symbol in symbols:
            if not _is_positive(prices.get(symbol)):
                raise MalformedAnswer(
                    f"{self._http}: ticker/price of {symbol} is {prices.get(symbol)!r}, not a positive number"
                )
        return prices

    def _page(self, symbol: str, interval: str, start: int, last: int) -> list[Kline]:
        params = {"symbol": symbol, "interval": interval, "startTime": start, "endTime": last, "limit": PAGE}
        answer = self._get("/api/v3/klines", params, symbol)
        body, digest = answer.body, hashlib.sha256(answer.content).hexdigest()
        if not isinstance(body, list):
            raise MalformedAnswer(
                f"{self._http}: klines of {symbol} are not a list: {body!r:.120}. Nothing was written"
            )
        return [self._kline(symbol, number, row, digest) for number, row in enumerate(body)]

    def _kline(self, symbol: str, number: int, row: Any, digest: str) -> Kline:
        def refuse(why: str) -> MalformedAnswer:
            return MalformedAnswer(f"{self._http}: kline {number} of {symbol} {why}: {row!r:.160}. Nothing was written")

        if not isinstance(row, list) or len(row) != len(COLUMNS):
            raise refuse(f"is not an array of {len(COLUMNS)} elements")
        bar = Kline(*row, digest)
        for name in ("open_time", "close_time", "trades"):
            if not isinstance(getattr(bar, name), int) or isinstance(getattr(bar, name), bool):
                raise refuse(f"has a {name} that is not an integer")
        # 1e14 ms is the year 5138; the bulk files switched to microseconds, this interface sends them only on request.
        if not 0 < bar.open_time < 10**14 or bar.open_time % 1000:
            raise refuse("has an open_time that is not a whole second in UTC milliseconds")
        if bar.close_time <= bar.open_time:
            raise refuse("closes before it opens")
        for name in ("open", "high", "low", "close", "volume"):
            if not isinstance(getattr(bar, name), str):
                raise refuse(f"has a {name} that is not a string")
        return bar

    def _check_order(self, symbol: str, interval: str, step: int, bars: Sequence[Kline], allow_gaps: bool) -> None:
        for before, after in pairwise(bars):
            moved = after.open_time - before.open_time
            if moved == step or (allow_gaps and moved > step and moved % step == 0):
                continue
            where = f"{_utc(before.open_time)} and {_utc(after.open_time)}"
            if moved == 0:
                what = f"repeat the bar of {_utc(after.open_time)}"
            elif moved < 0:
                what = f"are out of order: {_utc(after.open_time)} follows {_utc(before.open_time)}"
            elif moved % step:
                what = f"have bars {moved / 1000:,.0f} s apart, between {where}"
            else:
                what = f"have a gap of {moved // step - 1} bars between {where}"
            advice = (
                "choose another window, or --allow-gaps if the pair was really halted then"
                if moved > step
                else "run again"
            )
            raise MalformedAnswer(f"{self._http}: {interval} klines of {symbol} {what}. Nothing was written; {advice}")

    def _get(self, path: str, params: dict[str, str | int], symbols: str) -> JsonAnswer:
        try:
            answer = self._http.get(path, params)
        except HttpRefused as exc:
            if isinstance(exc.body, dict) and exc.body.get("code") == INVALID_SYMBOL:
                raise UnknownSymbol(
                    f"{self._http} does not know {symbols} (error {INVALID_SYMBOL}). Nothing was written; "
                    "correct the price series of that reserve in dim_asset, or --symbols"
                ) from exc
            raise
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdigit() and int(used) >= WEIGHT_LIMIT * WEIGHT_MARGIN:
            to_next_minute = 60 - self._clock() % 60
            self._http.wait(to_next_minute, f"has counted {used} of {WEIGHT_LIMIT} request weight in this minute")
        return answer


def _milliseconds(interval: str) -> int:
    if interval not in INTERVAL_SECONDS:
        raise ConfigurationError(f"interval: expected one of {', '.join(INTERVAL_SECONDS)}, found {interval!r}")
    return INTERVAL_SECONDS[interval] * 1000


def _is_positive(text: Any) -> bool:
    try:
        return isinstance(text, str) and math.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False


def _utc(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(milliseconds // 1000))
