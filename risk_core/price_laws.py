"""Laws of price moves: what a scenario's volatility and correlation are the scale of.

Each law is a frozen record that checks itself and tells the kernel its code, its numbers for one step and its drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import numpy as np

from risk_core.errors import InputError
from risk_core.kernels import paths as kernels
from risk_core.types import FloatArray

MOST_JUMPS = 30.0
"""Jumps expected in one step, at most; a law with more is a diffusion and its count loses precision."""


def _number(label: str, value: object, rule: str, good: bool | np.bool_) -> None:
    if not good:
        raise InputError(f"{label}: is {value!r}; {rule}")


def _finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and bool(np.isfinite(float(value)))


@dataclass(frozen=True, slots=True)
class GBM:
    """Normal log moves: geometric Brownian motion. Expected prices stay where they start."""

    code: ClassVar[int] = kernels.GBM

    def check(self, factors: Sequence[str]) -> None:
        """Raise `InputError` where the law does not fit these factors."""

    def shape(self, years: float) -> FloatArray:
        """(3,) the kernel's numbers for a step of `years`."""
        return np.zeros(3)

    def loadings(self, n_factors: int) -> FloatArray:
        """(F,) log move of each factor for a common jump of 1."""
        return np.zeros(n_factors)

    def compensation(self, n_factors: int, years: float) -> FloatArray:
        """(F,) log drift of a step that keeps the expected price, on top of -variance / 2."""
        return np.zeros(n_factors)


@dataclass(frozen=True, slots=True)
class StudentT:
    """Multivariate Student-t log moves with `nu` degrees of freedom: heavy tails that come to all factors together.

    nu: any real number above 2; 3 to 6 fits daily crypto returns. One chi-square for each path widens all its moves
    alike, so the log move over the horizon, and over any part of it, has the same t law however fine the steps, and
    extremes of different factors coincide. Scaled by sqrt((nu - 2) / nu): the variance is the scenario's.
    The drift is that of `GBM`. A price whose logarithm is Student-t has no finite expectation; its median is kept.
    """

    nu: float
    code: ClassVar[int] = kernels.STUDENT_T

    def __post_init__(self) -> None:
        ok = _finite(self.nu) and float(self.nu) > 2
        _number("StudentT.nu", self.nu, "must be a finite number above 2, or the variance would be infinite", ok)
        object.__setattr__(self, "nu", float(self.nu))

    def check(self, factors: Sequence[str]) -> None:
        """Fits any factors."""

    def shape(self, years: float) -> FloatArray:
        """(3,) nu first."""
        return np.array([self.nu, 0.0, 0.0])

    def loadings(self, n_factors: int) -> FloatArray:
        """No common jumps."""
        return np.zeros(n_factors)

    def compensation(self, n_factors: int, years: float) -> FloatArray:
        """None: see the class."""
        return np.zeros(n_factors)


@dataclass(frozen=True, slots=True)
class Jumps:
    """Merton's jump diffusion with common jumps: normal moves, and now and then one that hits every factor at once.

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
    code: ClassVar[int] = kernels.JUMPS

    def __post_init__(self) -> None:
        ok = _finite(self.intensity) and float(self.intensity) >= 0
        _number("Jumps.intensity", self.intensity, "must be finite and not negative (jumps in a year)", ok)
        ok = _finite(self.mean) and abs(float(self.mean)) <= 5
        _number("Jumps.mean", self.mean, "must be a log move in [-5, 5]", ok)
        ok = _finite(self.deviation) and 0 <= float(self.deviation) <= 5
        _number("Jumps.deviation", self.deviation, "must be a log move in [0, 5]", ok)
        for name in ("intensity", "mean", "deviation"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.beta is None:
            return
        try:
            beta = tuple(self.beta)
        except TypeError as exc:
            raise InputError(f"Jumps.beta: is {self.beta!r}; must be one number for each factor, or None") from exc
        for i, value in enumerate(beta):
            ok = _finite(value) and abs(float(value)) <= 5
            _number(f"Jumps.beta: entry {i}", value, "must be a number in [-5, 5]", ok)
        object.__setattr__(self, "beta", tuple(float(value) for value in beta))

    def check(self, factors: Sequence[str]) -> None:
        """One beta for each factor."""
        if self.beta is not None and len(self.beta) != len(factors):
            raise InputError(
                f"Jumps.beta: expected {len(factors)} numbers, one for each factor, found {len(self.beta)}"
            )

    def shape(self, years: float) -> FloatArray:
        """(3,) jumps expected in the step, mean and deviation of one."""
        rate = self.intensity * years
        if rate > MOST_JUMPS:
            raise InputError(
                f"Jumps.intensity: {self.intensity:g} a year makes {rate:.3g} jumps in a step, at most {MOST_JUMPS:g} "
                "are allowed; take more steps or raise the volatility instead"
            )
        return np.array([rate, self.mean, self.deviation])

    def loadings(self, n_factors: int) -> FloatArray:
        """(F,) the betas."""
        return np.ones(n_factors) if self.beta is None else np.array(self.beta)

    def compensation(self, n_factors: int, years: float) -> FloatArray:
        """(F,) -rate (E[exp(beta Y)] - 1) with Y normal(mean, deviation)."""
        beta = self.loadings(n_factors)
        return -self.intensity * years * np.expm1(beta * self.mean + 0.5 * (beta * self.deviation) ** 2)


Law = GBM | StudentT | Jumps
LAWS: dict[str, type[Law]] = {law.__name__: law for law in (GBM, StudentT, Jumps)}
"""Every law by its name, for records."""
