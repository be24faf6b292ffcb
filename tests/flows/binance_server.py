"""A loopback Binance: klines as documented for /api/v3, from a closing price for each symbol and time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

HOUR = 3600
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
    """`prices` by symbol; `alter(symbol, page)` may spoil a page before it is sent; `requests` counts them."""

    def __init__(self, server: HTTPServer, prices: dict[str, Price] | None = None) -> None:
        self.prices = dict(DEFAULT if prices is None else prices)
        self.alter: Callable[[str, list[list]], list[list]] = lambda symbol, page: page
        self.answer_instead: Callable[[Request], Response | None] = lambda request: None
        self.requests = 0
        self.url = server.url_for("")
        server.expect_request("/api/v3/klines").respond_with_handler(self._klines)
        server.expect_request("/api/v3/ticker/price").respond_with_handler(self._ticker)

    def _klines(self, request: Request) -> Response:
        self.requests += 1
        instead = self.answer_instead(request)
        if instead is not None:
            return instead
        symbol = request.args["symbol"]
        if symbol not in self.prices:
            return _json({"code": -1121, "msg": "Invalid symbol."}, 400)
        start, end, limit = (int(request.args[name]) for name in ("startTime", "endTime", "limit"))
        first = -(-start // (HOUR * 1000)) * HOUR
        last = min(end // 1000, int(time.time()))
        page = [kline(at, self.prices[symbol]) for at in range(first, last + 1, HOUR)[: min(limit, 1000)]]
        return _json(self.alter(symbol, page))

    def _ticker(self, request: Request) -> Response:
        symbols = json.loads(request.args["symbols"])
        if any(symbol not in self.prices for symbol in symbols):
            return _json({"code": -1121, "msg": "Invalid symbol."}, 400)
        now = int(time.time())
        return _json([{"symbol": symbol, "price": f"{self.prices[symbol](now):.8f}"} for symbol in symbols])


def _json(body: object, status: int = 200) -> Response:
    headers = {"X-MBX-USED-WEIGHT-1M": "10"}
    return Response(json.dumps(body), status, headers, content_type="application/json;charset=UTF-8")
