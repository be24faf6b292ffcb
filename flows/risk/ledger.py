"""The ledger of forecasts: which of them are tested, their scores one by one, and the tests of each law's record.

A forecast is tested when its window was read to its end with every value known, when it was stored before that end, and
when its window does not overlap that of the forecast before it. Forecasts of the same law and length are walked in
order of time, and the next one is the first that begins no earlier than the last one ends, less `SLACK` of its length:
daily runs do not begin on the same second, and a day's forecast is one of that day. What came plays no part in the
choice. So forecasts of one day made daily are all tested, and of those of seven days made daily every seventh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from data.results.figures import LEVELS
from risk_core.analytics import backtests
from risk_core.checks import FloatArray
from risk_core.errors import InputError

ES_LEVEL = 0.95
"""Level at which the expected shortfall is tested: at 0.99 a year has three days that say anything of it."""
SLACK = 0.05
"""Share of its window by which a forecast may begin before the one before it ends."""
QUANTITIES = {"lar_repaid": "repaid", "lar_seized": "seized", "var_deficit": "deficit"}
"""Measure that is tested to the amount that it is a quantile of."""
SHORTFALLS = {"lar_repaid": "es_repaid", "var_deficit": "es_deficit"}
"""Measure to the expected shortfall of the same amount, where one is stored."""
NOT_NOTED = "not noted"
"""The law of runs that did not note it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One stored forecast of one amount: its quantiles by level in USD, what came, and how far that is known.

    `quantiles`: of the whole distribution, (n,) USD at `backtests.middle_levels`; None where none were stored.
    `outcome`: USD that came; None where it is not known. `window_read`: whole, partial or unread. Times: UTC seconds.
    """

    run_id: str
    market: str
    law: str
    measure: str
    horizon_seconds: int
    made_at: int
    valid_until: int
    sealed_at: int
    sha256: str
    after_the_fact: bool
    window_read: str
    is_synthetic: bool
    values: Mapping[float, float]
    shortfall: float | None
    quantiles: FloatArray | None
    outcome: float | None

    def __post_init__(self) -> None:
        missing = [level for level in LEVELS if level not in self.values]
        if missing:
            found = ", ".join(f"{level:g}" for level in sorted(self.values)) or "none"
            raise InputError(
                f"forecast {self.measure} of run {self.run_id[:12]}: expected the levels 0.9, 0.95 and 0.99, found "
                f"{found}; run `python -m flows risk-scenarios --force`"
            )
        if not self.made_at < self.valid_until:
            raise InputError(
                f"forecast {self.measure} of run {self.run_id[:12]}: its window ends at {self.valid_until}, expected "
                f"after its start at {self.made_at}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A forecast with its place in the tests.

    `state`: tested, or why not: not over, not read, unpriced, after the fact, overlaps. `pit`, `crps_usd`: of the
    stored distribution; None where it or the outcome is missing. `evidence`: wealth of the bet against the expected
    shortfall after this forecast; None where it is not tested.
    """

    forecast: Forecast
    state: str
    pit: float | None = None
    crps_usd: float | None = None
    evidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record of one law's forecasts of one measure and length at one level.

    `needed`: forecasts of which one exception is expected; with fewer `enough` is False, and p-values say little.
    Without two forecasts there is nothing to test: p-values, cumulative and zone are None. `evidence` (now and at its
    highest): against the expected shortfall at `ES_LEVEL`; None at other levels, or where none was stored.
    """

    market: str
    law: str
    measure: str
    horizon_seconds: int
    level: float
    n: int
    needed: int
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
    evidence: float | None
    evidence_most: float | None
    first_at: int | None
    last_until: int | None
    is_synthetic: bool

    @property
    def enough(self) -> bool:
        """Whether there are as many forecasts as one exception needs."""
        return self.n >= self.needed


def needed(level: float) -> int:
    """The least number of forecasts of which at least one exception is expected: 10, 20, 100 at 90, 95, 99 %."""
    return math.ceil(1 / (1 - level) - 1e-9)


def scored(forecasts: Sequence[Forecast]) -> list[Score]:
    """Every forecast with its place in the tests, by market, measure, law and length, in order of time."""
    found: list[Score] = []
    for _, group in groupby(sorted(forecasts, key=_order), key=_series):
        found += _with_evidence(_walked(list(group)))
    return found


def records(scores: Sequence[Score]) -> list[Record]:
    """The record of every law, measure and length at every level; a law whose forecasts wait has one with n 0."""
    return [
        _record([score.forecast for score in part], [score for score in part if score.state == "tested"], level)
        for _, group in groupby(scores, key=lambda score: _series(score.forecast))
        for part in [list(group)]
        for level in LEVELS
    ]


def _series(forecast: Forecast) -> tuple[str, str, str, int]:
    return forecast.market, forecast.measure, forecast.law, forecast.horizon_seconds


def _order(forecast: Forecast) -> tuple:
    return (*_series(forecast), forecast.made_at, forecast.sealed_at, forecast.run_id)


def _walked(forecasts: Sequence[Forecast]) -> list[Score]:
    free_from, found = -math.inf, []
    for one in forecasts:
        if one.after_the_fact:
            state = "after the fact"
        elif one.made_at < free_from:
            state = "overlaps"
        else:
            free_from = one.valid_until - SLACK * one.horizon_seconds
            if one.window_read != "whole":
                state = "not over" if one.window_read == "partial" else "not read"
            else:
                state = "unpriced" if one.outcome is None else "tested"
        known = one.outcome is not None and one.quantiles is not None
        found.append(
            Score(
                forecast=one,
                state=state,
                pit=backtests.pit(one.quantiles, one.outcome) if known else None,
                crps_usd=backtests.crps_of_quantiles(one.quantiles, one.outcome) if known else None,
            )
        )
    return found


def _with_evidence(scores: Sequence[Score]) -> list[Score]:
    """The scores with the wealth of the bet against the expected shortfall, where all that are tested have one."""
    tested = [score for score in scores if score.state == "tested"]
    shortfalls = [score.forecast.shortfall for score in tested]
    if not tested or any(value is None for value in shortfalls):
        return list(scores)
    var = np.array([score.forecast.values[ES_LEVEL] for score in tested])
    # A mean beyond a quantile is no lower than it; stored figures are rounded by the arithmetic that made them.
    es = np.maximum(np.array(shortfalls, dtype=np.float64), var)
    wealth = backtests.evidence_against_es(_outcomes(tested), var, es, ES_LEVEL)
    after = {id(score): float(min(value, 1e300)) for score, value in zip(tested, wealth, strict=True)}
    return [replace(score, evidence=after.get(id(score))) for score in scores]


def _outcomes(scores: Sequence[Score]) -> FloatArray:
    return np.array([score.forecast.outcome for score in scores], dtype=np.float64)


def _record(all_of: Sequence[Forecast], tested: Sequence[Score], level: float) -> Record:
    came = _outcomes(tested)
    said = np.array([score.forecast.values[level] for score in tested], dtype=np.float64)
    hits = backtests.exceptions(came, said)
    cover = backtests.coverage(hits, level) if len(tested) > 1 else None
    pits = [score.pit for score in tested if score.pit is not None]
    scores = [score.crps_usd for score in tested if score.crps_usd is not None]
    wealth = [score.evidence for score in tested if score.evidence is not None] if level == ES_LEVEL else []
    first = all_of[0]
    return Record(
        market=first.market, law=first.law, measure=first.measure, horizon_seconds=first.horizon_seconds, level=level,
        n=len(tested), needed=needed(level), exceptions=int(hits.sum()), expected=len(tested) * (1 - level),
        kupiec_p=cover.kupiec.p_value if cover else None, independence_p=cover.independence.p_value if cover else None,
        conditional_p=cover.conditional.p_value if cover else None, cumulative=cover.cumulative if cover else None,
        zone=cover.zone if cover else None,
        pinball_usd=float(backtests.pinball_loss(came, said, level).mean()) if tested else None,
        crps_usd=float(np.mean(scores)) if scores else None,
        pit_p=backtests.uniformity(pits) if len(pits) > 1 else None,
        evidence=wealth[-1] if wealth else None, evidence_most=max(wealth) if wealth else None,
        first_at=tested[0].forecast.made_at if tested else None,
        last_until=tested[-1].forecast.valid_until if tested else None,
        is_synthetic=any(forecast.is_synthetic for forecast in all_of),
    )  # fmt: skip
