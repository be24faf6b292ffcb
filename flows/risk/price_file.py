"""Hourly closing prices from a Parquet or CSV file, or the reason why they cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from flows.errors import FlowError
from flows.table_file import read_table

COLUMNS = ("symbol", "ts", "close")
HOUR = 3600
LONGEST_GAP = 6
"""Hours without a price that are bridged with the price before them; exchanges have halted for 5."""
LATEST = 10_000_000_000
"""Seconds of the year 2286: a greater time is in milliseconds."""
QUOTES = ("USDT", "USDC", "USD")


class BadPrices(FlowError):
    """A price file, or stored series, cannot be backtested: the message says which row or series, and why."""


def read(path: Path, symbols: Sequence[str], longest_gap: int = LONGEST_GAP) -> tuple[pd.DataFrame, dict[str, int]]:
    """(prices, bridged hours of each symbol) of `symbols` in the file.

    prices: a column for each symbol in USD, an index of every hour that all of them span, in UTC seconds. A symbol is
    found by its own name, or as a pair against a dollar (ETHUSDT, ETH/USD) where the file has one such. Raises
    `BadPrices`, `ConfigurationError`.
    """
    table = read_table(path, "--prices", BadPrices)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise BadPrices(
            f"{path}: has no column {', '.join(missing)}; expected symbol, ts (whole seconds UTC) and close (USD), "
            f"found {', '.join(map(repr, table.columns))}"
        )
    table = table[list(COLUMNS)]
    if not len(table):
        raise BadPrices(f"{path}: holds no row")
    names = {symbol: _name_of(symbol, table["symbol"], path) for symbol in symbols}
    parts = {}
    for symbol, name in names.items():
        rows = table.loc[table["symbol"] == name, ["ts", "close"]]
        parts[symbol] = _series(rows, f"{path}: {name}")
    return on_the_hour(parts, str(path), longest_gap)


def on_the_hour(
    parts: dict[str, pd.Series], where: str, longest_gap: int = LONGEST_GAP
) -> tuple[pd.DataFrame, dict[str, int]]:
    """(series on the hours that all of them span, hours bridged in each). Raises `BadPrices`.

    parts: by symbol, prices with rising times (index, UTC seconds).
    """
    first, last = max(part.index[0] for part in parts.values()), min(part.index[-1] for part in parts.values())
    if first >= last:
        raise BadPrices(f"{where}: {', '.join(parts)} have no time in common")
    grid = range(int(first), int(last) + 1, HOUR)
    bridged = {}
    for symbol, part in parts.items():
        inside = part.loc[first:last]
        steps = pd.Series(inside.index).diff()
        longest = int(steps.max()) // HOUR - 1
        if longest > longest_gap:
            at = int(inside.index[int(steps.argmax()) - 1])
            raise BadPrices(
                f"{where}: {symbol} has no price for {longest:,} hours after {at} ({utc(at)}); up to {longest_gap} are "
                "bridged. Give a file without the hole, a part of it, or another --longest-gap"
            )
        bridged[symbol] = len(grid) - len(inside)
    frame = pd.DataFrame({symbol: part.reindex(grid) for symbol, part in parts.items()}).ffill()
    return frame, bridged


def _name_of(symbol: str, found: pd.Series, path: Path) -> str:
    """The file's own name of a symbol. Raises `BadPrices` where there is none, or more than one."""
    names = sorted({str(name) for name in found.unique()})
    forms = {symbol.upper()} | {f"{symbol.upper()}{between}{quote}" for quote in QUOTES for between in ("", "/", "-")}
    fitting = [name for name in names if name.upper() == symbol.upper()] or [
        name for name in names if name.upper() in forms
    ]
    if len(fitting) != 1:
        choices = f"several: {', '.join(map(repr, fitting))}" if fitting else f"{', '.join(map(repr, names[:12]))}"
        raise BadPrices(f"{path}: expected one symbol {symbol}, found {choices}; name others with --symbols")
    return fitting[0]


def _series(rows: pd.DataFrame, where: str) -> pd.Series:
    """Prices by time, rising, each hour once."""
    ts, close = rows["ts"], pd.to_numeric(rows["close"], errors="coerce")
    if not pd.api.types.is_integer_dtype(ts):
        whole = pd.to_numeric(ts, errors="coerce") if not pd.api.types.is_datetime64_any_dtype(ts) else None
        if whole is None or not (np.isfinite(whole) & (whole % 1 == 0)).all():
            raise BadPrices(f"{where}: ts is of type {ts.dtype}; expected whole seconds since 1970, UTC")
        ts = whole.astype("int64")
    bad = ~(ts.between(0, LATEST))
    if bad.any():
        raise BadPrices(f"{where}: ts {ts[bad].iloc[0]} is no time in seconds (milliseconds?)")
    wrong = ~(np.isfinite(close) & (close > 0))
    if wrong.any():
        at = int(ts[wrong].iloc[0])
        raise BadPrices(
            f"{where}: close is {rows['close'][wrong].iloc[0]!r} at {at} ({utc(at)}); expected a positive price in USD"
        )
    prices = pd.Series(close.to_numpy(dtype=float), index=ts.to_numpy()).sort_index()
    twice = prices.index.duplicated()
    if twice.any():
        at = int(prices.index[twice][0])
        raise BadPrices(f"{where}: {int(twice.sum()):,} times come twice, first {at} ({utc(at)}); expected each once")
    off = np.flatnonzero((prices.index.to_numpy() - prices.index[0]) % HOUR)
    if len(off):
        at = int(prices.index[off[0]])
        raise BadPrices(
            f"{where}: {len(off):,} rows are not whole hours after the first ({int(prices.index[0])}), such as {at} "
            f"({utc(at)}); expected hourly closes"
        )
    # Some files say 00:59:59 where they mean 01:00.
    return prices.set_axis((prices.index + HOUR // 2) // HOUR * HOUR)


def utc(seconds: int) -> str:
    """UTC epoch seconds as an ISO date and time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
