"""Figures with their errors. Losses are positive; `level` 0.99 is the 1-in-100 outcome.

Quantiles are order statistics with distribution-free intervals (binomial ranks: David and Nagaraja, Order
Statistics, 3rd ed., section 7.1). Shares use Wilson's interval.

Losses are skewed: most tails of a hundred draws are alike, but a few contain one large borrower, so that mean +- 1.96
standard errors lies too low. Means and expected shortfalls have Hall's interval, which takes the skewness out of the
studentised mean by a cubic (P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical
Society B 54, 1992, section 2). An expected shortfall is the mean of q + max(loss - q, 0) / (1 - level) with q the
quantile; with any other q that mean is higher (Rockafellar and Uryasev, Journal of Risk 2(3), 2000, theorem 1). So an
upper end needs one q, and a lower end must hold for every q that may be the quantile: it is the lowest over the
quantile found and those one and 1.96 standard errors of its rank below. Where a sample is too small for an interval
there is none, and `Estimate.no_interval` says why: a loss that was never drawn cannot be bounded. `python -m
tests.statistical.es_coverage` counts how often the intervals hold.

Where paths were drawn together (`Result.cluster`), errors come from sums over clusters, which are independent (the
linearised estimator of survey sampling: Särndal, Swensson, Wretman, Model Assisted Survey Sampling, 1992, section
4.2), with Student-t quantiles where the clusters are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics.shares import Z95, wilson
from risk_core.checks import (
    SMALLEST,
    FloatArray,
    IntArray,
    checked_array,
    checked_choice,
    checked_kind,
    checked_number,
    require,
)
from risk_core.errors import InputError
from risk_core.result import Result

__all__ = [
    "FEW_DRAWS",
    "LOSSES",
    "Z95",
    "Estimate",
    "average",
    "expected_shortfall",
    "lar",
    "losses",
    "mean",
    "probability_of_loss",
    "quantile",
    "share",
    "tail_mean",
    "var",
]

FEW_DRAWS = 30
"""With fewer positive draws than this behind a tail figure, its error cannot be trusted and is not shown."""
TAIL_DRAWS = 100
"""Draws beyond the level that an expected shortfall needs for an interval. In the sample of 3,000 accounts one borrower
makes the tail of every 2,500th path: three samples of ten with 3,000 paths miss it, and their 30 draws do not show it.
"""
FEW_CLUSTERS = 100
MOST_SKEWNESS = 1.0
"""Limit for the sums over fewer than `FEW_CLUSTERS` clusters: a larger skewness of 16 numbers is mostly noise."""
LEAST_CLUSTERS = 8
"""With fewer clusters, how large the standard error is cannot be known."""
LEAST_ERROR = 0.5
"""Least standard error of a count: clusters that happen to agree do not make it certain."""
LOSSES = {"repaid": "repaid_usd", "seized": "seized_usd", "deficit": "deficit_usd", "fee": "fee_usd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A Monte Carlo figure: value, 95 % interval [low, high], standard error, and the draws that it rests on.

    n_positive: draws above zero among those that determine the figure; `few_draws` when fewer than 30.
    no_interval: why there is no interval, in words; low is then 0, and high and se are infinite. Empty where there is.
    """

    value: float
    low: float
    high: float
    se: float
    level: float
    n_paths: int
    n_positive: int
    no_interval: str = ""

    @property
    def few_draws(self) -> bool:
        """Fewer than 30 draws above zero: the error cannot be trusted."""
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
        half = Z95 * n * max(Groups(n, cluster).error((sample <= value) * 1.0), LEAST_ERROR / n)
        lowest, highest = np.floor(n * level - half), np.ceil(n * level + half) + 1
    low, high = (ordered[int(np.clip(edge, 1, n)) - 1] for edge in (lowest, highest))
    return Estimate(
        value=float(value),
        low=float(low),
        high=float(high),
        se=float((high - low) / (2 * Z95)),
        level=level,
        n_paths=n,
        n_positive=int((ordered[rank - 1 :] > 0).sum()),
    )


