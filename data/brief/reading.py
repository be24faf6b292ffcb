"""Read the rows for a brief: of the day that ends at the newest snapshot, and of the day before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.errors import DataError, NoResult
from data.results.figures import Figure
from data.results.runs import RiskRun, latest, read
from data.snapshot.loading import available, load_market
from data.store.reader import Reader
from risk_core import RiskCoreError, Snapshot, accounts

DAY, HOUR = 86_400, 3_600
READ_LATE = 6 * HOUR
"""Events that were read up to this many seconds before the snapshot still tell of its day."""
NEAREST, FURTHEST = 20 * HOUR, 48 * HOUR
"""An older snapshot counts as of the day before when it is between these many seconds older."""
WATCHED = 1.1
"""Health factor below which an account is watched, as on the Overview."""


@dataclass(frozen=True, slots=True)
class Book:
    """Debt of one snapshot, all of it and that of accounts below `WATCHED`."""

    market: str
    block: int
    block_time: int
    debt_usd: float
    n_watched: int
    watched_usd: float
    n_below_one: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows by subject; None or empty where none is stored. `before` and `run_before` are of the day before."""

    now: Book
    before: Book | None
    run: RiskRun | None
    run_before: RiskRun | None
    events: Mapping[str, list[tuple]]
    """event type to rows (chain_id, block_number, log_index, block_timestamp, amount_usd) of 3 days, newest first."""
    read: tuple[str, int, int] | None
    """(source, first_time, last_time) of `raw_lending_reads`: the time over which events are stored without a gap."""
    pegs: Mapping[str, list[tuple]] = field(default_factory=dict)
    """token to rows (source, ts, status, deviation_bps) of two days, newest first."""
    clusters: list[dict[str, Any]] = field(default_factory=list)
    """Rows of mart_cluster_probability of one question and one fit, newest first."""
    late: list[tuple] = field(default_factory=list)
    """(table_name, age_s, every_s) of tables that are late."""
    n_followed: int = 0
    """Number of tables with a largest allowed age."""
    refused: list[tuple] = field(default_factory=list)
    """(table_name, rows, newest time) of rows that were refused in the last day and are still open."""


def rows_of(store: Reader, at: Snapshot, now: int) -> Rows:
    """All rows that a brief of the snapshot needs. now: UTC seconds of the clock, for ages and refusals.

    Raises `DataError` where the snapshot cannot be read.
    """
    before = next(
        (
            old
            for old in available(db=store.path)
            if old.market == at.market and NEAREST <= at.block_time - old.block_time <= FURTHEST
        ),
        None,
    )
    run = _newest_run(store, at)
    return Rows(
        now=_book(store, at),
        before=_book_if_readable(store, before),
        run=run,
        run_before=_run_before(store, at, run),
        events={kind: _events(store, at, kind) for kind in ("liquidation", "deficit")},
        read=_read_span(store, at),
        pegs=_pegs(store, at),
        clusters=_clusters(store, at),
        late=_late(store, now) if not at.synthetic else [],
        n_followed=0
        if at.synthetic  # a sample has one age for ever: nothing is looked at, so nothing is said
        else store.rows("SELECT count(*) FROM mart_freshness WHERE every_s IS NOT NULL")[0][0],
        refused=store.rows(
            "SELECT table_name, count(*), max(quarantined_at) FROM quarantine WHERE state = 'open' "
            "AND quarantined_at > ? GROUP BY table_name ORDER BY count(*) DESC, table_name",
            (now - DAY,),
        ),
    )


def _book(store: Reader, at: Snapshot) -> Book:
    market = load_market(at.block, at.market, store.path)
    _, debt = accounts.totals(market)
    health = accounts.health_factor(market)
    watched = (health < WATCHED) & (debt > 0)
    return Book(
        at.market, at.block, at.block_time, float(debt.sum()), int(watched.sum()), float(debt[watched].sum()),
        int(np.count_nonzero((health < 1) & (debt > 0))),
    )  # fmt: skip


def _book_if_readable(store: Reader, at: Snapshot | None) -> Book | None:
    try:
        return _book(store, at) if at is not None else None
    except (DataError, RiskCoreError):  # an incomplete old snapshot is not used
        return None


