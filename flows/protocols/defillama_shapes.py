"""The bodies of DefiLlama's answers, typed; no network here. Source: DefiLlama/api-docs, defillama-openapi-free.json.

Fields that are used must be there and have the right type, or the error names them; fields that the documentation does
not promise may be absent. Money stays as received, in USD.
"""

from __future__ import annotations

from typing import NamedTuple

from flows.clients.shape import Shape

ALL_CHAINS = "(all)"
"""`series` of a protocol's total, where the answer has one, and `chain` of the sum over all chains."""


class ProtocolPoint(NamedTuple):
    """Value of one series of a protocol at `date` (UTC seconds). Series are keys of chainTvls, as received."""

    series: str
    date: int
    usd: float


class ListedProtocol(NamedTuple):
    """One entry of /protocols. `change_1d`, `change_7d`: per cent, as received."""

    protocol_id: str
    protocol_name: str
    slug: str | None
    category: str | None
    chains: str
    tvl_usd: float | None
    change_1d: float | None
    change_7d: float | None


class ChainPoint(NamedTuple):
    """Value locked on a chain at `date` (UTC seconds)."""

    chain: str
    date: int
    tvl_usd: float


class CoinPrice(NamedTuple):
    """Price of `coin` (`{chain}:{address}` or `coingecko:{id}`) at `ts` (UTC seconds); `confidence` from 0 to 1."""

    coin: str
    ts: int
    symbol: str
    price_usd: float
    confidence: float | None
    decimals: int | None


class Stablecoin(NamedTuple):
    """One stablecoin now. `circulating`: units of what it is pegged to; `price`: USD."""

    stablecoin_id: str
    stablecoin_name: str
    symbol: str
    peg_type: str
    peg_mechanism: str | None
    circulating: float | None
    price_usd: float | None
    document: str


class YieldPool(NamedTuple):
    """One pool of the yields. Rates in per cent a year, as received."""

    pool: str
    chain: str
    project: str
    symbol: str
    tvl_usd: float
    apy: float | None
    apy_base: float | None
    apy_reward: float | None
    document: str


def protocol(body: Shape) -> list[ProtocolPoint]:
    """TVL and borrow history of /protocol/{slug}: every series of chainTvls, and the total where there is one."""
    found = []
    for series, chain in body.field("chainTvls").entries().items():
        found += _points(series, chain.field("tvl"))
    total = body.maybe("tvl")
    # In some answers it is a number; then there is no history of the total.
    if total is not None and isinstance(total.value, list):
        found += _points(ALL_CHAINS, total)
    return found


def _points(series: str, history: Shape) -> list[ProtocolPoint]:
    return [
        ProtocolPoint(series, each.field("date").seconds(), each.field("totalLiquidityUSD").number())
        for each in history.items()
    ]


def protocols(body: Shape) -> list[ListedProtocol]:
    """Every entry of /protocols."""
    return [
        ListedProtocol(
            protocol_id=_identity(each.field("id")),
            protocol_name=each.field("name").text(),
            slug=_text(each, "slug"),
            category=_text(each, "category"),
            chains=each.field("chains").document(),
            tvl_usd=_number(each, "tvl"),
            change_1d=_number(each, "change_1d"),
            change_7d=_number(each, "change_7d"),
        )
        for each in body.items()
    ]


def chain_tvl(body: Shape, chain: str) -> list[ChainPoint]:
    """History of /v2/historicalChainTvl."""
    return [ChainPoint(chain, each.field("date").seconds(), each.field("tvl").number()) for each in body.items()]


def coin_prices(body: Shape) -> list[CoinPrice]:
    """Prices of /prices/current and /prices/historical. Coins that DefiLlama does not price are absent."""
    return [
        CoinPrice(
            coin=coin,
            ts=each.field("timestamp").seconds(),
            symbol=each.field("symbol").text(),
            price_usd=each.field("price").number(),
            confidence=_number(each, "confidence"),
            decimals=_whole(each, "decimals"),
        )
        for coin, each in body.field("coins").entries().items()
    ]


def coin_charts(body: Shape) -> list[CoinPrice]:
    """Prices of /chart, in the order received."""
    return [
        CoinPrice(
            coin=coin,
            ts=point.field("timestamp").seconds(),
            symbol=each.field("symbol").text(),
            price_usd=point.field("price").number(),
            confidence=_number(each, "confidence"),
            decimals=_whole(each, "decimals"),
        )
        for coin, each in body.field("coins").entries().items()
        for point in each.field("prices").items()
    ]


def stablecoins(body: Shape) -> list[Stablecoin]:
    """Every stablecoin of /stablecoins."""
    found = []
    for each in body.field("peggedAssets").items():
        peg = each.field("pegType").text()
        # circulating is keyed by the peg's own name ("peggedUSD"); an asset just listed has none yet.
        amount = each.field("circulating").maybe(peg)
        found.append(
            Stablecoin(
                stablecoin_id=_identity(each.field("id")),
                stablecoin_name=each.field("name").text(),
                symbol=each.field("symbol").text(),
                peg_type=peg,
                peg_mechanism=_text(each, "pegMechanism"),
                circulating=None if amount is None else amount.number(),
                price_usd=_number(each, "price"),
                document=each.document(),
            )
        )
    return found


def pools(body: Shape) -> list[YieldPool]:
    """Every pool of the yields."""
    return [
        YieldPool(
            pool=each.field("pool").text(),
            chain=each.field("chain").text(),
            project=each.field("project").text(),
            symbol=each.field("symbol").text(),
            tvl_usd=each.field("tvlUsd").number(),
            apy=_number(each, "apy"),
            apy_base=_number(each, "apyBase"),
            apy_reward=_number(each, "apyReward"),
            document=each.document(),
        )
        for each in body.field("data").items()
    ]


def _identity(each: Shape) -> str:
    return str(each.value) if isinstance(each.value, int) and not isinstance(each.value, bool) else each.text()


def _number(body: Shape, name: str) -> float | None:
    found = body.maybe(name)
    return None if found is None else found.number()


def _whole(body: Shape, name: str) -> int | None:
    found = body.maybe(name)
    return None if found is None else found.whole()


def _text(body: Shape, name: str) -> str | None:
    found = body.maybe(name)
    return None if found is None else found.text()
