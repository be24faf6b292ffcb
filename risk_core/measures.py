"""Figures with their errors. Losses are positive; `level` 0.99 is the 1-in-100 outcome.

Quantiles are order statistics with distribution-free intervals (binomial ranks: David and Nagaraja, Order
Statistics, 3rd ed., section 7.1). The error of the expected shortfall is asymptotic: Manistre and Hancock, "Variance
of the CTE estimator", North American Actuarial Journal 9(2), 2005, eq. (4). Shares use Wilson's interval.

Where paths were drawn together (`Result.cluster`), errors come from sums over clusters, which are independent (the
linearised estimator of survey sampling: Särndal, Swensson, Wretman, Model Assisted Survey Sampling, 1992, section
4.2), with Student-t quantiles where the clusters are few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.errors import InputError
from risk_core.result import Result
from risk_core.types import (
    SMALLEST,
    FloatArray,
    IntArray,
    _require,
    checked_array,
    checked_choice,
    checked_kind,
    checked_number,
)

__all__ = [
    "FEW_DRAWS",
    "LOSSES",
    "Z95",
    "Estimate",
    "expected_shortfall",
    "lar",
    "losses",
    "mean",
    "probability_of_loss",
    "quantile",
    "tail_mean",
    "var",
]

Z95 = 1.959963984540054
FEW_DRAWS = 30
"""With fewer positive draws than this behind a tail figure, its error cannot be trusted and is not shown."""
LEAST_ERROR = 0.5
"""Of a count: clusters that happen to agree do not make it certain."""
LOSSES = {"repaid": "repaid_usd", "seized": "seized_usd", "deficit": "deficit_usd", "fee": "fee_usd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A Monte Carlo figure: value, 95 % interval [low, high], standard error, and what stands behind it.

    n_positive: draws above zero among those that determine the figure; `few_draws` when fewer than 30.
    """

    value: float
    low: float
    high: float
    se: float
    level: float
    n_paths: int
    n_positive: int

    @property
    def few_draws(self) -> bool:
        return self.n_positive < FEW_DRAWS


def losses(result: Result, of: str) -> FloatArray:
    """(n_paths,) USD of `of`: repaid, seized, fee or deficit."""
    checked_kind("result", result, Result)
    return getattr(result, LOSSES[checked_choice("of", of, LOSSES)])


def quantile(sample: ArrayLike, level: float, cluster: ArrayLike | None = None) -> Estimate:
    """The `level` quantile of a sample: order statistic ceil(n level), interval from binomial ranks.

    cluster: (n,) numbers of what was drawn together; the interval then covers the ranks of a sample with the
    same error of the share below the quantile.
    """
    # Here, not at the top: scipy.stats takes 0.5 s of processor time, as much as all the rest of the engine, and a
    # reader of stored figures needs none of it.
    from scipy.stats import binom

    level = _checked_level(level)
    sample, cluster = _checked_sample(sample, cluster)
    ordered = np.sort(sample)
    n = len(ordered)
    rank = max(int(np.ceil(n * level)), 1)
    value = ordered[rank - 1]
    if cluster is None:
        lowest, highest = binom.ppf(0.025, n, level), binom.ppf(0.975, n, level) + 1
    else:
        half = Z95 * n * max(_clustered_error((sample <= value) * 1.0, cluster), LEAST_ERROR / n)
        lowest, highest = np.floor(n * level - half), np.ceil(n * level + half) + 1
    low, high = (ordered[int(np.clip(edge, 1, n)) - 1] for edge in (lowest, highest))
    return Estimate(
        value=float(value), low=float(low), high=float(high), se=float((high - low) / (2 * Z95)),
        level=level, n_paths=n, n_positive=int((ordered[rank - 1 :] > 0).sum()),
    )  # fmt: skip


def tail_mean(sample: ArrayLike, level: float, cluster: ArrayLike | None = None) -> Estimate:
    """Mean of the worst 1 - level share of a sample; the boundary draw counts with its fraction.

    cluster: (n,) numbers of what was drawn together.
    """
    level = _checked_level(level)
    sample, cluster = _checked_sample(sample, cluster)
    worst = np.sort(sample)[::-1]
    n = len(worst)
    share = n * (1 - level)
    whole = min(int(share + 1e-9), n)
    tail = worst[:whole]
    rest = max(share - whole, 0.0)
    boundary = worst[min(whole, n - 1)]
    value = float((tail.sum() + rest * boundary) / share)
    threshold = float(worst[max(whole - 1, 0)])
    if cluster is None:
        spread = float(tail.var()) if whole > 1 else 0.0
        se = float(np.sqrt((spread + level * (value - threshold) ** 2) / share))
    else:
        se = _clustered_error(np.maximum(sample - threshold, 0.0) / (1 - level), cluster)
    return Estimate(
        value=value, low=max(value - Z95 * se, 0.0), high=value + Z95 * se, se=se, level=level, n_paths=n,
        n_positive=int((tail > 0).sum()),
    )  # fmt: skip


