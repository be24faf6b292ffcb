"""How factors move together: volatility and correlation from a history of returns.

EWMA volatility: J.P. Morgan/Reuters, RiskMetrics Technical Document, 4th ed. 1996, section 5.2 (decay 0.94).
Correlation: Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate
Analysis 88 (2004), on standardised returns (scikit-learn's implementation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import SMALLEST, FloatArray, checked_array, checked_number, require
from risk_core.errors import InputError

DECAY = 0.94
"""RiskMetrics' decay for daily observations."""


def hourly_decay(daily: float = DECAY) -> float:
    """The decay per hour that forgets as fast as `daily` does per day."""
    return checked_number("daily", daily, SMALLEST, 1.0, "a number in (0, 1]") ** (1 / 24)


def ewma_volatility(
    log_returns: ArrayLike, periods_per_year: float, decay: float = DECAY, floor: float = 0.0
) -> FloatArray:
    """Annualised exponentially weighted volatility, (F,), fractions (0.65 is 65 % a year).

    log_returns: (n_obs, F), oldest first, mean taken as zero. `decay` is per observation. `floor` bounds the answer
    from below: a feed that did not move in the window is not riskless.
    """
    returns = _checked(log_returns)
    decay = checked_number("decay", decay, SMALLEST, 1.0, "a number in (0, 1]")
    per_year = checked_number("periods_per_year", periods_per_year, SMALLEST, rule="a positive number")
    floor = checked_number("floor", floor, 0.0, rule="an annualised fraction, not negative")
    weights = decay ** np.arange(len(returns) - 1, -1, -1)
    variance = (weights[:, None] * returns**2).sum(axis=0) / weights.sum()
    return np.maximum(np.sqrt(variance * per_year), floor)


def shrunk_correlation(log_returns: ArrayLike) -> FloatArray:
    """Ledoit-Wolf correlation, (F, F): unit diagonal, positive semi-definite. A factor that never moved gets zeros."""
    # Imported here, not at the top: it takes 1 s of processor time, and only calibration needs it.
    from sklearn.covariance import LedoitWolf

    returns = _checked(log_returns)
    scale = returns.std(axis=0)
    moving = scale > 0
    correlation = np.eye(returns.shape[1])
    if moving.sum() > 1:
        standard = (returns[:, moving] - returns[:, moving].mean(axis=0)) / scale[moving]
        covariance = LedoitWolf(assume_centered=True).fit(standard).covariance_
        deviation = np.sqrt(np.diag(covariance))
        correlation[np.ix_(moving, moving)] = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1.0)
    return (correlation + correlation.T) / 2


def calibrate(
    log_returns: ArrayLike, periods_per_year: float, decay: float = DECAY, floor: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """(volatility (F,) a year, correlation (F, F)) of the factors in the columns of `log_returns` (n_obs, F)."""
    return ewma_volatility(log_returns, periods_per_year, decay, floor), shrunk_correlation(log_returns)


def cholesky(covariance: FloatArray) -> FloatArray:
    """Lower factor L with L @ L.T equal to a positive *semi*-definite covariance, (F, F).

    A zero pivot (two factors that always move alike) gives a zero column, where LAPACK would refuse. Raises
    `InputError` when the matrix has a clearly negative eigenvalue.
    """
    lowest = float(np.linalg.eigvalsh(covariance).min()) if covariance.size else 0.0
    scale = float(np.abs(np.diag(covariance)).max(initial=0.0))
    if lowest < -1e-8 * max(scale, 1e-300):
        raise InputError(f"covariance: must be positive semi-definite, found the eigenvalue {lowest:.3g}")
    n = len(covariance)
    lower = np.zeros((n, n))
    for j in range(n):
        pivot = covariance[j, j] - lower[j, :j] @ lower[j, :j]
        if pivot <= 1e-12 * max(covariance[j, j], 0.0):
            continue
        lower[j, j] = np.sqrt(pivot)
        lower[j + 1 :, j] = (covariance[j + 1 :, j] - lower[j + 1 :, :j] @ lower[j, :j]) / lower[j, j]
    return lower


def _checked(log_returns: ArrayLike) -> FloatArray:
    returns = checked_array("log_returns", log_returns, np.float64, (None, None))
    if len(returns) < 2:
        raise InputError(f"log_returns: expected (n_obs >= 2, F), found shape {returns.shape}")
    require("log_returns", returns, np.isfinite(returns), "must be finite")
    return returns
