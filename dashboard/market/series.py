"""Price series as pages use them: plain arrays at even steps, with their source.

No pandas here; `_daily_moves` in `dashboard.market.loading` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import data
from dashboard.market.checks import Damaged
from data.prices.pegs import every_source
from data.prices.served import newest_stretch, served_closes, served_series, source

DAY, HOUR = 86_400, 3_600
YEAR_10000 = 253_402_300_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Closes:
    """Prices in USD at even steps. ts (n,): UTC seconds, multiples of `step`, rising, perhaps with gaps; price (n,)."""

    symbol: str
    step: int
    ts: np.ndarray
    price: np.ndarray
    source: str
    synthetic: bool

    @property
    def gaps(self) -> int:
        """How many steps between the first and the last price have none."""
        return int((self.ts[-1] - self.ts[0]) // self.step + 1 - len(self.ts)) if len(self.ts) else 0

    def whole(self) -> Closes:
        """The newest stretch without a gap."""
        first = newest_stretch(self.ts, self.step)
        return Closes(
            symbol=self.symbol,
            step=self.step,
            ts=self.ts[first:],
            price=self.price[first:],
            source=self.source,
            synthetic=self.synthetic,
        )

    def returns(self) -> np.ndarray:
        """Simple returns, (n - 1,); the stretch has to be whole."""
        return self.price[1:] / self.price[:-1] - 1


def load_closes(symbol: str, step: int, *, synthetic: bool, path: Path | str | None) -> Closes:
    """Served prices of a series at multiples of `step` seconds; without any, arrays of length 0.

    Raises `Damaged` for a price or a time that cannot be right.
    """
    with data.store.Reader.open(path) as store:
        times, prices = served_closes(store, symbol, step, synthetic=synthetic)
    return closes_of(symbol, step, np.column_stack([times, prices]), source(synthetic), synthetic)


def closes_of(symbol: str, step: int, table: np.ndarray, source: str, synthetic: bool) -> Closes:
    """A series of (n, 2) times and prices. Raises `Damaged` for a price or a time that cannot be right."""
    table = table.reshape(-1, 2)
    ts, price = table[:, 0], table[:, 1]
    good = np.isfinite(price) & (price > 0) & (ts >= 0) & (ts < YEAR_10000)
    if not good.all():
        at = int(np.argmax(~good))
        raise Damaged(
            f"stored prices: {symbol!r:.60} of {source!r:.60} is {price[at]:g} USD at {ts[at]:.0f}; expected positive "
            "prices and seconds since 1970; remove the row and read the prices again"
        )
    return Closes(symbol=symbol, step=step, ts=ts.astype(np.int64), price=price, source=source, synthetic=synthetic)


def known_series(*, synthetic: bool, path: Path | str | None) -> tuple[str, ...]:
    """Names of the served series, in alphabetical order, ETH and BTC first."""
    with data.store.Reader.open(path) as store:
        names = served_series(store, synthetic=synthetic)
    first = ("ETHUSDT", "BTCUSDT")
    return tuple(sorted(names, key=lambda s: (s not in first, first.index(s) if s in first else 0, s)))


def load_peg(token: str, *, synthetic: bool, path: Path | str | None) -> tuple[Closes, ...]:
    """Prices of a stablecoin in USD, one series for each source that has any, the served one first.

    `step` is how long an update holds: an hour for candles, two days for Chainlink's rounds, whose times are those of
    the updates.
    """
    with data.store.Reader.open(path) as store:
        sources = every_source(store, token, synthetic=synthetic, served=source(synthetic))
    return tuple(
        closes_of(found.symbol, found.holds, np.array(found.rows, dtype=np.float64), found.source, synthetic)
        for found in sources
    )
