"""From stored prices to the scenario of a market: which factor moves each reserve, how much, and together with which.

Volatility is exponentially weighted over hourly log returns with RiskMetrics' daily decay of 0.94 (0.94^(1/24) an
hour); correlation is Ledoit-Wolf over the same window. Prices up to the snapshot's block are used. Where there are
not enough of them, the newest prices are, and the calibration says that it looks ahead: good for a what-if, useless
as evidence in a backtest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from flows.errors import FlowError
from risk_core import Market, Scenario, calibrate
from risk_core.dependence import DECAY, hourly_decay
from risk_core.price_models import FIXED

INTERVAL = "1h"
HOUR = 3600
DAY = 86_400
WINDOW_DAYS = 90
LEAST_DAYS = 14
"""With less history than this a volatility is a guess."""
FLOOR = 0.005
"""Least annual volatility: a stable pair that did not move in the window is not riskless."""
STALE_DAYS = 2
"""Prices that end this long before the block are used, and said to be old."""

LoadPrices = Callable[[Sequence[str], int, int], pd.DataFrame]
"""(series, first, last) -> prices in USD, one column a series, index UTC seconds; missing values are NaN."""


class InsufficientHistory(FlowError):
    """A price series is too short to calibrate from."""


class InconsistentMapping(FlowError):
    """dim_asset contradicts itself: one factor, several price series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A calibrated `scenario`, and where it came from.

    `record`: JSON-ready, with the price window, estimators and every factor's series. `notes`: what a reader must
    be told. `factors` are ordered by their first reserve.
    """

    scenario: Scenario
    record: dict[str, Any]
    notes: tuple[str, ...]


def factors_of(market: Market, mapping: pd.DataFrame) -> tuple[dict[str, str], np.ndarray]:
    """Factor -> price series, in order of the reserves, and the factor of each reserve, (R,) int64, -1 for fixed.

    `mapping`: rows of dim_asset of this market. Raises `InconsistentMapping`.
    """
    rows = mapping.set_index("asset")
    series: dict[str, str] = {}
    index = np.full(market.n_reserves, FIXED, dtype=np.int64)
    for number, asset in enumerate(market.reserves.asset):
        row = rows.loc[asset]
        if row["kind"] == "fixed":
            continue
        factor = str(row["factor"])
        known = series.setdefault(factor, str(row["series"]))
        if known != row["series"]:
            raise InconsistentMapping(
                f"dim_asset: factor {factor} follows {known} for one reserve and {row['series']} for {row['symbol']}; "
                "one factor has one series"
            )
        index[number] = list(series).index(factor)
    return series, index


def calibrate_scenario(
    market: Market,
    mapping: pd.DataFrame,
    load: LoadPrices,
    *,
    name: str = "baseline-24h",
    horizon: timedelta = timedelta(hours=24),
    n_steps: int = 24,
) -> Calibration:
    """The zero-drift scenario of `market` over `horizon` in `n_steps`.

    Raises `InsufficientHistory` (names the series), `InconsistentMapping`.
    """
    series, index = factors_of(market, mapping)
    prices, looks_ahead = _window(list(series.values()), market.snapshot.block_time, load)
    returns = _log_returns(prices[list(series.values())])
    if series:
        volatility, correlation = calibrate(returns.to_numpy(), 365 * 24, decay=hourly_decay(DECAY), floor=FLOOR)
    else:
        volatility, correlation = np.zeros(0), np.zeros((0, 0))
    scenario = Scenario(
        name=name, horizon=horizon, n_steps=n_steps, factors=tuple(series), volatility=volatility,
        correlation=correlation, factor=index,
    )  # fmt: skip
    record = {
        "series": series,
        "interval": INTERVAL,
        "first": int(prices.index.min()) if series else None,
        "last": int(prices.index.max()) if series else None,
        "n_returns": len(returns),
        "looks_ahead": looks_ahead,
        "volatility": f"EWMA, decay {DECAY} a day, floor {FLOOR}",
        "correlation": "Ledoit-Wolf",
    }
    return Calibration(scenario=scenario, record=record, notes=_notes(market, prices, looks_ahead) if series else ())


def _window(series: list[str], block_time: int, load: LoadPrices) -> tuple[pd.DataFrame, bool]:
    if not series:
        return pd.DataFrame(), False
    before = load(series, block_time - WINDOW_DAYS * DAY, block_time)
    if _history(before, series)[1] >= LEAST_DAYS * 24:
        return before, False
    every = load(series, 0, 2**40)
    newest = int(every.index.max()) if len(every) else 0
    latest = every.loc[every.index > newest - WINDOW_DAYS * DAY]
    name, hours = _history(latest, series)
    if hours < LEAST_DAYS * 24:
        raise InsufficientHistory(
            f"{name} has {hours / 24:.1f} days of hourly prices, at least {LEAST_DAYS} are needed; "
            f"run `python -m flows market-prices --days {WINDOW_DAYS} --symbols {' '.join(sorted(set(series)))}`"
        )
    return latest, newest > block_time


def _history(prices: pd.DataFrame, series: Sequence[str]) -> tuple[str, int]:
    """The series with the fewest prices, and the number of hourly returns that all series have in common."""
    counts = {name: int(prices[name].count()) if name in prices else 0 for name in series}
    shortest = min(counts, key=counts.__getitem__)
    return shortest, len(_log_returns(prices[list(series)])) if counts[shortest] > 1 else 0


def _log_returns(prices: pd.DataFrame) -> pd.DataFrame:
    # On the full grid first: a return over a hole would be taken for one hour's move.
    if not len(prices.columns):
        return prices
    grid = range(int(prices.index.min()), int(prices.index.max()) + 1, HOUR)
    return np.log(prices.reindex(grid)).diff().dropna()


def _notes(market: Market, prices: pd.DataFrame, looks_ahead: bool) -> tuple[str, ...]:
    last, block_time = int(prices.index.max()), market.snapshot.block_time
    notes = []
    if looks_ahead:
        notes.append(
            f"calibrated on prices from {_day(prices.index.min())} to {_day(last)}, which are later than the block "
            f"({_day(block_time)}): too few were stored from before it"
        )
    elif last < block_time - STALE_DAYS * DAY:
        notes.append(f"prices end on {_day(last)}, before the block ({_day(block_time)}); market-prices renews them")
    return tuple(notes)


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d}"