def lar(result: Result, level: float = 0.99, of: str = "repaid") -> Estimate:
    """Liquidations at risk: the `level` quantile over paths of debt repaid (or collateral `seized`), USD."""
    return quantile(losses(result, of), level, result.cluster)


def var(result: Result, level: float = 0.99) -> Estimate:
    """Value at risk of the protocol: the `level` quantile of the deficit booked by the horizon, USD."""
    return quantile(losses(result, "deficit"), level, result.cluster)


def expected_shortfall(result: Result, level: float = 0.99, of: str = "deficit") -> Estimate:
    """Mean deficit over the worst 1 - level share of paths, USD."""
    return tail_mean(losses(result, of), level, result.cluster)


def mean(result: Result, of: str = "repaid") -> Estimate:
    """Expected amount over the horizon, USD, with the standard error of the mean."""
    sample = losses(result, of)
    value, n = float(sample.mean()), len(sample)
    if result.cluster is None:
        se = float(sample.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
    else:
        se = _clustered_error(sample, result.cluster)
    return Estimate(
        value=value, low=max(value - Z95 * se, 0.0), high=value + Z95 * se, se=se, level=0.0, n_paths=n,
        n_positive=int((sample > 0).sum()),
    )  # fmt: skip


def probability_of_loss(result: Result, above: float = 0.0, of: str = "deficit") -> Estimate:
    """Share of paths on which the deficit exceeds `above` USD, with Wilson's 95 % interval."""
    sample = losses(result, of)
    above = checked_number("above", above, rule="USD, a finite number")
    n, hits = len(sample), int((sample > above).sum())
    p = hits / n
    se = float(np.sqrt(p * (1 - p) / n))
    effective = float(n)
    if result.cluster is not None and 0 < hits < n:
        se = _clustered_error((sample > above) * 1.0, result.cluster)
        effective = p * (1 - p) / max(se, LEAST_ERROR / n) ** 2
    centre = (p + Z95**2 / (2 * effective)) / (1 + Z95**2 / effective)
    half = Z95 / (1 + Z95**2 / effective) * np.sqrt(p * (1 - p) / effective + Z95**2 / (4 * effective**2))
    # Where no path (or every path) has a loss the interval ends there exactly; rounding would leave 2e-19.
    low = 0.0 if hits == 0 else max(float(centre - half), 0.0)
    high = 1.0 if hits == n else min(float(centre + half), 1.0)
    return Estimate(
        value=p, low=min(low, p), high=max(high, p), se=se, level=0.0, n_paths=n,
        n_positive=hits,
    )  # fmt: skip


def _clustered_error(values: FloatArray, cluster: IntArray) -> float:
    """Standard error of the mean of `values`, whose clusters are independent; widened so that 1.96 of it cover 95 %
    though the clusters be few (16 copies: by 9 %). Infinite with one cluster."""
    from scipy.stats import t  # here for the same reason

    _, which = np.unique(cluster, return_inverse=True)
    off = np.bincount(which, weights=values - values.mean())
    n = len(off)
    if n < 2:
        return float("inf")
    return float(np.sqrt(n / (n - 1) * (off**2).sum()) / len(values) * t.ppf(0.975, n - 1) / Z95)


def _checked_level(level: float) -> float:
    return checked_number("level", level, SMALLEST, 1.0 - 2.0**-53, "a number between 0 and 1; 0.99 is 99 %")


def _checked_sample(sample: ArrayLike, cluster: ArrayLike | None) -> tuple[FloatArray, IntArray | None]:
    """(n,) finite amounts, at least one, and what was drawn together. Raises `InputError`."""
    amounts = checked_array("sample", sample, np.float64, (None,))
    if len(amounts) == 0:
        raise InputError("sample: expected at least one draw, found none")
    _require("sample", amounts, np.isfinite(amounts), "must be finite")
    return amounts, None if cluster is None else checked_array("cluster", cluster, np.int64, (len(amounts),))
