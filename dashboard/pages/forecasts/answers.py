"""Figures of the Forecasts page: the chosen series, its verdict, its exceptions, and shares of outcomes by level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy.stats import binom

from dashboard.market.forecasts import LawRecord, Ledger, Told
from data.results.figures import LEVELS
from risk_core.analytics import accuracy, backtests

HOUR = 3_600
ALARM = 20.0
"""Evidence that rejects an expected shortfall at 5 %, at any time."""
PLACES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
"""Levels at which outcomes at or below the forecast are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One series: a law's forecasts of one length, and its records by level."""

    law: str
    horizon_seconds: int
    told: tuple[Told, ...]
    records: dict[float, LawRecord]

    @property
    def tested(self) -> tuple[Told, ...]:
        """The tested forecasts, by time."""
        return tuple(one for one in self.told if one.state == "tested")

    @property
    def judged(self) -> LawRecord:
        """The record at the highest level with enough forecasts; that at 90 % where no level has enough."""
        return next((self.records[level] for level in reversed(LEVELS) if self.records[level].enough),
                    self.records[LEVELS[0]])  # fmt: skip

    @property
    def synthetic(self) -> bool:
        """Whether any forecast is synthetic."""
        return any(one.is_synthetic for one in self.told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Share of outcomes at or below the forecast quantile of `level`, and the range for n right forecasts."""

    level: float
    share: float
    low: float
    high: float


def key_of(law: str, horizon_seconds: int) -> str:
    """The key of a series in links and in the choice."""
    return f"{horizon_seconds}:{law}"


def chosen(ledger: Ledger, key: str | None) -> Shown:
    """The series of a key; the most tested one for another key."""
    series = ledger.series()
    law, horizon = next((one for one in series if key_of(*one) == key), series[0])
    return Shown(
        law=law,
        horizon_seconds=horizon,
        told=ledger.of(law, horizon),
        records={level: ledger.record(law, horizon, level) for level in LEVELS},
    )


def exceptions(shown: Shown) -> list[tuple[Told, float]]:
    """(exceeded forecast, highest level that was exceeded), newest first."""
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
    """Shares of outcomes by level, with the band of 95 % of ledgers of right forecasts."""
    pits = np.array([one.pit for one in shown.tested if one.pit is not None])
    if not len(pits):
        return []
    found = []
    for level in PLACES:
        low, high = (float(binom.ppf(end, len(pits), level)) / len(pits) for end in (0.025, 0.975))
        found.append(Place(level=level, share=float((pits <= level).mean()), low=low, high=high))
    return found


JUDGED = 0.95
"""Level at which laws are compared: at 99 % a few months decide nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Another law's mean pinball loss minus that of the shown one over windows that both forecast; below 0 is better.

    gap: None where fewer than 30 windows are common, or the forecasts never differ.
    """

    law: str
    windows: int
    gap: accuracy.Difference | None


def compared(ledger: Ledger, shown: Shown) -> tuple[Beside, ...]:
    """The other laws of the same length of window against the shown one, the best first, those not judged last."""
    mine = _losses(shown.tested)
    found = []
    for law, horizon in ledger.series():
        if horizon != shown.horizon_seconds or law == shown.law:
            continue
        theirs = _losses(tuple(one for one in ledger.of(law, horizon) if one.state == "tested"))
        common = sorted(mine.keys() & theirs.keys())
        gap = accuracy.loss_difference([theirs[at] for at in common], [mine[at] for at in common])
        found.append(Beside(law=law, windows=len(common), gap=gap))
    return tuple(sorted(found, key=lambda one: float("inf") if one.gap is None else one.gap.mean))


def _losses(tested: tuple[Told, ...]) -> dict[int, float]:
    """Start of the window -> pinball loss of its forecast at `JUDGED`, USD."""
    told = [one for one in tested if one.outcome is not None]
    outcome = [one.outcome or 0.0 for one in told]
    losses = backtests.pinball_loss(outcome, [value_of(one, JUDGED) for one in told], JUDGED)
    return {one.made_at: float(loss) for one, loss in zip(told, losses, strict=True)}


def chances(record: LawRecord) -> list[tuple[int, float, str]]:
    """(count, its chance under a right law, Basel's zone) of each number of exceptions that is drawn."""
    p, n = 1 - record.level, record.n
    most = min(n, max(int(binom.ppf(0.9999, n, p)), record.exceptions) + 2)
    return [
        (count, float(binom.pmf(count, n, p)), backtests.traffic_light(count, n, record.level))
        for count in range(most + 1)
    ]


def states(shown: Shown) -> dict[str, int]:
    """State -> number of forecasts: tested, or the reason why not."""
    names = sorted(one.state for one in shown.told)
    return {name: len(list(group)) for name, group in groupby(names)}
