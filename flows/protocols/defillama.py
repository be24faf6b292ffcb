"""DefiLlama's free interface: protocol and chain TVL, coin prices, stablecoins, yields. No key; limits undocumented.

There are four hosts: api, coins, stablecoins and yields, all under llama.fi. Where DEFILLAMA_URL names another host (a
mirror, a server on loopback), that one is asked for everything. Source: defillama-openapi-free.json.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

from flows import settings
from flows.clients.http_retry import HttpRefused, JsonSource
from flows.clients.shape import Shape
from flows.errors import SourceRefused
from flows.protocols import defillama_shapes as shapes
from flows.protocols.defillama_shapes import ChainPoint, CoinPrice, ListedProtocol, ProtocolPoint, Stablecoin, YieldPool

DEFAULT_URL = "https://api.llama.fi"
COINS_IN_A_REQUEST = 50
"""Coins are named in the path; more would pass the length that proxies allow."""
POINTS_IN_A_REQUEST = 500
"""Largest `span` that a chart is asked for."""
COINGECKO = "coingecko"

Row = TypeVar("Row")


class Rows(NamedTuple, Generic[Row]):
    """Rows of one answer, and the SHA-256 of its bytes as received."""

    rows: list[Row]
    payload_sha256: str


class DefiLlama:
    """Reads DefiLlama, or one host that stands in for it. `max_wait`, `sleep`: see `JsonSource`, for each host."""

    def __init__(
        self, base_url: str = DEFAULT_URL, *, max_wait: float = 180.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        def source(url: str) -> JsonSource:
            return JsonSource("DefiLlama", url, variable="DEFILLAMA_URL", max_wait=max_wait, timeout=60.0, sleep=sleep)

        public = urlsplit(base_url).hostname == urlsplit(DEFAULT_URL).hostname
        self._api = source(base_url)
        self._coins, self._stablecoins, self._yields = (
            source(f"https://{name}.llama.fi") if public else self._api for name in ("coins", "stablecoins", "yields")
        )

    @classmethod
    @contextmanager
    def from_environment(cls) -> Iterator[DefiLlama]:
        """The host named by DEFILLAMA_URL, else the public ones; closed afterwards."""
        source = cls(settings.get("DEFILLAMA_URL", DEFAULT_URL) or DEFAULT_URL)
        try:
            yield source
        finally:
            source.close()

    def close(self) -> None:
        """Close the connections to all hosts."""
        for host in (self._api, self._coins, self._stablecoins, self._yields):
            host.close()

    def protocol(self, slug: str) -> Rows[ProtocolPoint]:
        """TVL and borrow history of a protocol. Raises `SourceRefused` for a slug it does not know."""
        try:
            body, digest = self._get(self._api, f"/protocol/{quote(slug, safe='')}")
        except HttpRefused as exc:
            if exc.status not in (400, 404):
                raise
            raise SourceRefused(
                f"{self._api} does not know the protocol {slug!r} (HTTP {exc.status}). Nothing of it was written; "
                "correct --slugs: a slug is the last part of the protocol's address on the site"
            ) from exc
        return Rows(shapes.protocol(body), digest)

    def protocols(self) -> Rows[ListedProtocol]:
        """Every protocol that is listed, with its TVL now."""
        body, digest = self._get(self._api, "/protocols")
        return Rows(shapes.protocols(body), digest)

    def chain_tvl(self, chain: str | None = None) -> Rows[ChainPoint]:
        """History of what is locked on a chain (None: on all), without liquid staking and double counts."""
        path = "/v2/historicalChainTvl" + (f"/{quote(chain, safe='')}" if chain else "")
        body, digest = self._get(self._api, path)
        return Rows(shapes.chain_tvl(body, chain or shapes.ALL_CHAINS), digest)

    def current_prices(self, coins: Sequence[str]) -> list[Rows[CoinPrice]]:
        """Newest price of each coin that DefiLlama prices, one answer for every 50 coins."""
        return self._prices("/prices/current", coins)

    def historical_prices(self, coins: Sequence[str], at: int) -> list[Rows[CoinPrice]]:
        """Price of each coin near `at` (UTC seconds)."""
        return self._prices(f"/prices/historical/{at}", coins)

    def chart(self, coins: Sequence[str], start: int, step: int, points: int) -> Iterator[Rows[CoinPrice]]:
        """Prices of coins from `start` (UTC seconds) on, `points` of them, `step` seconds apart; oldest first.

        DefiLlama answers with the price nearest to each of these times that it has.
        """
        period = f"{step // 3600}h" if step % 3600 == 0 else f"{step // 60}m"
        for part in _parted(coins):
            for first in range(0, points, POINTS_IN_A_REQUEST):
                span = min(POINTS_IN_A_REQUEST, points - first)
                params: dict[str, str | int] = {"start": start + first * step, "span": span, "period": period}
                body, digest = self._get(self._coins, f"/chart/{','.join(part)}", params)
                yield Rows(shapes.coin_charts(body), digest)

    def stablecoins(self) -> Rows[Stablecoin]:
        """Every stablecoin now."""
        body, digest = self._get(self._stablecoins, "/stablecoins", {"includePrices": "true"})
        return Rows(shapes.stablecoins(body), digest)

    def pools(self) -> Rows[YieldPool]:
        """Every pool whose yield is followed."""
        body, digest = self._get(self._yields, "/pools")
        return Rows(shapes.pools(body), digest)

    def _prices(self, path: str, coins: Sequence[str]) -> list[Rows[CoinPrice]]:
        answers = []
        for part in _parted(coins):
            body, digest = self._get(self._coins, f"{path}/{','.join(part)}")
            answers.append(Rows(shapes.coin_prices(body), digest))
        return answers

    def _get(self, host: JsonSource, path: str, params: dict[str, str | int] | None = None) -> tuple[Shape, str]:
        answer = host.get(path, params or {})
        return Shape(str(host), path, answer.body), hashlib.sha256(answer.content).hexdigest()


def _parted(coins: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(coins), COINS_IN_A_REQUEST):
        yield coins[first : first + COINS_IN_A_REQUEST]
