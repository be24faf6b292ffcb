"""Figures with their errors. Losses are positive; `level` 0.99 is the 1-in-100 outcome.

Quantiles are order statistics with distribution-free intervals (binomial ranks: David and Nagaraja, Order
Statistics, 3rd ed., section 7.1). The error of the expected shortfall is asymptotic: Manistre and Hancock, "Variance
of the CTE estimator", North American Actuarial Journal 9(2), 2005, eq. (4). Shares use Wilson's interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk_core.errors import InputError
from risk_core.result import Result
from risk_core.types import FloatArray

Z95 = 1.959963984540054
FEW_DRAWS = 30
"""With fewer positive draws than this behind a tail figure, its error cannot be trusted and is not shown."""
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
    if of not in LOSSES:
        raise InputError(f"of: expected one of {', '.join(LOSSES)}, found {of!r}")
    return getattr(result, LOSSES[of])


def quantile(sample: FloatArray, level: float) -> Estimate:
    """The `level` quantile of a sample: order statistic ceil(n level), interval from binomial ranks."""
    from scipy.stats import binom  # slower to import than all the rest, and a reader of stored figures needs none of it

    _check_level(level)
    ordered = np.sort(sample)
    n = len(ordered)
    rank = max(int(np.ceil(n * level)), 1)
    lowest = int(np.clip(binom.ppf(0.025, n, level), 1, n))
    highest = int(np.clip(binom.ppf(0.975, n, level) + 1, 1, n))
    low, high = ordered[lowest - 1], ordered[highest - 1]
    return Estimate(
        value=float(ordered[rank - 1]), low=float(low), high=float(high), se=float((high - low) / (2 * Z95)),
        level=level, n_paths=n, n_positive=int((ordered[rank - 1 :] > 0).sum()),
    )  # fmt: skip


def tail_mean(sample: FloatArray, level: float) -> Estimate:
    """Mean of the worst 1 - level share of a sample; the boundary draw counts with its fraction."""
    _check_level(level)
    worst = np.sort(sample)[::-1]
    n = len(worst)
    share = n * (1 - level)
    whole = min(int(share + 1e-9), n)
    tail = worst[:whole]
    rest = max(share - whole, 0.0)
    boundary = worst[min(whole, n - 1)]
    value = float((tail.sum() + rest * boundary) / share)
    threshold = float(worst[max(whole - 1, 0)])
    spread = float(tail.var()) if whole > 1 else 0.0
    se = float(np.sqrt((spread + level * (value - threshold) ** 2) / share))
    return Estimate(
        value=value, low=max(value - Z95 * se, 0.0), high=value + Z95 * se, se=se, level=level, n_paths=n,
        n_positive=int((tail > 0).sum()),
    )  # fmt: skip


def lar(result: Result, level: float = 0.99, of: str = "repaid") -> Estimate:
    """Liquidations at risk: the `level` quantile over paths of debt repaid (or collateral `seized`), USD."""
    return quantile(losses(result, of), level)


def var(result: Result, level: float = 0.99) -> Estimate:
    """Value at risk of the protocol: the `level` quantile of the deficit booked by the horizon, USD."""
    return quantile(result.deficit_usd, level)


def expected_shortfall(result: Result, level: float = 0.99, of: str = "deficit") -> Estimate:
    """Mean deficit over the worst 1 - level share of paths, USD."""
    return tail_mean(losses(result, of), level)


def mean(result: Result, of: str = "repaid") -> Estimate:
    """Expected amount over the horizon, USD, with the standard error of the mean."""
    sample = losses(result, of)
    value, n = float(sample.mean()), len(sample)
    se = float(sample.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
    return Estimate(
        value=value, low=max(value - Z95 * se, 0.0), high=value + Z95 * se, se=se, level=0.0, n_paths=n,
        n_positive=int((sample > 0).sum()),
    )  # fmt: skip


def probability_of_loss(result: Result, above: float = 0.0, of: str = "deficit") -> Estimate:
    """Share of paths on which the deficit exceeds `above` USD, with Wilson's 95 % interval."""
    sample = losses(result, of)
    n, hits = len(sample), int((sample > above).sum())
    p = hits / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return Estimate(
        value=p, low=max(float(centre - half), 0.0), high=min(float(centre + half), 1.0),
        se=float(np.sqrt(p * (1 - p) / n)), level=0.0, n_paths=n, n_positive=hits,
    )  # fmt: skip


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, found {level}")
