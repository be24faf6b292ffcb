"""Whether one forecast is better than another, by the difference of their losses on the same days.

Diebold and Mariano, "Comparing predictive accuracy", J. Business and Economic Statistics 13 (1995), with the
correction for short samples of Harvey, Leybourne and Newbold, Int. J. Forecasting 13 (1997): for forecasts of one step
the variance of the mean has n - 1 in its denominator, and the statistic is held against Student's t with n - 1 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from risk_core.checks import checked_array, checked_int, require
from risk_core.errors import InputError

LEAST = 30
"""Days below which a difference is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean of first minus second loss over n days: below zero the first forecast is better.

    low, high: 95 % interval. p_value: how often forecasts of equal accuracy differ at least as much. statistic: None
    where every day differs by the same, which has no error.
    """

    n: int
    mean: float
    low: float
    high: float
    statistic: float | None
    p_value: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def loss_difference(first: ArrayLike, second: ArrayLike, lags: int = 0) -> Difference | None:
    """The difference of two series of losses (n,) of the same days, such as `backtests.pinball_loss`.

    lags: autocovariances of the difference that count, with Bartlett's weights; 0 for windows that do not overlap. None
    for fewer than `LEAST` days, and where the losses never differ. Raises `InputError`.
    """
    one = checked_array("first", first, np.float64, (None,))
    two = checked_array("second", second, np.float64, (len(one),))
    lags, n = checked_int("lags", lags, 0), len(one)
    for name, losses in (("first", one), ("second", two)):
        require(name, losses, np.isfinite(losses), "must be finite losses")
    if n and lags >= n:
        raise InputError(f"lags: expected fewer than the {n} days, found {lags}")
    gap = one - two
    if n < LEAST or not gap.any():
        return None
    mean = float(gap.mean())
    apart = gap - mean
    variance = float(apart @ apart)
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(apart[lag:] @ apart[:-lag])
    se = float(np.sqrt(max(variance, 0.0) / (n * (n - 1))))
    if se == 0:
        return Difference(n=n, mean=mean, low=mean, high=mean, statistic=None, p_value=0.0)
    half = float(student.ppf(0.975, n - 1)) * se
    statistic = mean / se
    p_value = float(2 * student.sf(abs(statistic), n - 1))
    return Difference(n=n, mean=mean, low=mean - half, high=mean + half, statistic=statistic, p_value=p_value)
