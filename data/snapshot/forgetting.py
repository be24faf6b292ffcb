"""Choose and remove old snapshots; the state at other blocks does not change."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from data.errors import DataError
from data.schemas.tables import tables
from data.snapshot.untouched import ACCOUNT_TABLES
from data.store import validity
from data.store.batches import Effect, next_batch, note_batch
from data.store.reader import Reader
from data.store.store import MANUAL_RUN, Store

SPACING = {"all": 0, "hourly": 3_600, "daily": 86_400, "weekly": 604_800}
"""Length in seconds of the intervals (UTC) of which the first snapshot is kept."""
KEEP = "hourly 30 days, daily 365 days, weekly"
_RULE = re.compile(r"(all|hourly|daily|weekly)(?:\s+(\d{1,5})\s+days?)?")
_BY_BLOCK = ("raw_aave_reserves", "raw_aave_emodes", "raw_aave_account_data", "fact_snapshot")


class Rule(NamedTuple):
    """Keep the first snapshot of every interval of `spacing` seconds for `age` seconds; None: for ever."""

    spacing: int
    age: int | None


@dataclass(frozen=True, slots=True)
class Fate:
    """A stored snapshot and the reason why it stays (`kept`), "" where it may be removed."""

    market: str
    block: int
    time: int
    kept: str


def rules(text: str = KEEP) -> list[Rule]:
    """Parse rules such as "hourly 30 days, daily 365 days, weekly". Raises `DataError`."""
    found = []
    for part in text.split(","):
        match = _RULE.fullmatch(part.strip().lower())
        if match is None:
            raise DataError(
                f"--keep: expected rules such as {KEEP!r} (all, hourly, daily or weekly, each with a number of days or "
                f"for ever), found {part.strip()!r}"
            )
        found.append(Rule(SPACING[match[1]], int(match[2]) * 86_400 if match[2] else None))
    return found


def fates(store: Reader, keep: Sequence[Rule], now: int, market: str | None = None) -> list[Fate]:
    """Each stored snapshot with the reason why it stays, by market and block.

    The newest snapshot of each market and those with a stored risk run always stay, whatever `keep` says.
    """
    rows = store.rows(
        "SELECT s.market, s.block, s.block_time, "
        "(SELECT count(*) FROM fact_risk_run AS r WHERE r.snapshot_hash = s.snapshot_hash), "
        "s.block = (SELECT max(o.block) FROM fact_snapshot AS o WHERE o.market = s.market) "
        "FROM fact_snapshot AS s WHERE ?1 IS NULL OR s.market = ?1 ORDER BY s.market, s.block",
        (market,),
    )
    seen: set[tuple[str, int, int]] = set()
    found = []
    for name, block, at, runs, newest in rows:
        kept = "newest of its market" if newest else f"{runs} risk runs rest on it" if runs else ""
        for number, rule in enumerate(keep):
            slot = (name, number, at // rule.spacing if rule.spacing else block)
            if slot not in seen and (rule.age is None or now - at <= rule.age):
                kept = kept or _rule_text(rule)
            seen.add(slot)
        found.append(Fate(name, block, at, kept))
    return found


def _rule_text(rule: Rule) -> str:
    name = next(name for name, spacing in SPACING.items() if spacing == rule.spacing)
    return f"{name}, " + ("for ever" if rule.age is None else f"up to {rule.age // 86_400} days")


def forget(store: Store, snapshots: Iterable[tuple[str, int]], run_id: str = MANUAL_RUN) -> int:
    """Remove snapshots (market, block), each in a transaction of its own; returns how many were removed.

    One that is not there, or on which a stored risk run rests, is left alone.

    The state at other blocks does not change: a balance that began at a removed block begins at the next block.
    """
    gone = 0
    for market, block in snapshots:
        with store.transaction() as connection:
            at = (market, block)
            removable = connection.execute(
                "SELECT 1 FROM fact_snapshot AS s WHERE s.market = ? AND s.block = ? AND NOT EXISTS "
                "(SELECT 1 FROM fact_risk_run AS r WHERE r.snapshot_hash = s.snapshot_hash)",
                at,
            ).fetchone()
            if not removable:
                continue
            number = next_batch(connection)
            effects = [
                Effect(name, 0, validity.drop(connection, tables()[name], market, block, number), 0, None)
                for name in ACCOUNT_TABLES
            ]
            for name in _BY_BLOCK:
                removed = connection.execute(f"DELETE FROM {name} WHERE market = ? AND block = ?", at).rowcount
                effects.append(Effect(name, 0, 0, removed, None))
            note_batch(
                connection,
                number,
                "retention",
                f"{market}:{block}",
                run_id=run_id,
                payload_sha256="",
                at=int(time.time()),
                effects=effects,
            )
            gone += 1
    return gone
