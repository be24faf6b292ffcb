"""Who has liquidated in a market, and how much debt they repaid when.

No pandas here; `_daily_moves` in `dashboard.market.loading` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.store.reader import Reader


@dataclass(frozen=True, slots=True, eq=False)
class Repaid:
    """Liquidations of a market, oldest first. All (n,).

    `ts`: UTC seconds of the block. `usd`: debt repaid, NaN where no price was known. `liquidator`: its address.
    """

    ts: np.ndarray
    usd: np.ndarray
    liquidator: tuple[str, ...]


def load_repaid(market: str, path: Path | str | None) -> Repaid:
    """Every stored liquidation of a market; one that took several collaterals counts once."""
    sql = (
        "SELECT block_timestamp, debt_amount_usd, coalesce(counterparty, '') FROM stg_lending_events WHERE market = ? "
        "AND event_type = 'liquidation' AND part = 0 ORDER BY block_timestamp, block_number, log_index"
    )
    with Reader.open(path) as store:
        rows = store.rows(sql, (market,))
    return Repaid(
        ts=np.array([row[0] for row in rows], dtype=np.int64),
        usd=np.array([np.nan if row[1] is None else row[1] for row in rows], dtype=np.float64),
        liquidator=tuple(row[2] for row in rows),
    )
