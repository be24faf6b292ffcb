"""A loopback Binance: klines as documented for /api/v3, from a closing price for each symbol and time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

HOUR = 3600
STEPS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": HOUR, "4h": 4 * HOUR, "1d": 24 * HOUR}
Price = Callable[[int], float]


def wave(level: float, phase: float = 0.0) -> Price:
    """A price that moves by a few per cent a day and never stands still; a function of the hour alone."""
    return lambda at: level * math.exp(0.03 * math.sin(at / 30_000 + phase) + 0.01 * math.sin(at / 7_000 + 3 * phase))


DEFAULT = {"ETHUSDT": wave(2600.0), "BTCUSDT": wave(104_000.0, 1.0), "USDCUSDT": lambda at: 1.0002}


def kline(at: int, price: Price, step: int = HOUR) -> list:
    """The bar that opens at `at` (UTC seconds) and closes on the price that holds at its end."""
    first, last = price(at), price(at + step)
    low, high = min(first, last) * 0.999, max(first, last) * 1.001
    bar = [f"{value:.8f}" for value in (first, high, low, last)]
    return [at * 1000, *bar, "12.50000000", (at + step) * 1000 - 1, "32500.1", 42, "6.2", "16250.0", "0"]


class BinanceServer:
    """`prices` by symbol; `alter(symbol, page)` may spoil a page before it is sent; `requests` counts them.

    `asked` lists (symbol, interval, startTime in UTC seconds) of every klines request; `status` of a symbol in
    exchangeInfo; `clock_behind`: seconds by which this server's clock is behind the machine's (its `Date` header is
    the HTTP server's: patch that too); `weight`: what the answers say was used. Written from the same documentation
    as our client; recorded bodies are read in test_binance.py.
    """

    def __init__(self, server: HTTPServer, prices: dict[str, Price] | None = None) -> None:
        self.prices = dict(DEFAULT if prices is None else prices)
        self.alter: Callable[[str, list[list]], list[list]] = lambda symbol, page: page
        self.answer_instead: Callable[[Request], Response | None] = lambda request: None
        self.requests = 0
        self.asked: list[tuple[str, str, int]] = []
        self.status: dict[str, str] = {}
        self.clock_behind = 0.0
        self.weight = 10
        self.url = server.url_for("")
        server.expect_request("/api/v3/klines").respond_with_handler(self._klines)
        server.expect_request("/api/v3/ticker/price").respond_with_handler(self._ticker)
        server.expect_request("/api/v3/exchangeInfo").respond_with_handler(self._exchange_info)

    def _klines(self, request: Request) -> Response:
        self.requests += 1
        start, end, limit = (int(request.args[name]) for name in ("startTime", "endTime", "limit"))
        symbol, interval = request.args["symbol"], request.args["interval"]
        self.asked.append((symbol, interval, start // 1000))
        instead = self.answer_instead(request)
        if instead is not None:
            return instead
        if symbol not in self.prices:
            return self._json({"code": -1121, "msg": "Invalid symbol."}, 400)
        step = STEPS[interval]
        first = -(-start // (step * 1000)) * step
        last = min(end // 1000, int(time.time() - self.clock_behind))
        times = range(first, last + 1, step)[: min(limit, 1000)]
        return self._json(self.alter(symbol, [kline(at, self.prices[symbol], step) for at in times]))

    def _ticker(self, request: Request) -> Response:
        symbols = json.loads(request.args["symbols"])
        if any(symbol not in self.prices for symbol in symbols):
            return self._json({"code": -1121, "msg": "Invalid symbol."}, 400)
        now = int(time.time())
        return self._json([{"symbol": symbol, "price": f"{self.prices[symbol](now):.8f}"} for symbol in symbols])

    def _exchange_info(self, request: Request) -> Response:
        symbols = json.loads(request.args["symbols"])
        if any(symbol not in self.prices for symbol in symbols):
            return self._json({"code": -1121, "msg": "Invalid symbol."}, 400)
        limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}]
        known = [
            {
                "symbol": symbol,
                "status": self.status.get(symbol, "TRADING"),
                "baseAsset": symbol.removesuffix("USDT"),
                "quoteAsset": "USDT",
            }
            for symbol in symbols
        ]
        return self._json({"timezone": "UTC", "serverTime": 0, "rateLimits": limits, "symbols": known})

    def _json(self, body: object, status: int = 200) -> Response:
        headers = {"X-MBX-USED-WEIGHT-1M": str(self.weight)}
        return Response(json.dumps(body), status, headers, content_type="application/json;charset=UTF-8")
