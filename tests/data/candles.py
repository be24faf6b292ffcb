"""Rows of `raw_binance_klines` to test layers on."""

from __future__ import annotations

import pandas as pd

HOUR = 3_600


def candles(symbol: str, closes: dict[int, str | float], interval: str = "1h") -> pd.DataFrame:
    """Finished candles with the given closing prices, by number of the hour they open in."""
    rows = [
        {
            "symbol": symbol, "interval": interval, "open_time": hour * HOUR, "open": str(close), "high": str(close),
            "low": str(close), "close": str(close), "volume": "1", "close_time": (hour + 1) * HOUR, "trades": 1,
            "source": "binance", "payload_sha256": "a" * 64,
        }
        for hour, close in closes.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)
