"""Mean reversion, for pegs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from risk_core.checks import FloatArray
from risk_core.kernels.laws import dispatch
from risk_core.laws.law import Law, fits, one_for_each

MOST_KAPPA = 1e6
"""A speed above it means a half-life under half a minute: a number of another unit, or a constant price."""


@dataclass(frozen=True, slots=True)
class OrnsteinUhlenbeck(Law):
    """Log prices that come back to a mean: pegs, and ratios of staked tokens to the tokens behind them.

    With X the log of a factor's price over the snapshot's, dX = kappa (mean - X) dt + sigma dW, sigma being the
    scenario's volatility and its correlation that of the dW.

    kappa: (F,) speed a year, 0 or more; a deviation halves in ln 2 / kappa years, so 253 is a half-life of a day. mean:
    (F,) log of the target price over the snapshot's; None is 0 for all, the snapshot's price. A shock moves the price
    at time 0 and not the mean, so it decays. A factor with kappa 0 does not revert: it moves as under `GBM`, so pegs
    and other assets stand in one scenario.

    Exact for any step dt (no Euler error): X(t + dt) is normal with mean m + (X(t) - m) exp(-kappa dt) and covariances
    rho_ij sigma_i sigma_j (1 - exp(-(kappa_i + kappa_j) dt)) / (kappa_i + kappa_j). G. E. Uhlenbeck and L. S. Ornstein,
    "On the theory of the Brownian motion", Physical Review 36 (1930); D. T. Gillespie, "Exact numerical simulation of
    the Ornstein-Uhlenbeck process and its integral", Physical Review E 54 (1996).
    """

    kappa: tuple[float, ...]
    mean: tuple[float, ...] | None = None
    code: ClassVar[int] = dispatch.ORNSTEIN_UHLENBECK

    def __post_init__(self) -> None:
        rule = f"must be a speed a year in [0, {MOST_KAPPA:g}]; ln 2 over the half-life in years"
        kappa = one_for_each("OrnsteinUhlenbeck.kappa", self.kappa, 0, MOST_KAPPA, rule)
        object.__setattr__(self, "kappa", kappa)
        if self.mean is not None:
            rule = "must be a log move in [-5, 5]"
            mean = one_for_each("OrnsteinUhlenbeck.mean", self.mean, -5, 5, rule, ", or None")
            object.__setattr__(self, "mean", mean)

    def check(self, factors: Sequence[str], years: float) -> None:
        """One kappa and one mean for each factor."""
        fits("OrnsteinUhlenbeck.kappa", self.kappa, factors)
        if self.mean is not None:
            fits("OrnsteinUhlenbeck.mean", self.mean, factors)

    def covariance(self, volatility: FloatArray, correlation: FloatArray, years: float) -> FloatArray:
        """(F, F) covariance of the random part of one step."""
        reverts = np.add.outer(self.kappa, self.kappa) * years
        # (1 - exp(-r)) / r, which is 1 where nothing reverts
        kept = np.divide(-np.expm1(-reverts), reverts, out=np.ones_like(reverts), where=reverts > 0)
        return Law.covariance(self, volatility, correlation, years) * kept

    def drift(self, volatility: FloatArray, start: FloatArray, years: float) -> FloatArray:
        """(F,) (mean - log start) (1 - exp(-kappa dt)): the loop counts from the start. That of `GBM` for kappa 0."""
        kappa = np.array(self.kappa)
        mean = np.zeros(len(kappa)) if self.mean is None else np.array(self.mean)
        pull = -np.expm1(-kappa * years) * (mean - np.log(start))
        return np.where(kappa > 0, pull, Law.drift(self, volatility, start, years))

    def parameters(self, n_factors: int, years: float) -> FloatArray:
        """(1, F) exp(-kappa dt), the part of a deviation that is left after a step."""
        return np.exp(-np.array(self.kappa) * years)[None, :]
