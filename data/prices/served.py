"""Stored prices that are served by default, as plain arrays. No pandas here: the workbench imports this module."""

from __future__ import annotations

import numpy as np

from data.prices.series import SERVED, SYNTHETIC
from data.store.reader import Reader


def served_closes(store: Reader, series: str, step: int, *, synthetic: bool) -> tuple[np.ndarray, np.ndarray]:
    """(times, prices) of a series at multiples of `step` seconds: int64 UTC seconds, rising, and float64 USD, (n,).

    Arrays of length 0 where none are stored. Values are as stored: nothing says that they are positive.
    """
    rows = store.rows(
        "SELECT ts, price_usd FROM dim_prices WHERE symbol = ? AND interval = '1h' AND is_synthetic = ? AND source = ? "
        "AND ts % ? = 0 ORDER BY ts",
        (series, int(synthetic), source(synthetic), step),
    )
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0].astype(np.int64), table[:, 1]


def served_series(store: Reader, *, synthetic: bool) -> list[str]:
    """Names of the series that have such prices, in alphabetical order."""
    sql = "SELECT DISTINCT symbol FROM dim_prices WHERE interval = '1h' AND is_synthetic = ? AND source = ? ORDER BY 1"
    return [str(row[0]) for row in store.rows(sql, (int(synthetic), source(synthetic)))]


def source(synthetic: bool) -> str:
    """The source that is served: generated prices for a sample, else the exchange's."""
    return SYNTHETIC if synthetic else SERVED


def newest_stretch(ts: np.ndarray, step: int) -> int:
    """Place in `ts` (n,), rising, from which on there is no gap: every time is `step` after the one before."""
    breaks = np.flatnonzero(np.diff(ts) != step)
    return int(breaks[-1]) + 1 if len(breaks) else 0