def tail_mean(sample: ArrayLike, level: float, cluster: ArrayLike | None = None) -> Estimate:
    """Mean of the worst 1 - level share of a sample; the boundary draw counts with its fraction.

    cluster: (n,) numbers of what was drawn together. The interval needs 100 draws beyond the level, 30 of them
    positive (100 where they come in fewer than 100 clusters), and covers 93 to 97 % on the books of
    `tests/statistical/es_coverage.py`; without them there is none, and `no_interval` says why. Raises `InputError`.
    """
    level = _checked_level(level)
    sample, cluster = _checked_sample(sample, cluster)
    worst = np.sort(sample)[::-1]
    n = len(worst)
    share = n * (1 - level)
    whole = min(int(share + 1e-9), n)
    tail = worst[:whole]
    rest = share - whole if share - whole > 1e-9 else 0.0
    boundary = worst[min(whole, n - 1)]
    value = float((tail.sum() + rest * boundary) / share)
    shape = dict(level=level, n_paths=n, n_positive=int((tail > 0).sum()))
    groups = Groups(n, cluster)
    reason = groups.no_interval or few_positive(shape["n_positive"], "lie in the tail", groups.least)
    if share < TAIL_DRAWS - 1e-9 and shape["n_positive"]:
        reason = f"{share:.4g} of {n:,} paths lie beyond the level, {TAIL_DRAWS} are needed for an interval"
    if reason:
        return Estimate(value=value, **unknown(reason), **shape)
    rank = int(share) if rest else whole - 1
    of_rank = n * max(groups.error((sample >= worst[rank]) * 1.0), LEAST_ERROR / n)
    ranks = [rank, *(min(int(np.ceil(share + off * of_rank)), n) - 1 for off in (1.0, Z95))]
    beyond = [np.maximum(sample - worst[at], 0.0) / (1 - level) for at in ranks]
    ends = [groups.interval(excess, float(worst[at])) for at, excess in zip(ranks, beyond, strict=True)]
    least = 0.0 if worst[-1] >= 0 else -np.inf
    return Estimate(
        value=value,
        low=max(min(value, *(low for low, _ in ends)), least),
        high=max(ends[0][1], value),
        se=groups.error(beyond[0]),
        **shape,
    )


def average(sample: ArrayLike, cluster: ArrayLike | None = None) -> Estimate:
    """Mean of a sample of amounts, none of them negative, with its standard error.

    cluster: (n,) numbers of what was drawn together. Raises `InputError`.
    """
    sample, cluster = _checked_sample(sample, cluster)
    value, n = float(sample.mean()), len(sample)
    groups = Groups(n, cluster)
    shape = dict(level=0.0, n_paths=n, n_positive=int((sample > 0).sum()))
    reason = groups.no_interval or few_positive(shape["n_positive"], "were drawn", groups.least)
    if reason:
        return Estimate(value=value, **unknown(reason), **shape)
    low, high = groups.interval(sample)
    return Estimate(value=value, low=max(min(low, value), 0.0), high=max(high, value), se=groups.error(sample), **shape)


def share(sample: ArrayLike, above: float = 0.0, cluster: ArrayLike | None = None) -> Estimate:
    """Share of a sample above a number, with Wilson's 95 % interval.

    cluster: (n,) numbers of what was drawn together; the interval is then that of as many independent draws as would
    have the same error. Raises `InputError`.
    """
    above = checked_number("above", above, rule="USD, a finite number")
    sample, cluster = _checked_sample(sample, cluster)
    n, hits = len(sample), int((sample > above).sum())
    p = hits / n
    se = float(np.sqrt(p * (1 - p) / n))
    effective = float(n)
    if cluster is not None and 0 < hits < n:
        se = Groups(n, cluster).error((sample > above) * 1.0)
        effective = p * (1 - p) / max(se, LEAST_ERROR / n) ** 2
    low, high = wilson(hits, n, effective)
    return Estimate(
        value=p,
        low=min(low, p),
        high=max(high, p),
        se=se,
        level=0.0,
        n_paths=n,
        n_positive=hits,
    )


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
    return average(losses(result, of), result.cluster)


def probability_of_loss(result: Result, above: float = 0.0, of: str = "deficit") -> Estimate:
    """Share of paths on which the deficit exceeds `above` USD, with Wilson's 95 % interval."""
    return share(losses(result, of), above, result.cluster)


