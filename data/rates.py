"""Interest rates of a stored snapshot, beside its market: fractions a year, as the pool has set them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import NoSnapshot
from data.snapshot.choosing import OF_THE_ENGINE
from data.store.reader import Reader
from risk_core import InputError, Market
from risk_core.units import RAY


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Of each reserve of a market, in its order: all (R,)."""

    supply: np.ndarray
    """fraction a year"""
    borrow: np.ndarray
    """fraction a year, variable"""
    since_update: np.ndarray
    """seconds from the last update of the indices to the block"""


def load_rates(market: Market, db: Path | str | None = None) -> Rates | None:
    """The rates stored with a market's snapshot; None for a protocol whose rates are not stored (all but Aave v3).

    `db`: file, None is `RISK_DB`. Raises `NoSnapshot` where a reserve of the market is not stored at its block, and
    `InputError` for an update after the block.
    """
    at = market.snapshot
    sql = (
        "SELECT r.asset, r.liquidity_rate, r.variable_borrow_rate, r.last_update_timestamp FROM raw_aave_reserves AS r "
        "JOIN fact_snapshot AS s ON s.market = r.market AND s.block = r.block "
        "WHERE r.market = ? AND r.block = ? AND coalesce(s.protocol, ?) = ?"
    )
    with Reader.open(db) as store:
        rows = {row[0]: row[1:] for row in store.rows(sql, (at.market, at.block, OF_THE_ENGINE, OF_THE_ENGINE))}
    if not rows:
        return None
    missing = [s for s, asset in zip(market.reserves.symbol, market.reserves.asset, strict=True) if asset not in rows]
    if missing:
        raise NoSnapshot(
            f"{at.market} at block {at.block}: raw_aave_reserves has no rates of {', '.join(missing)}; run "
            f"`python -m flows aave-market --block {at.block}` again"
        )
    columns = list(zip(*(rows[asset] for asset in market.reserves.asset), strict=True)) or [(), (), ()]
    since = np.array([at.block_time - updated for updated in columns[2]], dtype=np.float64)
    if (since < 0).any():
        raise InputError(
            f"{at.market} at block {at.block}: raw_aave_reserves.last_update_timestamp of "
            f"{market.reserves.symbol[int(np.argmax(since < 0))]} is after the block"
        )
    supply, borrow = (np.array([int(rate) / RAY for rate in columns[k]], dtype=np.float64) for k in (0, 1))
    return Rates(supply, borrow, since)
