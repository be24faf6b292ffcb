"""A loopback DefiLlama: the documented calls, answered from a few functions of time.

Written from the same documentation as our client (defillama-openapi-free.json); recorded bodies exist for coin prices
only and are read in test_defillama.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

DAY = 86_400
LAST = 1_795_219_200  # 2026-11-21 00:00 UTC


def history(level: float, days: int = 30, last: int = LAST, grows: float = 1e6) -> list[dict[str, float]]:
    """`days` daily points that end at `last` on `level`, `grows` USD a day."""
    return [{"date": last - DAY * back, "totalLiquidityUSD": level - grows * back} for back in range(days - 1, -1, -1)]


def aave(**changes: Any) -> dict[str, Any]:
    """A protocol as documented: two chains, what they lent, and keys that are no deposits."""
    chains = {
        "Ethereum": {"tvl": history(20e9), "tokens": None},
        "Base": {"tvl": history(1e9, days=10), "tokens": []},
        "borrowed": {"tvl": history(14e9)},
        "Ethereum-borrowed": {"tvl": history(13e9)},
        "Base-borrowed": {"tvl": history(1e9)},
        "staking": {"tvl": history(5e8)},
        "Ethereum-staking": {"tvl": history(5e8)},
        "pool2": {"tvl": history(7e7)},
        "treasury": {"tvl": history(2e8)},
        "vesting": {"tvl": history(1e8)},
    }
    return {
        "id": "parent#aave",
        "name": "Aave",
        "symbol": "AAVE",
        "category": None,
        "chains": ["Ethereum", "Base"],
        "currentChainTvls": {},
        "chainTvls": chains,
        "tvl": history(21e9),
    } | changes


class DefiLlamaServer:
    """`bodies` by path; `prices` gives a coin's price at a time; `replace[path]` is answered instead of a body."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("")
        self.asked: list[str] = []
        self.prices: dict[str, Callable[[int], float]] = {}
        self.offset = 125
        """Seconds by which a price's own time is after the time asked for, as in the recorded historical answer."""
        self.replace: dict[str, Response] = {}
        self.bodies: dict[str, Any] = {
            "/protocol/aave": aave(),
            "/protocols": [
                {
                    "id": "1599", "name": "Aave V3", "symbol": "-", "category": "Lending", "chains": ["Ethereum"],
                    "tvl": 21e9, "chainTvls": {}, "change_1d": -0.4, "change_7d": None, "slug": "aave-v3",
                },
                {"id": "2", "name": "New", "symbol": "-", "chains": [], "tvl": None},
            ],
            "/v2/historicalChainTvl": [{"date": 1_700_000_000, "tvl": 5e10}, {"date": 1_700_086_400, "tvl": "51e9"}],
            "/stablecoins": {
                "peggedAssets": [
                    {
                        "id": "1", "name": "Tether", "symbol": "USDT", "gecko_id": "tether", "pegType": "peggedUSD",
                        "pegMechanism": "fiat-backed", "circulating": {"peggedUSD": 1.5e11}, "chains": [], "price": 1.0,
                    },
                    {"id": "9", "name": "New", "symbol": "FRS", "pegType": "peggedEUR", "circulating": {}},
                ]
            },
            "/pools": {
                "status": "success",
                "data": [
                    {
                        "chain": "Ethereum", "project": "aave-v3", "symbol": "WETH", "tvlUsd": 4e9, "apyBase": 1.9,
                        "apyReward": None, "apy": 1.9, "pool": "11111111-2222-3333-4444-555555555555",
                    }
                ],
            },
        }  # fmt: skip
        server.expect_request(re.compile("/.+")).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.asked.append(request.full_path.rstrip("?"))
        path = request.path
        if path in self.replace:
            return self.replace[path]
        if path in self.bodies:
            return _json(self.bodies[path])
        parts = path.split("/")
        if path.startswith("/chart/"):
            start, span = int(request.args["start"]), int(request.args["span"])
            step = {"h": 3600, "m": 60, "d": DAY}[request.args["period"][-1]] * int(request.args["period"][:-1])
            return _json({"coins": {coin: self._chart(coin, start, span, step) for coin in self._known(parts[2])}})
        if path.startswith("/prices/historical/"):
            at = int(parts[3])
            return _json({"coins": {coin: self._price(coin, at) for coin in self._known(parts[4])}})
        if path.startswith("/prices/current/"):
            return _json({"coins": {coin: self._price(coin, LAST) for coin in self._known(parts[3])}})
        return _json({"message": "Protocol is not in our database"}, 400)

    def _known(self, coins: str) -> list[str]:
        return [coin for coin in coins.split(",") if coin in self.prices]

    def _price(self, coin: str, at: int) -> dict[str, Any]:
        return {"symbol": coin[-4:], "price": self.prices[coin](at), "timestamp": at + self.offset, "confidence": 0.99}

    def _chart(self, coin: str, start: int, span: int, step: int) -> dict[str, Any]:
        times = [start + number * step for number in range(span)]
        points = [{"timestamp": at + self.offset, "price": self.prices[coin](at)} for at in times]
        return {"symbol": coin[-4:], "confidence": 0.99, "prices": points}


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