class Groups:
    """Which draws of a sample of n were made together: none, or clusters of them. Errors of means over the sample."""

    def __init__(self, n: int, cluster: IntArray | None) -> None:
        self.n = n
        self.which = None if cluster is None else np.unique(cluster, return_inverse=True)[1]
        self.count = n if self.which is None else int(self.which.max()) + 1
        self.few = self.count < FEW_CLUSTERS

    @property
    def least(self) -> int:
        """Draws with a loss that an interval needs; more where there are few groups."""
        return TAIL_DRAWS if self.few and self.which is not None else FEW_DRAWS

    @property
    def no_interval(self) -> str:
        if self.count >= LEAST_CLUSTERS:
            return ""
        what = "paths" if self.which is None else "independent groups of paths"
        return f"{self.count} {what} were drawn, {LEAST_CLUSTERS} are needed for an interval"

    def error(self, values: FloatArray) -> float:
        """Standard error of the mean of `values`; infinite with one group.

        It is widened so that 1.96 of it cover 95 % although the groups are few (16 copies: by 9 %).
        """
        return self._moments(values)[0] * self._quantile() / Z95 if self.count > 1 else float("inf")

    def interval(self, values: FloatArray, base: float = 0.0) -> tuple[float, float]:
        """95 % interval of base + the mean of `values`, corrected for the skewness of their sums (Hall 1992).

        With a the skewness of the mean, T + a T^2 / 3 + a^2 T^3 / 27 + a / 6 of the studentised mean T is normal to
        the second order. It rises everywhere, and its inverse at -+ z gives the ends.
        """
        se, skewness = self._moments(values)
        if self.few:
            most = MOST_SKEWNESS / np.sqrt(self.count)
            skewness = min(max(skewness, -most), most)
        centre, z = base + float(values.mean()), self._quantile()

        def studentised(x: float) -> float:
            if abs(skewness) < 1e-6:
                return x
            return float(3 / skewness * (np.cbrt(1 + skewness * (x - skewness / 6)) - 1))

        return centre - se * studentised(z), centre - se * studentised(-z)

    def _moments(self, values: FloatArray) -> tuple[float, float]:
        """(standard error, skewness) of the mean of `values`."""
        off = values - values.mean()
        if self.which is not None:
            off = np.bincount(self.which, weights=off)
        square, m = float((off**2).sum()), self.count
        # Sums that differ by rounding alone have no skewness.
        skewness = float((off**3).sum()) / square**1.5 if square > 1e-24 * float((values**2).sum()) else 0.0
        return float(np.sqrt(m / (m - 1) * square) / self.n), skewness

    def _quantile(self) -> float:
        """97.5 % quantile of the studentised mean of normal sums."""
        if self.count > 1_000:
            return Z95
        from scipy.stats import t  # here for the same reason as in `quantile`

        return float(t.ppf(0.975, self.count - 1))


def few_positive(n_positive: int, where: str, least: int = FEW_DRAWS) -> str:
    """Why a sample with `n_positive` positive amounts has no interval, in words; empty where they are enough."""
    if n_positive == 0:
        return "no path has a loss, which limits how often one comes, not how large it is"
    if n_positive >= least:
        return ""
    counted = f"{n_positive} paths with a loss {where}"
    if n_positive == 1:
        counted = "1 path with a loss " + where.replace("lie ", "lies ").replace("were ", "was ")
    return f"{counted}, {least} are needed for an interval"


def unknown(reason: str) -> dict[str, Any]:
    return dict(low=0.0, high=float("inf"), se=float("inf"), no_interval=reason)


def _checked_level(level: float) -> float:
    return checked_number("level", level, SMALLEST, 1.0 - 2.0**-53, "a number between 0 and 1; 0.99 is 99 %")


def _checked_sample(sample: ArrayLike, cluster: ArrayLike | None) -> tuple[FloatArray, IntArray | None]:
    """(n,) finite amounts, at least one, and what was drawn together. Raises `InputError`."""
    amounts = checked_array("sample", sample, np.float64, (None,))
    if len(amounts) == 0:
        raise InputError("sample: expected at least one draw, found none")
    require("sample", amounts, np.isfinite(amounts), "must be finite")
    return amounts, None if cluster is None else checked_array("cluster", cluster, np.int64, (len(amounts),))
