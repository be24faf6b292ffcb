"""Figures of a result with their errors. Losses are positive; `level` 0.99 is the 1-in-100 outcome.

How each is estimated, and what its interval holds: `risk_core.estimates`.
"""

from __future__ import annotations

from risk_core.analytics.shares import Z95
from risk_core.checks import FloatArray, checked_choice, checked_kind
from risk_core.estimates import (
    FEW_DRAWS,
    Estimate,
    average,
    quantile,
    share,
    tail_mean,
)
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
