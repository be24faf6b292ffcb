"""Figures of a result with their errors. Losses are positive; `level` 0.99 is the 1-in-100 outcome.

How each is estimated, and what its interval holds: `risk_core.estimates`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from risk_core.analytics.shares import Z95
from risk_core.checks import FloatArray, checked_choice, checked_int, checked_kind
from risk_core.estimates import (
    FEW_DRAWS,
    Estimate,
    average,
    few_positive,
    quantile,
    share,
    tail_mean,
    unknown,
)
from risk_core.result import Result

__all__ = [
    "FEW_DRAWS",
    "LOSSES",
    "Z95",
    "Estimate",
    "average",
    "convergence",
    "expected_shortfall",
    "lar",
    "losses",
    "mean",
    "probability_of_loss",
    "quantile",
    "severity",
    "share",
    "tail_mean",
    "var",
]

LEAST_SIZE = 100
"""Paths of the first estimate of `convergence`."""
LOSSES = {"repaid": "repaid_usd", "seized": "seized_usd", "deficit": "deficit_usd", "fee": "fee_usd"}


def losses(result: Result, of: str) -> FloatArray:
    """(n_paths,) USD of `of`: repaid, seized, fee or deficit."""
    checked_kind("result", result, Result)
    return getattr(result, LOSSES[checked_choice("of", of, LOSSES)])


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


def severity(result: Result, of: str = "deficit") -> Estimate:
    """Mean loss of the paths that have one, USD: E[loss | loss > 0]; times P(loss) it is the expected loss.

    Without a path with a loss the value is 0 and `no_interval` says so.
    """
    loss = losses(result, of)
    hit = loss > 0
    if not hit.any():
        return Estimate(value=0.0, **unknown(few_positive(0, "")), level=0.0, n_paths=result.n_paths, n_positive=0)
    found = average(loss[hit], None if result.cluster is None else result.cluster[hit])
    return replace(found, n_paths=result.n_paths)


def convergence(result: Result, level: float = 0.99, of: str = "repaid", points: int = 24) -> tuple[Estimate, ...]:
    """The `level` quantile of `of` from the first 100, .. all paths, at most `points` sizes evenly spaced by their log.

    Each is the estimate of a run with so many paths: a longer run begins with the paths of a shorter one. The last is
    `lar` of the whole result.
    """
    loss = losses(result, of)
    points = checked_int("points", points, 2)
    first = min(LEAST_SIZE, result.n_paths)
    sizes = np.unique(np.geomspace(first, result.n_paths, points).round().astype(int))
    cluster = result.cluster
    return tuple(quantile(loss[:n], level, None if cluster is None else cluster[:n]) for n in sizes.tolist())
