"""Hourly volumes compared with the same hour of earlier days: their median and median absolute deviation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, IntArray, checked_array, checked_int, checked_number, require

NORMAL = 1.4826
"""Median absolute deviation times this is the standard deviation of a normal law."""
LIMIT = 3.0
DAY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What each hour is compared with, all (hours, series).

    median: of the same hour on earlier days, in the unit of the volumes. deviation: `NORMAL` times the median absolute
    deviation, or the floor where that is more. score: (volume - median) / deviation. `days`: how many earlier days had
    that hour. NaN where these were too few; the score is NaN too where the hour itself is not known.
    """

    median: FloatArray
    deviation: FloatArray
    score: FloatArray
    days: IntArray

    def unusual(self, limit: float = LIMIT) -> np.ndarray:
        """True where the score is beyond `limit` on either side; False where there is none."""
        limit = checked_number("limit", limit, 0.0, rule="a number that is not negative")
        return np.abs(np.nan_to_num(self.score, nan=0.0)) > limit


def usual(
    volumes: ArrayLike, *, days: int = 28, least_days: int = 5, least: float = 1.0, least_share: float = 0.05
) -> Usual:
    """Each hour against the same hour of the day on the `days` days before it; the hour itself is not among them.

    volumes: (hours, series), consecutive hours, not negative, NaN for an hour that is not wholly known (0 is a known
    hour in which nothing moved). least, least_share: the smallest deviation, in the unit of the volumes and as a share
    of the median; counts of a quiet token are often all equal, and then any change would be infinitely unusual. Where
    the deviation is still 0 there is no score. Fewer than `least_days` known days give no score. Raises `InputError`.
    """
    v = checked_array("volumes", volumes, np.float64, (None, None))
    ok = np.isnan(v) | (np.isfinite(v) & (v >= 0))
    require("volumes", v, ok, "must be finite and not negative, or NaN for an unknown hour (entry: hour, series)")
    days = checked_int("days", days, 1)
    least_days = checked_int("least_days", least_days, 1, days)
    least = checked_number("least", least, 0.0, rule="a number that is not negative")
    least_share = checked_number("least_share", least_share, 0.0, rule="a share that is not negative")
    hours, series = v.shape
    back = min(days, max((hours - 1) // DAY, 0))
    past = np.full((back, hours, series), np.nan)
    for day in range(1, back + 1):
        past[day - 1, day * DAY :] = v[: hours - day * DAY]
    known = (~np.isnan(past)).sum(axis=0)
    median = _median(past, known)
    deviation = np.maximum(np.maximum(NORMAL * _median(np.abs(past - median), known), least), least_share * median)
    few = known < least_days
    median[few], deviation[few] = np.nan, np.nan
    score = np.full(v.shape, np.nan)
    defined = ~few & (deviation > 0)
    score[defined] = (v[defined] - median[defined]) / deviation[defined]
    return Usual(median=median, deviation=deviation, score=score, days=known.astype(np.int64))


def _median(values: FloatArray, known: IntArray) -> FloatArray:
    """Median over the first axis of the entries that are not NaN; NaN for none. (numpy's own warns of empty ones)"""
    if not len(values):
        return np.full(known.shape, np.nan)
    ordered = np.sort(values, axis=0)  # NaN comes last
    low, high = ((np.maximum(known - 1, 0) + extra) // 2 for extra in (0, 1))
    pick = [np.take_along_axis(ordered, at[None], axis=0)[0] for at in (low, high)]
    middle: FloatArray = pick[0] + (pick[1] - pick[0]) / 2
    return middle
