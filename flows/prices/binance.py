"""Binance spot market data without a key: klines, latest prices and symbols, as documented for `/api/v3`.

Weights: klines 2, exchangeInfo 20, ticker/price 2 for one symbol and 4 for several, of 6,000 a minute for each
address; the used weight comes back in `X-MBX-USED-WEIGHT-1M`. Source: binance-spot-api-docs, rest-api.md, errors.md.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from flows import settings
from flows.clients.http_retry import HttpRefused, JsonAnswer, JsonSource
from flows.errors import SourceRefused
from flows.prices import binance_shapes as shapes
from flows.prices.binance_shapes import INTERVAL_SECONDS, Kline, SymbolInfo, Tickers

__all__ = ["INTERVAL_SECONDS", "Binance", "Kline", "SymbolInfo", "Tickers", "UnknownSymbol"]

DEFAULT_URL = "https://data-api.binance.vision"
WEIGHT_LIMIT = 6000
"""Weight allowed in a minute until exchangeInfo says otherwise."""
WEIGHT_MARGIN = 0.8
"""Share of the limit at which we pause: other programs at the same address may use it, too."""
WEIGHT_HEADERS = ("X-MBX-USED-WEIGHT-1M", "X-MBX-USED-WEIGHT")
PAGE = 1000
"""Most klines in one answer."""
INVALID_SYMBOL = -1121


class UnknownSymbol(SourceRefused):
    """Binance has no such trading pair (error -1121)."""


class Binance:
    """Reads one Binance host, inside its limits. `clock` gives UTC seconds; other arguments: see `JsonSource`.

    Pauses for the weight limit do not count towards `max_wait`: each ends with the minute, after the answer was
    received.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        clock: Callable[[], float] = time.time,
        max_wait: float = 180.0,
        timeout: float = 15.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = JsonSource(
            "Binance", base_url, variable="BINANCE_URL", max_wait=max_wait, timeout=timeout, sleep=sleep
        )
        self._clock = clock
        self._sleep = sleep
        self._weight_limit = WEIGHT_LIMIT
        self.clock_ahead = 0.0
        """Seconds by which this machine's clock is ahead of Binance's, by the newest answer; negative when behind."""

    @classmethod
    @contextmanager
    def from_environment(cls, max_wait: float = 180.0) -> Iterator[Binance]:
        """The host named by BINANCE_URL, else the public one; closed afterwards."""
        source = cls(settings.get("BINANCE_URL", DEFAULT_URL) or DEFAULT_URL, max_wait=max_wait)
        try:
            yield source
        finally:
            source.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def now(self) -> float:
        """The earlier time, UTC seconds, of the two clocks, ours and Binance's (the `Date` of its newest answer).

        If our clock is ahead, an unfinished bar would otherwise be taken for a finished one.
        """
        return self._clock() - max(self.clock_ahead, 0.0)

    def pages(
        self, symbol: str, interval: str, start: int, end: int, *, after: int | None = None, allow_gaps: bool = False
    ) -> Iterator[list[Kline]]:
        """Finished bars of `symbol` that open in [start, end), oldest first, one list for each answer.

        `start`, `end`: UTC seconds. `after`: opening time of the bar before `start` that is known already; the first
        one found must follow it. A bar whose close time is not yet past is left out. The bars begin later than `start`
        for a younger listing. `MalformedAnswer` names the first gap, bar off the grid, repetition or disorder;
        `allow_gaps` allows the first two. Raises `UnknownSymbol`, `SourceUnavailable`.
        """
        step = shapes.milliseconds(interval)
        wanted = range(start * 1000, end * 1000)
        opens = [] if after is None else [after * 1000]
        at = wanted.start
        while at < wanted.stop:
            page = self._page(symbol, interval, at, wanted.stop - 1)
            opens = opens[-1:] + [bar.open_time for bar in page]
            shapes.check_order(self._http, symbol, interval, opens, allow_gaps)
            now = int(self.now() * 1000)
            finished = [bar for bar in page if bar.open_time in wanted and bar.close_time < now]
            if finished:
                yield finished
            if not page or page[-1].next_open(step) >= min(now, wanted.stop):
                return
            at = page[-1].next_open(step)

    def klines(self, symbol: str, interval: str, start: int, end: int, *, allow_gaps: bool = False) -> list[Kline]:
        """All bars of `pages` in one list."""
        return [bar for page in self.pages(symbol, interval, start, end, allow_gaps=allow_gaps) for bar in page]

    def tickers(self, symbols: Sequence[str]) -> Tickers:
        """Last traded price of each symbol, as received. Raises `UnknownSymbol` when one of them is unknown."""
        answer = self._get("/api/v3/ticker/price", {"symbols": _listed(symbols)}, ", ".join(symbols))
        return Tickers(shapes.tickers(self._http, symbols, answer.body), int(self.now()), _digest(answer))

    def exchange_info(self, symbols: Sequence[str]) -> list[SymbolInfo]:
        """Binance's entry of each symbol; from then on the weight limit is the one that the answer states.

        Raises `UnknownSymbol` when one of them is unknown.
        """
        answer = self._get("/api/v3/exchangeInfo", {"symbols": _listed(symbols)}, ", ".join(symbols))
        self._weight_limit = shapes.weight_limit(self._http, answer.body) or self._weight_limit
        return shapes.symbols_of(self._http, answer.body, _digest(answer))

    def _page(self, symbol: str, interval: str, start: int, last: int) -> list[Kline]:
        params = {"symbol": symbol, "interval": interval, "startTime": start, "endTime": last, "limit": PAGE}
        answer = self._get("/api/v3/klines", params, symbol)
        return shapes.klines(self._http, symbol, answer.body, _digest(answer))

    def _get(self, path: str, params: dict[str, str | int], symbols: str) -> JsonAnswer:
        try:
            answer = self._http.get(path, params)
        except HttpRefused as exc:
            # One refused symbol fails the whole answer, so the message cannot say which; it names all that were asked.
            if isinstance(exc.body, dict) and exc.body.get("code") == INVALID_SYMBOL:
                raise UnknownSymbol(
                    f"{self._http} does not know {symbols} (error {INVALID_SYMBOL}). Nothing was written; "
                    "correct the price series of that reserve in dim_asset, or --symbols"
                ) from exc
            raise
        self._read_clock(answer)
        self._pause_for_weight(answer)
        return answer

    def _read_clock(self, answer: JsonAnswer) -> None:
        try:
            server_time = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        except (TypeError, ValueError):
            return
        # `Date` is cut to whole seconds; up to one second is no difference between the clocks.
        ahead = self._clock() - server_time
        self.clock_ahead = ahead - 1.0 if ahead > 1.0 else min(ahead, 0.0)

    def _pause_for_weight(self, answer: JsonAnswer) -> None:
        used = next((answer.headers[name] for name in WEIGHT_HEADERS if name in answer.headers), "")
        if used.isascii() and used.isdecimal() and int(used) >= self._weight_limit * WEIGHT_MARGIN:
            self._sleep(60 - self.now() % 60)


def _listed(symbols: Sequence[str]) -> str:
    return json.dumps(list(symbols), separators=(",", ":"))


def _digest(answer: JsonAnswer) -> str:
    return hashlib.sha256(answer.content).hexdigest()
