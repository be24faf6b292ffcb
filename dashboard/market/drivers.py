"""The drivers of a what-if, and which feed each of them moves; the others change how the time after is simulated.

A liquid-staking token is its base asset times the ratio its oracle reports, a Bitcoin wrapper follows BTC, USDe and its
relatives are priced by USDT, GHO is fixed. A discount on an exchange that no oracle reads is not a driver here.
`Market.oracle_prices` turns the moves into the oracles' prices, with caps such as those of stablecoins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Driver:
    """One slider. `low`, `high`, `step` and `baseline` are in the unit on screen: per cent, or a multiple."""

    key: str
    label: str
    unit: str
    low: float
    high: float
    step: float
    baseline: float
    note: str
    """What it moves, in words: shown under the slider."""
    group: str = "Prices"
    short: str = ""
    """Its name where a folded group states its values; empty: the label."""

    @property
    def scale(self) -> float:
        """Screen units in one unit of the engine: 100 for per cent."""
        return 100.0 if self.unit == "%" else 1.0

    def position(self, value: float) -> float:
        """Where `value` sits on the track, 0 to 1."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


OTHERS = "Staked ETH, stablecoins, others"
DRIVERS: tuple[Driver, ...] = (
    Driver("eth", "ETH", "%", -60, 20, 1, 0, "WETH, and staked ETH at the ratio its oracle reports"),
    Driver("btc", "BTC", "%", -60, 20, 1, 0, "WBTC, cbBTC, tBTC and other Bitcoin tokens"),
    Driver("lst", "Staked ETH ratio", "%", -15, 0, 0.25, 0,
           "at the oracle; a market discount does not reach Aave", OTHERS),
    Driver("usdc", "USDC", "%", -20, 12, 0.25, 0, "its dollar peg, with no floor", OTHERS),
    Driver("usdt", "USDT", "%", -20, 12, 0.25, 0, "also USDe, sUSDe and their PTs, priced by USDT", OTHERS),
    Driver("stable", "Other stablecoins", "%", -20, 12, 0.25, 0, "DAI, USDS, PYUSD, EURC …", OTHERS),
    Driver("other", "All others", "%", -80, 20, 1, 0, "LINK, AAVE, CRV and every other reserve", OTHERS),
    Driver("vol", "Volatility", "×", 0.5, 4, 0.05, 1, "of every factor, times what is calibrated", "Market", "vol"),
    Driver("corr", "Correlation", "", -1, 1, 0.05, 0,
           "0: as calibrated; 1: all factors move as one; −1: each by itself", "Market", "corr"),
    Driver("hours", "Horizon", "h", 1, 168, 1, 24,
           "how long the simulated paths are; the baseline keeps its own", "Market", "horizon"),
    Driver("limits", "Liquidators have limits", "", 0, 1, 1, 0,
           "1: a call must pay, sales need the quoted depth, capital is finite; 0: they always act", "Liquidity",
           "limits"),
    Driver("depth", "Depth", "×", 0.1, 4, 0.05, 1,
           "of the stored quotes; other than 1 sets limits", "Liquidity", "depth"),
    Driver("capital", "Capital", "×", 0.1, 4, 0.05, 1,
           "of the most debt that was repaid in a day; other than 1 sets limits", "Liquidity", "capital"),
    Driver("lag", "Oracle lag", "min", 0, 180, 15, 0,
           "until a feed's answer is read; sales see the market", "Liquidity", "lag"),
    Driver("respond", "Borrowers who respond", "%", 0, 100, 5, 0,
           "repay to health factor 1.25 after a warning below 1.1; 65 % fitted another market", "Behaviour", "respond"),
    Driver("warning", "Hours of warning", "h", 1, 24, 1, 1,
           "below 1.1, in all, before such a borrower repays", "Behaviour", "after"),
)  # fmt: skip
BY_KEY: Mapping[str, Driver] = MappingProxyType({d.key: d for d in DRIVERS})
PRICE_KEYS = tuple(d.key for d in DRIVERS if d.group in ("Prices", OTHERS))
"""Drivers of the exact answer; the others change the simulation alone."""

FIXED = ""
"""Driver key of a reserve whose oracle price is a constant."""

_STABLE_FACTORS = frozenset(
    "CRVUSD DAI EUR EURC FDUSD FRAX LUSD MUSD PYUSD RLUSD SDAI TUSD USD USDG USDS USDTB".split()  # noqa: SIM905
)
_FAMILY = {"eth": "ETH", "btc": "BTC", "usdc": "USD", "usdt": "USD", "stable": "USD", FIXED: "USD"}


def driver_of(factor: str, kind: str) -> str:
    """The driver that moves a reserve, from its price factor and the kind of its price (`fixed`, `ratio`, …)."""
    name = factor.upper()
    if kind == "fixed" or not name:
        return FIXED
    direct = {"ETH": "eth", "WETH": "eth", "BTC": "btc", "WBTC": "btc", "USDC": "usdc", "USDT": "usdt"}
    return direct.get(name, "stable" if name in _STABLE_FACTORS else "other")


@dataclass(frozen=True, slots=True, eq=False)
class AssetMap:
    """For each reserve of a market, in its order: what moves its oracle price."""

    symbol: tuple[str, ...]
    driver: tuple[str, ...]
    factor: tuple[str, ...]
    series: tuple[str, ...]
    """Price series of its own; empty where another asset's series is used instead."""
    is_lst: NDArray[np.bool_]
    """A ratio to ETH: moved by `eth` and by `lst`."""

    @classmethod
    def build(
        cls, symbols: Iterable[str], factors: Iterable[str], kinds: Iterable[str], series: Iterable[str] = ()
    ) -> AssetMap:
        """From columns of dim_asset, in the order of the market's reserves."""
        symbol, factor, kind = tuple(symbols), tuple(factors), tuple(kinds)
        own = tuple(s if k == "series" else "" for s, k in zip(series, kind, strict=False))
        driver = tuple(driver_of(f, k) for f, k in zip(factor, kind, strict=True))
        lst = np.array([d == "eth" and k == "ratio" for d, k in zip(driver, kind, strict=True)], dtype=bool)
        lst.setflags(write=False)
        return cls(symbol, driver, factor, own or ("",) * len(symbol), lst)

    def own_series(self, key: str) -> str:
        """The price series of a driver's own asset, empty when all its reserves use another asset's series."""
        return next((s for s, d in zip(self.series, self.driver, strict=True) if s and d == key), "")

    def moved_by(self, key: str) -> NDArray[np.bool_]:
        """(R,) true where the driver moves the reserve."""
        return self.is_lst if key == "lst" else np.array([d == key for d in self.driver], dtype=bool)

    def moves(self, by_driver: Mapping[str, float]) -> NDArray[np.float64]:
        """(R,) relative moves of the feeds, before the oracles' caps.

        A staked token moves by its base and its ratio together.
        """
        move = np.array([by_driver.get(d, 0.0) for d in self.driver])
        return np.where(self.is_lst, (1 + move) * (1 + by_driver.get("lst", 0.0)) - 1, move)

    @property
    def family(self) -> tuple[str, ...]:
        """(R,) the asset whose price each reserve follows: ETH, BTC, USD, or its own factor."""
        return tuple(_FAMILY.get(d, f) for d, f in zip(self.driver, self.factor, strict=True))

    @property
    def fixed(self) -> tuple[str, ...]:
        """Symbols of the reserves whose oracle price follows no driver."""
        return tuple(s for s, d in zip(self.symbol, self.driver, strict=True) if d == FIXED)
