"""The stored blocks of a market, for looking back: what was owed at each, and the forecast where a run is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dashboard.market.checks import Damaged, is_number
from data import amounts
from data.snapshot.choosing import ENGINE
from data.store import Reader
from risk_core.units import USD

SHOWN = 400
"""Blocks whose debt and forecast are read: the newest ones, where there are more the first one of each UTC day."""
RECENT = 100
"""Of these, the newest ones that are read whatever their day."""
HORIZON = 86_400
"""Seconds of the forecasts that a timeline shows."""
DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """A block that was read. `time`: UTC seconds. `hash`: of the snapshot.

    `debt_usd`: all debt at the oracle's prices; None for a block that is not `valued`. `lar_usd`, `low`, `high`: LaR
    99 % of debt repaid over 24 h with its 95 % interval, of the newest run stored on this block; None without one.
    `few_draws`: too few paths lie beyond the level for an interval.
    `looks_ahead`: that run saw later prices, so it is no forecast.
    """

    block: int
    time: int
    hash: str
    debt_usd: float | None = None
    lar_usd: float | None = None
    low: float | None = None
    high: float | None = None
    few_draws: bool = False
    looks_ahead: bool = False

    @property
    def valued(self) -> bool:
        """Whether its debt was read."""
        return self.debt_usd is not None


def load_blocks(store: Reader, market: str) -> tuple[StoredBlock, ...]:
    """Every stored block of `market`, oldest first; those of a timeline with their values. Raises `Damaged`."""
    rows = store.rows(
        f"SELECT block, block_time, snapshot_hash FROM fact_snapshot WHERE market = ? AND {ENGINE} "
        "ORDER BY block_time, block",
        (market,),
    )
    blocks = [StoredBlock(block=block, time=time, hash=digest) for block, time, digest in rows]
    wanted = {at.block for at in timeline(blocks)}
    runs = _runs(store, market)
    return tuple(
        replace(at, debt_usd=_debt(store, market, at), **runs.get(at.hash, {})) if at.block in wanted else at
        for at in blocks
    )


def timeline(blocks: Sequence[StoredBlock]) -> list[StoredBlock]:
    """At most `SHOWN` of blocks in order of time: all, or the newest and the first one of each UTC day before them."""
    if len(blocks) <= SHOWN:
        return list(blocks)
    older, recent = blocks[:-RECENT], blocks[-RECENT:]
    first: dict[int, StoredBlock] = {}
    for at in older:
        first.setdefault(at.time // DAY, at)
    return [*list(first.values())[-(SHOWN - RECENT) :], *recent]


def _runs(store: Reader, market: str) -> dict[str, dict[str, float | bool | None]]:
    """LaR of the newest run on each snapshot, by the snapshot's hash."""
    rows = store.rows(
        "SELECT r.snapshot_hash, f.value, f.low, f.high, f.few_draws, json_extract(c.value, '$.looks_ahead') "
        "FROM fact_snapshot AS s JOIN fact_risk_run AS r ON r.market = s.market AND r.snapshot_hash = s.snapshot_hash "
        "JOIN fact_risk_scenarios AS f ON f.run_id = r.run_id AND f.measure = 'lar_repaid' AND f.level = 0.99 "
        "LEFT JOIN fact_risk_series AS c ON c.run_id = r.run_id AND c.series = 'calibration' "
        "WHERE s.market = ? AND r.horizon_seconds = ? ORDER BY r.created_at, r.run_id DESC",
        (market, HORIZON),
    )
    found = {}
    for digest, value, low, high, few, ahead in rows:
        for number in (value, low, high):
            if not (is_number(number) or (number is None and value is not None)):
                raise Damaged(f"lar_repaid at 0.99 of snapshot {str(digest)[:12]}: expected a number, found {number!r}")
        if few:
            low = high = None  # as on every page: so few paths give no error
        found[digest] = {
            "lar_usd": value, "low": low, "high": high, "few_draws": bool(few), "looks_ahead": bool(ahead),
        }  # fmt: skip
    return found


_TERMS = (
    "reserve_id", "decimals", "liquidity_index", "liquidity_rate", "variable_borrow_index", "variable_borrow_rate",
    "last_update_timestamp", "scaled_debt_supply", "price_raw",
)  # fmt: skip


def _debt(store: Reader, market: str, at: StoredBlock) -> float:
    """USD owed at a block: what every debt token's total supply is worth."""
    rows: Iterable[tuple] = store.rows(
        f"SELECT {', '.join(_TERMS)} FROM raw_aave_reserves WHERE market = ? AND block = ? AND price_raw IS NOT NULL",
        (market, at.block),
    )
    columns = {name: [row[place] for row in rows] for place, name in enumerate(_TERMS)}
    terms = amounts.terms(columns, at.time)
    return sum(
        terms[number].owed(int(scaled)) / terms[number].unit * int(price) / USD
        for number, scaled, price in zip(
            *(columns[name] for name in ("reserve_id", "scaled_debt_supply", "price_raw")), strict=True
        )
    )
