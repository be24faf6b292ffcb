"""Prices of stablecoins in USD: one series for each peg, named as a pair such as USDT/USD.

An exchange that quotes in USDT has no price of USDT, and its USDC/USDT rate is one number for two pegs. So a peg's
series is looked for, in this order, in

1. Chainlink's rounds of the pair (`oracle-prices`), at the end of each bar the newest one: what Aave itself reads;
2. another source's prices of it in `dim_prices` (`market-prices --sources binance defillama`);
3. for USDT alone, the exchange's USDC/USDT rate, split by which of the two had moved (`data.prices.dollar`): within
   0.2 % all of it is USDC's, so USDT does not move there.

USDC's own series is USDCUSDT, which `dim_prices` holds in USD by the same decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from data.prices import feeds
from data.prices.dollar import PEG

if TYPE_CHECKING:
    from data.store.reader import Reader

USDC = PEG
USDT = "USDT/USD"
DAI = "DAI/USD"
PAIRS = (USDT, DAI)
"""Series that are not trading pairs: no exchange is asked for them."""
STAND_INS = {DAI: ("USDC", USDC)}
"""Series of a peg: the factor and series its reserves follow where it has no prices. DAI is backed by USDC, and fell
with it in March 2023."""
ENOUGH = 0.9
"""A source is used for a peg if it has this share of the prices of the source that has the most."""
HOLD = 2 * feeds.DAY
"""Seconds for which a feed's last round holds: a stable may stand still for a heartbeat of a day, and is read daily."""
SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400, "1d": 86_400}


class PegPrices(NamedTuple):
    """(UTC seconds, USD) in the order of time, and their source."""

    rows: list[tuple[int, float]]
    source: str


def peg_prices(
    store: Reader, pair: str, interval: str, start: int | None, end: int | None, source: str | None, served: str
) -> PegPrices | None:
    """Prices of a peg at the ends of bars in [start, end] (None: no bound), or None where there are none.

    `source`: chainlink or another of `dim_prices`; None for the first in the order above that has nearly as many as
    the fullest. `served`: the exchange whose rate is split.
    """
    found = [
        PegPrices(rows, whose)
        for whose, rows in (
            ("chainlink", _of_feed(store, pair, interval, start, end) if source in (None, "chainlink") else []),
            *_stored(store, pair, interval, start, end, source).items(),
            (served, _split(store, interval, start, end, served) if pair == USDT and source in (None, served) else []),
        )
        if rows
    ]
    most = max((len(candidate.rows) for candidate in found), default=0)
    return next((candidate for candidate in found if len(candidate.rows) >= ENOUGH * most), None)


class SourceOfPeg(NamedTuple):
    """Prices of a stablecoin by one source: (UTC seconds, USD) of each update, in the order of time.

    `holds`: seconds for which an update stands where no newer one came.
    """

    source: str
    symbol: str
    rows: list[tuple[int, float]]
    holds: int


def every_source(store: Reader, token: str, *, synthetic: bool, served: str) -> list[SourceOfPeg]:
    """Prices of a stablecoin by each source that has any, `served` first.

    Candles and samples are hourly, Chainlink's rounds stand at the time they were set. A round is one update, however
    long it holds: read by the hour, a feed that updates once a day would seem not to move in 23 of 24 hours.
    """
    names = (f"{token}/USD", f"{token}USDT")
    rows = store.rows(
        "SELECT source, symbol, ts, price_usd FROM dim_prices WHERE symbol IN (?, ?) AND interval = '1h' "
        "AND is_synthetic = ? AND ts % 3600 = 0 ORDER BY source, symbol, ts",
        (*names, int(synthetic)),
    )
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for source, symbol, ts, price in rows:
        found.setdefault((source, symbol), []).append((ts, price))
    sources = [SourceOfPeg(source, symbol, updates, SECONDS["1h"]) for (source, symbol), updates in found.items()]
    rounds = None if synthetic else feeds.history(store, names[0])
    if rounds is not None:
        newest = dict(zip(rounds.times, rounds.prices, strict=True))  # of two rounds in one second the later counts
        sources.append(SourceOfPeg("chainlink", names[0], list(newest.items()), HOLD))
    return sorted(sources, key=lambda found_source: found_source.source != served)


def _of_feed(store: Reader, pair: str, interval: str, start: int | None, end: int | None) -> list[tuple[int, float]]:
    step = SECONDS.get(interval)
    if step is None:
        return []
    rounds = feeds.history(store, pair, None if start is None else start - HOLD, end)
    if rounds is None:
        return []
    first = max(rounds.times[0], start or 0)
    last = rounds.times[-1] + HOLD if end is None else min(end, rounds.times[-1] + HOLD)
    times = range(-(-first // step) * step, last + 1, step)
    return [(ts, price) for ts in times if (price := rounds.at(ts, HOLD)) is not None]


def _stored(
    store: Reader, pair: str, interval: str, start: int | None, end: int | None, source: str | None
) -> dict[str, list[tuple[int, float]]]:
    rows = store.rows(
        "SELECT source, ts, price_usd FROM dim_prices WHERE symbol = ? AND interval = ? AND is_synthetic = 0 "
        "AND ts >= ? AND ts <= ? AND source = coalesce(?, source) ORDER BY source, ts",
        (pair, interval, *_bounds(start, end), source),
    )
    found: dict[str, list[tuple[int, float]]] = {}
    for whose, ts, price in rows:
        found.setdefault(whose, []).append((ts, price))
    return found


def _split(store: Reader, interval: str, start: int | None, end: int | None, served: str) -> list[tuple[int, float]]:
    """(UTC seconds, USD of one USDT): the rate at which the prices of that time were converted."""
    return store.rows(
        "SELECT ts, price_usd / price_usdt FROM dim_prices WHERE symbol = ? AND interval = ? AND is_synthetic = 0 "
        "AND source = ? AND price_usdt IS NOT NULL AND ts >= ? AND ts <= ? ORDER BY ts",
        (PEG, interval, served, *_bounds(start, end)),
    )


def _bounds(start: int | None, end: int | None) -> tuple[int, int]:
    return 0 if start is None else start, 2**62 if end is None else end