def _newest_run(store: Reader, at: Snapshot) -> RiskRun | None:
    try:
        return latest(store.path, market=at.market, snapshot_hash=at.hash)
    except NoResult:
        return None


def _run_before(store: Reader, at: Snapshot, run: RiskRun | None) -> RiskRun | None:
    if run is None:
        return None
    found = store.rows(
        "SELECT run_id FROM fact_risk_run WHERE market = ? AND scenario_id = ? AND is_synthetic = ? "
        "AND block_time BETWEEN ? AND ? ORDER BY block_time DESC, created_at DESC, run_id LIMIT 1",
        (at.market, run.scenario_id, int(at.synthetic), at.block_time - FURTHEST, at.block_time - NEAREST),
    )
    return read(store, found[0][0]) if found else None


def _read_span(store: Reader, at: Snapshot) -> tuple[str, int, int] | None:
    """The span of events that reaches furthest towards the snapshot, cut off at its time."""
    found = store.rows(
        "SELECT source, first_time, min(last_time, ?1) FROM raw_lending_reads WHERE market = ?2 AND first_time < ?1 "
        "ORDER BY 3 DESC, 2 LIMIT 1",
        (at.block_time, at.market),
    )
    return found[0] if found else None


def _events(store: Reader, at: Snapshot, kind: str) -> list[tuple]:
    return store.rows(
        "SELECT chain_id, block_number, log_index, block_timestamp, amount_usd FROM stg_lending_events "
        "WHERE market = ? AND event_type = ? AND part = 0 AND block_timestamp > ? AND block_timestamp <= ? "
        "ORDER BY block_timestamp DESC, block_number DESC, log_index DESC",
        (at.market, kind, at.block_time - 3 * DAY, at.block_time),
    )


def _pegs(store: Reader, at: Snapshot) -> dict[str, list[tuple]]:
    found = store.rows(
        "SELECT token, source, ts, status, deviation_bps FROM mart_peg_health WHERE is_synthetic = ? AND ts > ? "
        "AND ts <= ? ORDER BY token, ts DESC",
        (int(at.synthetic), at.block_time - 2 * DAY, at.block_time),
    )
    by_token: dict[str, list[tuple]] = {}
    for token, *row in found:
        by_token.setdefault(token, []).append(tuple(row))
    return by_token


_CLUSTER = (
    "market", "ts", "horizon_seconds", "within_seconds", "at_least", "calibration_id", "probability", "low", "high",
)  # fmt: skip


def _clusters(store: Reader, at: Snapshot) -> list[dict[str, Any]]:
    newest = store.rows(
        f"SELECT {', '.join(_CLUSTER)} FROM mart_cluster_probability WHERE market = ? AND ts <= ? "
        "ORDER BY ts DESC, batch DESC LIMIT 1",
        (at.market, at.block_time),
    )
    if not newest:
        return []
    first = dict(zip(_CLUSTER, newest[0], strict=True))
    same = store.rows(
        f"SELECT {', '.join(_CLUSTER)} FROM mart_cluster_probability WHERE market = ? AND horizon_seconds = ? "
        "AND within_seconds = ? AND at_least = ? AND calibration_id = ? AND ts <= ? ORDER BY ts DESC LIMIT 2",
        (*(first[name] for name in ("market", "horizon_seconds", "within_seconds", "at_least", "calibration_id")),
         first["ts"]),
    )  # fmt: skip
    return [dict(zip(_CLUSTER, row, strict=True)) for row in same]


def _late(store: Reader, now: int) -> list[tuple]:
    # As the view `freshness`, but at the given time.
    return store.rows(
        "SELECT table_name, ? - coalesce(newest_at, written_at) AS age, every_s FROM mart_freshness "
        "WHERE every_s IS NOT NULL AND ? - coalesce(newest_at, written_at) > every_s ORDER BY age DESC",
        (now, now),
    )


def figure(run: RiskRun | None, measure: str, level: float) -> Figure | None:
    """A stored figure, or None where there is no run or it does not have the figure."""
    return run.figures.get((measure, level)) if run is not None else None
