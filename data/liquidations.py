"""Stored liquidations of a market, in order of time, and as the events to which a point process is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.store.reader import Reader
from risk_core.analytics.hawkes import EventTimes, on_clock

HOUR = 3_600
BLOCK_SECONDS = 12
"""Seconds that a block's time stands for, at most; fewer on a chain with closer blocks (`hawkes.on_clock`)."""
NAMED = ("ETH", "BTC")
"""Price factors of collateral that are kinds of their own; all others are `OTHER`."""
OTHER = "other"


class StoredLiquidations(NamedTuple):
    """Liquidations in (first, last], UTC seconds.

    seconds: (n,) times of their blocks, ascending. kinds: (n,) names, of `NAMED` or `OTHER`. usd: (n,) collateral
    taken, 0 where its value is not known.
    """

    seconds: np.ndarray
    kinds: tuple[str, ...]
    usd: np.ndarray
    first: int
    last: int


def stored_liquidations(store: Reader, market: str, first: int, last: int) -> StoredLiquidations:
    """The liquidations of a market in (first, last]; one that took several collaterals counts once."""
    rows = store.rows(
        "SELECT e.block_timestamp, a.factor, coalesce(e.amount_usd, 0.0) FROM stg_lending_events AS e "
        "LEFT JOIN dim_asset AS a ON a.market = e.market AND a.asset = e.asset WHERE e.market = ? "
        "AND e.event_type = 'liquidation' AND e.part = 0 AND e.block_timestamp > ? AND e.block_timestamp <= ? "
        "ORDER BY e.block_timestamp, e.block_number, e.log_index",
        (market, first, last),
    )
    return StoredLiquidations(
        seconds=np.array([row[0] for row in rows], dtype=np.int64),
        kinds=tuple(row[1] if row[1] in NAMED else OTHER for row in rows),
        usd=np.array([row[2] for row in rows], dtype=np.float64),
        first=first,
        last=last,
    )


def oldest_liquidation(store: Reader, market: str) -> int | None:
    """UTC seconds of the oldest stored liquidation of a market, None where there is none."""
    sql = "SELECT min(block_timestamp) FROM stg_lending_events WHERE market = ? AND event_type = 'liquidation'"
    return store.rows(sql, (market,))[0][0]


def events_of(found: StoredLiquidations, names: Sequence[str]) -> EventTimes:
    """The liquidations as events in hours from `first`, of the kinds `names`; a kind that is not named is `OTHER`."""
    place = {name: i for i, name in enumerate(names)}
    rest = place.get(OTHER, 0)
    return on_clock(
        found.seconds,
        [place.get(kind, rest) for kind in found.kinds],
        begin=found.first,
        end=found.last,
        n_kinds=len(names),
        clock=BLOCK_SECONDS,
        unit=HOUR,
    )


def largest_day(store: Reader, market: str, last: int) -> float | None:
    """The most debt that was repaid in 24 hours by liquidations of a market up to `last` (UTC seconds), USD.

    One without a known price counts nothing. None where no liquidation is stored.
    """
    rows = store.rows(
        "SELECT block_timestamp, coalesce(debt_amount_usd, 0.0) FROM stg_lending_events WHERE market = ? "
        "AND event_type = 'liquidation' AND part = 0 AND block_timestamp <= ? ORDER BY block_timestamp",
        (market, last),
    )
    if not rows:
        return None
    return most_in_a_day(np.array([row[0] for row in rows], dtype=np.int64), np.array([row[1] for row in rows]))


def most_in_a_day(seconds: np.ndarray, usd: np.ndarray) -> float:
    """The largest sum of `usd` (n,) within 24 hours; seconds: (n,) their times, ascending, n above 0."""
    total = np.concatenate([[0.0], np.cumsum(usd)])
    first = np.searchsorted(seconds, seconds - 24 * HOUR, side="right")
    return float((total[np.searchsorted(seconds, seconds, side="right")] - total[first]).max())
