"""Heavy tails: large moves come to all factors at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from risk_core.checks import FloatArray
from risk_core.kernels.laws import dispatch
from risk_core.laws.law import Law, finite, number


@dataclass(frozen=True, slots=True)
class StudentT(Law):
    """Multivariate Student-t log moves with `nu` degrees of freedom: large moves come to all factors at once.

    nu: any real number above 2; 3 to 6 fits daily crypto returns. One chi-square for each path widens all its moves
    alike, so the log move over the horizon, and over any part of it, has the same t law however fine the steps, and
    extremes of different factors coincide. Scaled by sqrt((nu - 2) / nu): the variance is the scenario's.
    The drift is that of `GBM`. A price whose logarithm is Student-t has no finite expectation; its median is kept.
    """

    nu: float
    code: ClassVar[int] = dispatch.STUDENT_T

    def __post_init__(self) -> None:
        ok = finite(self.nu) and float(self.nu) > 2
        number("StudentT.nu", self.nu, "must be a finite number above 2, or the variance would be infinite", ok)
        object.__setattr__(self, "nu", float(self.nu))

    def parameters(self, n_factors: int, years: float) -> FloatArray:
        """(1, F) nu."""
        return np.full((1, n_factors), self.nu)
