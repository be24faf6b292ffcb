"""Merton's common jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from risk_core.checks import FloatArray
from risk_core.errors import InputError
from risk_core.kernels.laws import dispatch
from risk_core.laws.law import Law, finite, fits, number, one_for_each

MOST_JUMPS = 30.0
"""Jumps expected in one step, at most; with more, the law is almost a diffusion and the count loses precision."""


@dataclass(frozen=True, slots=True)
class Jumps(Law):
    """Merton's jump diffusion with common jumps: normal moves, and from time to time a jump of every factor at once.

    intensity: jumps expected in a year. mean, deviation: of a jump's log move (-0.1 and 0.05: about 10 % down).
    beta: how far each factor goes with a jump, one number for each of the scenario's factors; None is 1 for all.
    The jumps come on top of the scenario's volatility: the variance of a year's log move is
    volatility^2 + intensity * beta^2 * (mean^2 + deviation^2). The drift makes up for them, so expected prices stay
    where they start. R. C. Merton, "Option pricing when underlying stock returns are discontinuous", Journal of
    Financial Economics 3 (1976).
    """

    intensity: float
    mean: float
    deviation: float
    beta: tuple[float, ...] | None = None
    code: ClassVar[int] = dispatch.JUMPS

    def __post_init__(self) -> None:
        ok = finite(self.intensity) and float(self.intensity) >= 0
        number("Jumps.intensity", self.intensity, "must be finite and not negative (jumps in a year)", ok)
        ok = finite(self.mean) and abs(float(self.mean)) <= 5
        number("Jumps.mean", self.mean, "must be a log move in [-5, 5]", ok)
        ok = finite(self.deviation) and 0 <= float(self.deviation) <= 5
        number("Jumps.deviation", self.deviation, "must be a log move in [0, 5]", ok)
        for name in ("intensity", "mean", "deviation"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.beta is not None:
            beta = one_for_each("Jumps.beta", self.beta, -5, 5, "must be a number in [-5, 5]", ", or None")
            object.__setattr__(self, "beta", beta)

    def check(self, factors: Sequence[str], years: float) -> None:
        """One beta for each factor, and few enough jumps in a step."""
        if self.beta is not None:
            fits("Jumps.beta", self.beta, factors)
        self.expected(years)

    def expected(self, years: float) -> float:
        """Jumps expected in `years`, the length of a step. Raises `InputError` above MOST_JUMPS."""
        rate = self.intensity * years
        if rate > MOST_JUMPS:
            raise InputError(
                f"Jumps.intensity: {self.intensity:g} a year makes {rate:.3g} jumps in a step, at most {MOST_JUMPS:g} "
                "are allowed; take more steps or raise the volatility instead"
            )
        return rate

    def loadings(self, n_factors: int) -> FloatArray:
        """(F,) log move of each factor for a common jump of 1: the betas."""
        return np.ones(n_factors) if self.beta is None else np.array(self.beta)

    def parameters(self, n_factors: int, years: float) -> FloatArray:
        """(4, F) jumps expected in the step, mean and deviation of one, and the betas."""
        common = np.array([[self.expected(years)], [self.mean], [self.deviation]])
        return np.vstack([np.repeat(common, n_factors, axis=1), self.loadings(n_factors)])

    def total_covariance(self, volatility: FloatArray, correlation: FloatArray, years: float) -> FloatArray:
        """(F, F) normal moves, and jumps: intensity * years * beta_i * beta_j * (mean^2 + deviation^2)."""
        beta = self.loadings(len(volatility))
        jumps = self.intensity * years * (self.mean**2 + self.deviation**2) * np.outer(beta, beta)
        return self.covariance(volatility, correlation, years) + jumps

    def drift(self, volatility: FloatArray, start: FloatArray, years: float) -> FloatArray:
        """(F,) -volatility^2 / 2 - intensity (E[exp(beta Y)] - 1) for Y normal(mean, deviation), times the step."""
        beta = self.loadings(len(volatility))
        jumps = -self.intensity * years * np.expm1(beta * self.mean + 0.5 * (beta * self.deviation) ** 2)
        return Law.drift(self, volatility, start, years) + jumps
