"""DefiLlama's prices of the same series as Binance's: collected, put on the bars' grid, and compared with them.

A coin stands for a series only where it is that asset: the token itself, or ether for wrapped ether. Wrapped bitcoin
has a price of its own (it may lose its peg), so BTCUSDT has a coin only where `--coins` names one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from data.prices import agreement as price_agreement
from data.prices.series import SERVED
from flows import settings
from flows.errors import ConfigurationError, SourceRefused, SourceUnavailable
from flows.prices.binance_shapes import INTERVAL_SECONDS
from flows.prices.rows import LATEST
from flows.protocols.defillama import DefiLlama

if TYPE_CHECKING:
    from flows.pipeline import Run
    from flows.protocols.defillama_shapes import CoinPrice

SOURCE = "defillama"
COINS = {
    "ETHUSDT": "coingecko:ethereum",
    "LINKUSDT": "coingecko:chainlink",
    "ARBUSDT": "coingecko:arbitrum",
    "USDCUSDT": "coingecko:usd-coin",
    "USDT/USD": "coingecko:tether",
}
"""Coins of series whose ids were seen in recorded answers."""
CHAINS = {1: "ethereum"}
"""DefiLlama's name of a chain, by chain id, where its documentation states it."""
LEAST_STEP = 3600
"""Seconds of the shortest bars that are compared: prices of an aggregator are minutes apart."""
NEAR = 900
"""Seconds by which a price's own time may differ from the end of the bar and still count for it."""
BAND = 0.02
"""A price up to `NEAR` seconds off moves by 0.5 % (one standard deviation) where the volatility is 100 % a year, and 1
USDT may be 0.2 % off 1 USD uncorrected: neither reaches 2 %; a wrong coin or a stale price does."""


def band() -> float:
    """Largest relative difference that counts as agreement: PRICE_AGREEMENT_BAND. Raises `ConfigurationError`."""
    text = settings.get("PRICE_AGREEMENT_BAND", str(BAND)) or str(BAND)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ConfigurationError(f"PRICE_AGREEMENT_BAND: expected a share such as 0.02, found {text!r}")
    return value


def coins_of(
    symbols: Iterable[str], mapping: pd.DataFrame | None, chain_id: int, given: dict[str, str]
) -> dict[str, str]:
    """Coin by series. `mapping`: rows of dim_asset; `given`: coins that the user named, which win."""
    known = dict(COINS)
    chain = CHAINS.get(chain_id)
    if mapping is not None and chain:
        for row in mapping[mapping["kind"] == "series"].to_dict("records"):
            if row["symbol"].upper() == row["series"].removesuffix("USDT").removesuffix("/USD"):
                known.setdefault(row["series"], f"{chain}:{row['asset']}")
    known |= given
    return {symbol: known[symbol] for symbol in symbols if symbol in known}


def collected(
    run: Run,
    symbols: Sequence[str],
    coins: dict[str, str],
    windows: Sequence[tuple[str, int, int]],
    *,
    latest: bool,
) -> str:
    """Collect DefiLlama's prices; returns what to add to the run's line.

    If DefiLlama cannot be reached or refuses, the line says so and other prices stay as they are. Raises
    `MalformedAnswer`.
    """
    try:
        with DefiLlama.from_environment() as source:
            taken = sum(
                collect_bars(run, source, coins, interval, INTERVAL_SECONDS[interval], start, end)
                for interval, start, end in _comparable(windows)
                if coins
            )
            if latest and coins:
                taken += collect_latest(run, source, coins, LATEST)
    except (SourceUnavailable, SourceRefused) as exc:
        return f"; DefiLlama not read ({' '.join(str(exc).split())[:160]})"
    without = [symbol for symbol in symbols if symbol not in coins]
    without_coin = f", no coin for {', '.join(without)} (--coins)" if without else ""
    return f"; {taken:,} prices of {len(coins)} series by DefiLlama{without_coin}"


def cross_check(run: Run, symbols: Sequence[str], windows: Sequence[tuple[str, int, int]], *, latest: bool) -> str:
    """Compare all sources with each other; returns what to add to the run's line."""
    widest = band()
    found = []
    for interval, start, end in _comparable(windows):
        found += price_agreement.compared(run.store, symbols, interval, start, end, widest)
    if latest:
        now = int(time.time())
        found += price_agreement.compared(run.store, symbols, LATEST, now - NEAR, now + NEAR, widest, near=NEAR)
    price_agreement.note(run.store, found, widest, run.id)
    wrong = [pair for pair in found if pair.failed]
    if wrong:
        return f"; SOURCES DISAGREE by more than {widest:.1%}: {'; '.join(map(str, wrong))}; {SERVED}'s are served"
    n = sum(pair.compared for pair in found)
    return f"; {n:,} prices of two sources agree within {widest:.1%}" if n else ""


def _comparable(windows: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    return [each for each in windows if INTERVAL_SECONDS[each[0]] >= LEAST_STEP]


def collect_bars(
    run: Run, source: DefiLlama, coins: dict[str, str], interval: str, step: int, start: int, end: int
) -> int:
    """Store the price of each coin at the end of every bar that opens in [start, end); returns the number of prices."""
    ends = range(start + step, end + 1, step)
    taken = 0
    for answer in source.chart(list(coins.values()), ends.start, step, len(ends)):
        # A price's own time decides which end of a bar it counts for; one near no end is only kept as received.
        rows = _on_grid(answer.rows, step, ends)
        taken += _write(run, f"{interval}:{start}:{end}", answer.rows, rows, coins, interval, answer[1])
    return taken


def collect_latest(run: Run, source: DefiLlama, coins: dict[str, str], interval: str) -> int:
    """Store the newest price of each coin at its own time; returns the number of prices."""
    taken = 0
    for answer in source.current_prices(list(coins.values())):
        rows = [(price, price.ts) for price in answer.rows]
        taken += _write(run, interval, answer.rows, rows, coins, interval, answer[1])
    return taken


def _on_grid(prices: Sequence[CoinPrice], step: int, ends: range) -> list[tuple[CoinPrice, int]]:
    best: dict[tuple[str, int], CoinPrice] = {}
    for price in prices:
        at = round(price.ts / step) * step
        if at not in ends or abs(price.ts - at) > NEAR:
            continue
        held = best.setdefault((price.coin, at), price)
        if abs(price.ts - at) < abs(held.ts - at):
            best[price.coin, at] = price
    return [(price, at) for (_, at), price in best.items()]


def _write(
    run: Run,
    key: str,
    raw: Sequence[CoinPrice],
    placed: Sequence[tuple[CoinPrice, int]],
    coins: dict[str, str],
    interval: str,
    digest: str,
) -> int:

    if not raw:
        return 0
    distinct = {(price.coin, price.ts): price for price in raw}
    frames = {
        "raw_defillama_prices": pd.DataFrame([price._asdict() for price in distinct.values()]).assign(
            source=SOURCE, payload_sha256=digest
        )
    }
    rows = [
        {
            "symbol": symbol,
            "interval": interval,
            "ts": at,
            "source": SOURCE,
            "price_usd": price.price_usd,
            "price_usdt": None,
            "usd_proxy": "",
            "is_synthetic": 0,
        }
        for price, at in placed
        for symbol, coin in coins.items()
        if coin == price.coin
    ]
    if rows:
        frames["dim_prices"] = pd.DataFrame(rows)
    run.write(SOURCE, f"prices:{key}", frames)
    return len(rows)
