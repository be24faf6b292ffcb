"""Stored forecasts with their scores, and the record of every law, as `forecast-ledger` keeps them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

import data
from dashboard.market.checks import Damaged
from dashboard.market.series import YEAR_10000

MEASURE = "lar_repaid"
"""The measure that the page shows: debt that liquidators repay."""
FAILS = 0.05
"""A test fails with a p-value below this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One stored forecast in USD, its outcome (None while it is not known), its state and scores."""

    run_id: str
    law: str
    horizon_seconds: int
    made_at: int
    valid_until: int
    sealed_at: int
    sha256: str
    value_90: float
    value_95: float
    value_99: float
    outcome: float | None
    state: str
    pit: float | None
    crps_usd: float | None
    evidence: float | None
    is_synthetic: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LawRecord:
    """Test results for one law's forecasts of one length at one level; see `mart_forecast_test`."""

    law: str
    horizon_seconds: int
    level: float
    n: int
    needed: int
    enough: int
    exceptions: int
    expected: float
    kupiec_p: float | None
    independence_p: float | None
    conditional_p: float | None
    cumulative: float | None
    zone: str | None
    pinball_usd: float | None
    crps_usd: float | None
    pit_p: float | None
    es_level: float
    evidence: float | None
    evidence_most: float | None
    is_synthetic: int

    @property
    def fails(self) -> bool:
        """Whether there are enough forecasts, and a test does not hold or Basel's zone is no longer green."""
        return bool(self.enough) and (self.zone != "green" or self.has_low_p)

    @property
    def has_low_p(self) -> bool:
        """Whether a test does not hold."""
        return any(p is not None and p < FAILS for p in (self.kupiec_p, self.independence_p, self.conditional_p))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Forecasts of debt repaid in one market, by time, and the record of every law."""

    market: str
    told: tuple[Told, ...]
    records: tuple[LawRecord, ...]

    def series(self) -> tuple[tuple[str, int], ...]:
        """Law and length of window in seconds of each series.

        Order: most tested first; then those that pass their tests at every level; then the smallest pinball loss at
        99 %.
        """
        known = dict.fromkeys((r.law, r.horizon_seconds) for r in self.records)
        return tuple(sorted(known, key=self._rank))

    def _rank(self, series: tuple[str, int]) -> tuple:
        mine = [r for r in self.records if (r.law, r.horizon_seconds) == series]
        loss = self.record(*series, 0.99).pinball_usd
        return (-mine[0].n, any(r.fails for r in mine), float("inf") if loss is None else loss, *series)

    def of(self, law: str, horizon_seconds: int) -> tuple[Told, ...]:
        """The forecasts of one series."""
        return tuple(t for t in self.told if (t.law, t.horizon_seconds) == (law, horizon_seconds))

    def record(self, law: str, horizon_seconds: int, level: float) -> LawRecord:
        """The record of one series at a level. Raises `KeyError`."""
        for record in self.records:
            if (record.law, record.horizon_seconds, record.level) == (law, horizon_seconds, level):
                return record
        raise KeyError((law, horizon_seconds, level))


def load_forecasts(market: str, path: Path | str | None) -> Ledger | None:
    """The stored ledger of a market, or None. Raises `Damaged` where a stored value is not valid."""
    told_columns, columns = ([field.name for field in fields(kind)] for kind in (Told, LawRecord))
    with data.store.Reader.open(path) as store, store.one_state():
        rows = store.rows(
            f"SELECT {', '.join(told_columns)} FROM mart_forecast_score WHERE market = ? AND measure = ? "
            "ORDER BY made_at, sealed_at, run_id",
            (market, MEASURE),
        )
        records = store.rows(
            f"SELECT {', '.join(columns)} FROM mart_forecast_test WHERE market = ? AND measure = ? "
            "ORDER BY law, horizon_seconds, level",
            (market, MEASURE),
        )
    if not rows or not records:
        return None
    return check_ledger(
        Ledger(
            market=market,
            told=tuple(Told(**dict(zip(told_columns, row, strict=True))) for row in rows),
            records=tuple(LawRecord(**dict(zip(columns, row, strict=True))) for row in records),
        )
    )


def check_ledger(ledger: Ledger) -> Ledger:
    """Return the ledger when every figure in it can be shown. Raises `Damaged`, which names the first that cannot."""
    for one in ledger.told:
        where = f"mart_forecast_score: run {str(one.run_id)[:12]}"
        for name in ("made_at", "valid_until", "sealed_at"):
            found = getattr(one, name)
            if not isinstance(found, int) or not 0 <= found < YEAR_10000:
                raise Damaged(f"{where}: expected seconds since 1970 as {name}, found {found!r:.60}")
        for name in ("value_90", "value_95", "value_99", "outcome", "evidence"):
            found = getattr(one, name)
            if found is None and name in ("outcome", "evidence"):
                continue
            if not isinstance(found, int | float) or not np.isfinite(found) or found < 0:
                raise Damaged(f"{where}: expected a number of at least 0 as {name}, found {found!r:.60}")
        if not one.value_90 <= one.value_95 <= one.value_99:
            raise Damaged(f"{where}: expected quantiles that rise with their level")
        if one.state == "tested" and one.outcome is None:
            raise Damaged(f"{where}: expected an outcome of a forecast that is tested, found none")
    for record in ledger.records:
        where = f"mart_forecast_test: {record.law!r:.40} at {record.level!r:.20}"
        if not (isinstance(record.n, int) and 0 <= record.exceptions <= record.n):
            raise Damaged(
                f"{where}: expected no more exceptions than {record.n!r:.20}, found {record.exceptions!r:.20}"
            )
        for name in ("kupiec_p", "independence_p", "conditional_p", "pit_p"):
            p = getattr(record, name)
            if p is not None and not (isinstance(p, int | float) and 0 <= p <= 1):
                raise Damaged(f"{where}: expected a share as {name}, found {p!r:.60}")
    levels = {(record.law, record.horizon_seconds): set() for record in ledger.records}
    for record in ledger.records:
        levels[record.law, record.horizon_seconds].add(record.level)
    for series, found in levels.items():
        if not {0.9, 0.95, 0.99} <= found:
            raise Damaged(f"mart_forecast_test: {series!r:.60} lacks a level; run `python -m flows forecast-ledger`")
    return ledger
