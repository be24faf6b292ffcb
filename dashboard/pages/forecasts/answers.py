"""What the Forecasts page says: which series is shown, its verdict, its exceptions, and its places by level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy.stats import binom

from dashboard.market.forecasts import LawRecord, Ledger, Told
from risk_core.analytics import backtests

LEVELS = (0.9, 0.95, 0.99)
HOUR = 3_600
ALARM = 20.0
"""Evidence from which an expected shortfall is rejected at 5 %, whenever that is."""
PLACES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
"""Levels at which places of outcomes are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One series: a law's forecasts of one length, those that are tested, and its records by level."""

    law: str
    horizon_seconds: int
    told: tuple[Told, ...]
    records: dict[float, LawRecord]

    @property
    def tested(self) -> tuple[Told, ...]:
        """The forecasts that are tested, in order of time."""
        return tuple(one for one in self.told if one.state == "tested")

    @property
    def judged(self) -> LawRecord:
        """The record at the highest level at which there are enough forecasts; at 90 % where there are at none."""
        return next((self.records[level] for level in reversed(LEVELS) if self.records[level].enough),
                    self.records[LEVELS[0]])  # fmt: skip

    @property
    def synthetic(self) -> bool:
        """Whether forecasts and outcomes are made up."""
        return any(one.is_synthetic for one in self.told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of the outcomes the share at or below the forecast quantile of `level`, and what n right forecasts allow."""

    level: float
    share: float
    low: float
    high: float


def key_of(law: str, horizon_seconds: int) -> str:
    """A series as a link and a choice name it."""
    return f"{horizon_seconds}:{law}"


def chosen(ledger: Ledger, key: str | None) -> Shown:
    """The series of that key; the one that is tested most where the key names none."""
    series = ledger.series()
    law, horizon = next((one for one in series if key_of(*one) == key), series[0])
    return Shown(
        law=law,
        horizon_seconds=horizon,
        told=ledger.of(law, horizon),
        records={level: ledger.record(law, horizon, level) for level in LEVELS},
    )


def exceptions(shown: Shown) -> list[tuple[Told, float]]:
    """Tested forecasts that were exceeded with the highest level that was, the newest first."""
    found = []
    for one in reversed(shown.tested):
        passed = [level for level in LEVELS if one.outcome is not None and one.outcome > value_of(one, level)]
        if passed:
            found.append((one, passed[-1]))
    return found


def value_of(one: Told, level: float) -> float:
    """The forecast at a level."""
    return {0.9: one.value_90, 0.95: one.value_95, 0.99: one.value_99}[level]


def places(shown: Shown) -> list[Place]:
    """Where outcomes lie in their stored distributions, with the band that 95 % of right ledgers stay in."""
    pits = np.array([one.pit for one in shown.tested if one.pit is not None])
    if not len(pits):
        return []
    found = []
    for level in PLACES:
        low, high = (float(binom.ppf(end, len(pits), level)) / len(pits) for end in (0.025, 0.975))
        found.append(Place(level=level, share=float((pits <= level).mean()), low=low, high=high))
    return found


def chances(record: LawRecord) -> list[tuple[int, float, str]]:
    """(count, its chance under a right law, Basel's zone) of each number of exceptions that matters."""
    p, n = 1 - record.level, record.n
    most = min(n, max(int(binom.ppf(0.9999, n, p)), record.exceptions) + 2)
    return [
        (count, float(binom.pmf(count, n, p)), backtests.traffic_light(count, n, record.level))
        for count in range(most + 1)
    ]


def states(shown: Shown) -> dict[str, int]:
    """How many forecasts are tested, and how many not and why."""
    names = sorted(one.state for one in shown.told)
    return {name: len(list(group)) for name, group in groupby(names)}
