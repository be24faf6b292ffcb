"""The USD price of a Chainlink feed at any time, from its stored rounds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from data.store.reader import Reader

DAY = 86_400
LATE = 1.1
"""Heartbeats after which a price no longer counts as current; `mart_feed_staleness` calls it stale."""
FALLBACK_HEARTBEAT = DAY
"""Seconds, for a feed without a published heartbeat: the longest in the list of known feeds."""


@dataclass(frozen=True, slots=True)
class FeedHistory:
    """Rounds of one feed in the order of time: `times` in UTC seconds, `prices` in USD; `heartbeat` in seconds."""

    times: tuple[int, ...]
    prices: tuple[float, ...]
    heartbeat: int

    def at(self, ts: int, longest: int | None = None, after: int = 0) -> float | None:
        """The newest price at a time, not older than `longest` seconds (None: 1.1 heartbeats); None without one.

        Where there is none, the next price is returned if it was set within `after` seconds.
        """
        place = bisect_right(self.times, ts) - 1
        if place >= 0 and ts - self.times[place] <= (LATE * self.heartbeat if longest is None else longest):
            return self.prices[place]
        if place + 1 < len(self.times) and self.times[place + 1] - ts <= after:
            return self.prices[place + 1]
        return None


def history(store: Reader, pair: str, first: int | None = None, last: int | None = None) -> FeedHistory | None:
    """Stored rounds of `pair` (such as USDC/USD) that were set in [first, last]; None where there are none.

    Of the chains that have the pair, the one with the lowest id is used (Ethereum before its rollups). Rounds that a
    retired aggregator made after its successor had begun, carried-over answers and answers that are no price are left
    out.
    """
    feeds = store.rows(
        "SELECT f.chain_id, f.feed, f.heartbeat_s FROM dim_feed AS f WHERE f.pair = ? AND EXISTS "
        "(SELECT 1 FROM stg_chainlink_prices AS s WHERE s.chain_id = f.chain_id AND s.feed = f.feed) "
        "ORDER BY f.chain_id, f.feed LIMIT 1",
        (pair,),
    )
    if not feeds:
        return None
    chain_id, feed, heartbeat = feeds[0]
    rows = store.rows(
        "SELECT updated_at, phase_id, price FROM stg_chainlink_prices WHERE chain_id = ? AND feed = ? "
        "AND price IS NOT NULL AND is_carried_over = 0 AND updated_at >= ? AND updated_at <= ? "
        "ORDER BY updated_at, phase_id, round_id",
        (chain_id, feed, 0 if first is None else first, 2**62 if last is None else last),
    )
    kept = _in_office(rows)
    if not kept:
        return None
    return FeedHistory(tuple(row[0] for row in kept), tuple(row[2] for row in kept), heartbeat or FALLBACK_HEARTBEAT)


def _in_office(rows: Sequence[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """The rounds of the phase that was the newest at their time."""
    kept, phase = [], 0
    for row in rows:
        phase = max(phase, row[1])
        if row[1] == phase:
            kept.append(row)
    return kept
