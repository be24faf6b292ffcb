"""Write a brief from the warehouse, or read a stored one."""

from __future__ import annotations

import time
from pathlib import Path

from data.brief.parts import Brief, Sentence
from data.brief.reading import rows_of
from data.brief.rules import sentences
from data.snapshot.loading import newest
from data.store.reader import Reader


def write(market: str | None = None, db: Path | str | None = None, now: int | None = None) -> Brief:
    """The brief of the newest snapshot of a market. now: UTC seconds, None is the clock.

    Stores nothing. Raises `NoSnapshot`, `SnapshotIncomplete`, `SnapshotRefused`, `ResultRefused`, `WarehouseError`.
    """
    at = newest(market, db)
    with Reader.open(db) as store:
        rows = rows_of(store, at, int(time.time()) if now is None else now)
    return Brief(
        market=at.market,
        block=at.block,
        block_time=at.block_time,
        synthetic=at.synthetic,
        before_block=rows.before.block if rows.before else None,
        sentences=sentences(rows),
    )


def stored(store: Reader, market: str) -> Brief | None:
    """The newest stored brief of a market, or None. Raises `DamagedValue`."""
    rows = store.rows(
        "SELECT block, block_time, is_synthetic, before_block, topic, kind, parts, command FROM mart_daily_brief "
        "WHERE market = ? AND block = (SELECT max(block) FROM mart_daily_brief WHERE market = ?) ORDER BY place",
        (market, market),
    )
    if not rows:
        return None
    block, block_time, synthetic, before = rows[0][:4]
    return Brief(
        market=market, block=block, block_time=block_time, synthetic=bool(synthetic), before_block=before,
        sentences=tuple(Sentence.of_record(*row[4:]) for row in rows),
    )  # fmt: skip
