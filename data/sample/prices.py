"""Synthetic hourly prices: stated volatility and correlation, ending at the sample's oracle prices.

Geometric Brownian motion with no drift and one common factor: the correlation of two series is the product of their
loadings. The dollar stablecoins revert to 1. Nothing here is an observed price.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from data.prices.rules import rule_for
from data.prices.series import SYNTHETIC
from data.sample import configuration

DAYS = 120
STEP = 3_600
STEPS_PER_YEAR = 365 * 24


class Motion(NamedTuple):
    """How a synthetic series moves: the reserve whose price it ends at, volatility a year, loading on the market."""

    reserve: str
    volatility: float
    loading: float


MOTIONS = {
    "ETHUSDT": Motion("WETH", 0.65, 0.92),
    "BTCUSDT": Motion("cbBTC", 0.45, 0.88),
    "LINKUSDT": Motion("LINK", 0.85, 0.80),
    "AAVEUSDT": Motion("AAVE", 0.90, 0.80),
    "UNIUSDT": Motion("UNI", 0.90, 0.80),
    "CRVUSDT": Motion("CRV", 1.10, 0.75),
    "LDOUSDT": Motion("LDO", 1.05, 0.80),
    "ENSUSDT": Motion("ENS", 1.00, 0.78),
    "SNXUSDT": Motion("SNX", 1.05, 0.75),
    "1INCHUSDT": Motion("1INCH", 0.95, 0.75),
    "EURUSDT": Motion("EURC", 0.08, 0.05),
    # Each peg has its own noise: the sample has no stress that all stablecoins share.
    "USDCUSDT": Motion("USDC", 0.004, 0.0),
    "USDT/USD": Motion("USDT", 0.004, 0.0),
    "DAI/USD": Motion("DAI", 0.004, 0.0),
}
REVERTING = {"USDCUSDT": 0.97, "USDT/USD": 0.97, "DAI/USD": 0.97}
"""Share of a deviation from 1 USD that is left after an hour."""

DEPEG = {"DAI/USD": (80 * 24, -0.035, 9.0)}
"""A planted time away from the peg: hours before the end at which it begins, depth, and hours in which it halves."""


def correlation(first: str, second: str) -> float:
    """Correlation of the returns of two synthetic series."""
    return 1.0 if first == second else MOTIONS[first].loading * MOTIONS[second].loading


def series_needed() -> list[str]:
    """Series that the sample's reserves follow, in the order of `MOTIONS`. Raises `KeyError` for one without motion."""
    followed = {rule_for(row["symbol"], row["price_description"]) for row in configuration.reserve_rows()}
    needed = {rule.series for rule in followed if rule is not None and rule.kind != "fixed"}
    if unknown := needed - MOTIONS.keys():
        raise KeyError(f"the sample has no synthetic motion for {', '.join(sorted(unknown))}; add it to MOTIONS")
    return [symbol for symbol in MOTIONS if symbol in needed]


def frame(seed: int = 7, days: int = DAYS) -> pd.DataFrame:
    """Rows of `dim_prices`: hourly prices of `days` days up to the sample's block time, both ends included."""
    symbols, hours = series_needed(), days * 24
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    common = rng.normal(size=hours)
    index, price = configuration.reserves().index, configuration.prices()
    times = configuration.BLOCK_TIME - STEP * np.arange(hours, -1, -1)
    parts = []
    for symbol in symbols:
        motion = MOTIONS[symbol]
        own = rng.normal(size=hours)
        deviation = motion.volatility / np.sqrt(STEPS_PER_YEAR)
        noise = deviation * (motion.loading * common + np.sqrt(1 - motion.loading**2) * own)
        last = np.log(price[index(motion.reserve)])
        # Built from the end backwards, so that the last price is the snapshot's; both processes are reversible.
        back = _reverting(last, noise, REVERTING[symbol]) if symbol in REVERTING else last - np.cumsum(noise)
        levels = np.exp(np.concatenate([[last], back])[::-1])
        if symbol in DEPEG:
            began, depth, half_life = DEPEG[symbol]
            since = np.arange(hours + 1) - (hours - began)
            levels = levels * np.where(since >= 0, 1 + depth * 0.5 ** (np.maximum(since, 0) / half_life), 1.0)
        levels[-1] = price[index(motion.reserve)]
        parts.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "interval": "1h",
                    "ts": times,
                    "source": SYNTHETIC,
                    "price_usd": levels,
                    "usd_proxy": "",
                    "is_synthetic": 1,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _reverting(start: float, noise: np.ndarray, kept: float) -> np.ndarray:
    """Autoregression around 0 (a price of 1 USD) that begins at `start`."""
    out = np.empty(len(noise))
    value = start
    for step, shock in enumerate(noise):
        value = kept * value + shock
        out[step] = value
    return out


class Oracle:
    """What the sample's oracle said of a reserve at a time: on the line between the two synthetic prices around it."""

    def __init__(self, series: pd.DataFrame) -> None:
        table = series.pivot_table(index="ts", columns="symbol", values="price_usd")
        self._first = int(table.index[0])
        self._levels = {symbol: table[symbol].to_numpy() for symbol in table.columns}
        rows = configuration.reserve_rows()
        self._rules = [(int(row["price_raw"]), rule_for(row["symbol"], row["price_description"])) for row in rows]

    def price_raw(self, reserve: int, time: int) -> int:
        """1e-8 USD per token; the snapshot's where the series ends or nothing is followed."""
        price, rule = self._rules[reserve]
        if rule is None or rule.kind == "fixed":
            return price
        level = self._levels[rule.series]
        steps = np.arange(len(level))
        return round(price * float(np.interp((time - self._first) / STEP, steps, level) / level[-1]))
