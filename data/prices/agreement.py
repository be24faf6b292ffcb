"""Find and note where two sources of `dim_prices` have different prices for the same series and time.

No price is averaged or corrected. The served price stays that of `data.prices.SERVED`; a row of `fact_validation` says
that another source contradicts it by more than the band.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from data.store.store import Store

TABLE = "dim_prices"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One series of two sources: `failed` of `compared` times are further apart than the band.

    `worst`: the largest |first / second - 1|, at `ts` (UTC seconds), where their prices are `first_usd` and
    `second_usd`.
    """

    symbol: str
    interval: str
    first: str
    second: str
    compared: int
    failed: int
    worst: float
    ts: int
    first_usd: float
    second_usd: float

    def __str__(self) -> str:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.ts))
        return (
            f"{self.symbol}: {self.failed:,} of {self.compared:,} {self.interval} prices, the worst at {at}: "
            f"{self.first} {self.first_usd:,.6g}, {self.second} {self.second_usd:,.6g} ({self.worst:.1%} apart)"
        )


def compared(
    store: Store, symbols: Sequence[str], interval: str, start: int, end: int, band: float, *, near: int = 0
) -> list[Disagreement]:
    """Every pair of sources of every series with a time in common in [start, end], whether or not they disagree.

    `band`: a larger relative difference counts as failed. `near`: seconds by which two times may differ and still be
    the same, 0 for bars.
    """
    marks = ", ".join("?" * len(symbols))
    # With max() SQLite gives the bare columns of the row that holds the maximum (documented, "bare columns").
    rows = store.rows(
        f"""
        SELECT symbol, interval, first, second, count(*), sum(apart > ?), max(apart), ts, a, b FROM (
          SELECT x.symbol, x.interval, x.source AS first, y.source AS second, x.ts, x.price_usd AS a, y.price_usd AS b,
            abs(x.price_usd / y.price_usd - 1) AS apart
          FROM dim_prices AS x JOIN dim_prices AS y
            ON y.symbol = x.symbol AND y.interval = x.interval AND y.source > x.source
            AND y.ts BETWEEN x.ts - ? AND x.ts + ?
          WHERE x.symbol IN ({marks}) AND x.interval = ? AND x.ts BETWEEN ? AND ?
            AND x.is_synthetic = 0 AND y.is_synthetic = 0
        ) GROUP BY symbol, interval, first, second ORDER BY symbol, first, second
        """,
        [band, near, near, *symbols, interval, start, end],
    )
    return [Disagreement(*row) for row in rows]


def note(store: Store, found: Sequence[Disagreement], band: float, run_id: str) -> None:
    """Write a row of `fact_validation` for each of `found` that has a failure."""
    rows = [
        {
            "run_id": run_id, "source": f"{one.first}, {one.second}", "batch_key": f"{one.symbol}:{one.interval}",
            "table_name": TABLE, "check_name": f"sources agree within {band:.3%}", "column_name": "price_usd",
            "n_failed": one.failed, "n_rows": one.compared, "example": str(one), "checked_at": int(time.time()),
        }
        for one in found
        if one.failed
    ]  # fmt: skip
    if rows:
        store.write_batch("price agreement", run_id, {"fact_validation": pd.DataFrame(rows)}, run_id=run_id)
