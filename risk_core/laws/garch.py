"""Volatility that follows the moves of each path, under normal, Student-t or past residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from risk_core.checks import FloatArray, checked_number
from risk_core.errors import InputError
from risk_core.kernels.laws import dispatch
from risk_core.laws.bootstrap import (
    HOURS_A_YEAR,
    checked_hours,
    checked_rows,
    columns,
    digest,
    same,
    uncorrelated,
    whole,
)
from risk_core.laws.law import Law, finite, fits, number, one_for_each

MOST_PERSISTENCE = 1.0 - 1e-6
"""alpha + beta at or above: the variance has no mean to come back to."""
MOST_LONG_RUN = 1e4
"""Long-run variance over today's, at most: a hundred times the volatility is a number of another unit."""
NO_ROWS = (0.0, 0.0)
"""Chance of a new block, and rows from one step to the next, of a law that draws no rows."""


class _Recursion(Law):
    """h' = long_run (1 - alpha - beta) + alpha h x^2 + beta h: variance of each step over that of the first."""

    __slots__ = ()
    code: ClassVar[int] = dispatch.GARCH
    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    long_run: tuple[float, ...]
    hours: float

    def _check_numbers(self) -> None:
        name = type(self).__name__
        for field, low, high, rule in (
            ("alpha", 0.0, 1.0, "must be in [0, 1]"),
            ("beta", 0.0, 1.0, "must be in [0, 1]"),
            ("long_run", 0.0, MOST_LONG_RUN, f"must be the long-run variance over today's, in [0, {MOST_LONG_RUN:g}]"),
        ):
            object.__setattr__(self, field, one_for_each(f"{name}.{field}", getattr(self, field), low, high, rule))
        if not len(self.alpha) == len(self.beta) == len(self.long_run):
            found = f"{len(self.alpha)}, {len(self.beta)} and {len(self.long_run)}"
            raise InputError(f"{name}: expected as many alpha as beta and long_run, found {found}")
        for i, persistence in enumerate(np.add(self.alpha, self.beta).tolist()):
            if persistence >= MOST_PERSISTENCE:
                raise InputError(
                    f"{name}: alpha + beta of factor {i} is {persistence:.6g}; it must be below 1, or the variance "
                    "grows without end"
                )
        object.__setattr__(self, "hours", checked_hours(f"{name}.hours", self.hours))

    def check(self, factors: Sequence[str], years: float) -> None:
        """One number of each kind for each factor, and steps of one period."""
        name = type(self).__name__
        fits(f"{name}.alpha", self.alpha, factors)
        if not whole(years, self.hours) or round(years * HOURS_A_YEAR / self.hours) != 1:
            raise InputError(
                f"{name}: its variance changes every {self.hours:g} h and a step is {years * HOURS_A_YEAR:.4g} h; take "
                f"as many steps as make each {self.hours:g} h"
            )

    def mean_variance(self, n: int) -> FloatArray:
        """(F,) mean variance of the next n steps over that of the first: see `garch.term_structure`."""
        alpha, beta, long_run = (np.array(x) for x in (self.alpha, self.beta, self.long_run))
        p = alpha + beta
        return long_run + (1.0 - long_run) * (1.0 - p**n) / (n * (1.0 - p))

    def total_covariance(self, volatility: FloatArray, correlation: FloatArray, years: float) -> FloatArray:
        """(F, F) over `years`; of two factors, as if their variances moved together, which is the most it can be."""
        n = max(round(years * HOURS_A_YEAR / self.hours), 1)
        return self.covariance(volatility * np.sqrt(self.mean_variance(n)), correlation, years)

    def _rows(self, n_factors: int, first: tuple[float, float], nu: float) -> FloatArray:
        alpha, beta = np.array(self.alpha), np.array(self.beta)
        omega = np.array(self.long_run) * (1.0 - alpha - beta)
        both = np.repeat(np.array(first)[:, None], n_factors, axis=1)
        return np.vstack([both, alpha, beta, omega, np.full(n_factors, nu)])


@dataclass(frozen=True, slots=True)
class Garch(_Recursion):
    """GARCH(1, 1) for each factor, with normal or Student-t innovations that are correlated as the scenario says.

    The scenario's volatility is that of the first step, which is known; h is the variance of a step over it:
    h_1 = 1, h_(t+1) = long_run (1 - alpha - beta) + alpha h_t x_t^2 + beta h_t, with x_t the innovation of variance 1.
    alpha, beta: (F,), 0 or more, their sum below 1. long_run: (F,) variance in the long run over today's. hours: length
    of a period, for which they were fitted; a step must be one period. nu: None for normal innovations, else degrees
    above 2 of a multivariate Student-t, one chi-square for each step.

    Mean variance of n steps over the first: long_run + (1 - long_run) (1 - p^n) / (n (1 - p)), p = alpha + beta. The
    drift of a step is minus half its variance, so expected prices stay where they start under normal innovations.
    T. Bollerslev, Journal of Econometrics 31 (1986); Student-t: Review of Economics and Statistics 69 (1987).
    """

    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    long_run: tuple[float, ...]
    hours: float = 1.0
    nu: float | None = None

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.nu is not None:
            ok = finite(self.nu) and float(self.nu) > 2
            number("Garch.nu", self.nu, "must be a finite number above 2, or None for normal innovations", ok)
            object.__setattr__(self, "nu", float(self.nu))

    def parameters(self, n_factors: int, years: float) -> FloatArray:
        """(6, F) no rows, alpha, beta, long_run (1 - alpha - beta), and nu or 0."""
        return self._rows(n_factors, NO_ROWS, self.nu or 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class FilteredHistory(_Recursion):
    """Filtered historical simulation: past joint residuals, drawn as by `Bootstrap`, under the variance of `Garch`.

    residuals: (T, F) past returns over the deviation forecast for each, oldest first; they are taken less their mean
    and scaled to variance 1. mean_block: mean length of a block of rows, 1 by default, since the recursion carries what
    connects one period with the next. The rest as in `Garch`: the scenario's volatility is today's. With alpha and beta
    0 and long_run 1 it is `Bootstrap` of the residuals, bit for bit.

    G. Barone-Adesi, K. Giannopoulos and L. Vosper, "VaR without correlations for portfolios of derivative securities",
    Journal of Futures Markets 19 (1999).
    """

    residuals: FloatArray
    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    long_run: tuple[float, ...]
    hours: float = 1.0
    mean_block: float = 1.0
    draws_normals: ClassVar[bool] = False

    def __post_init__(self) -> None:
        rows = checked_rows(self, "residuals")
        rule = f"a number of periods in [1, {len(rows)}]"
        object.__setattr__(
            self, "mean_block", checked_number("FilteredHistory.mean_block", self.mean_block, 1.0, len(rows), rule)
        )
        self._check_numbers()

    def check(self, factors: Sequence[str], years: float) -> None:
        """One column and one number of each kind for each factor, and steps of one period."""
        columns("FilteredHistory.residuals", self.residuals, factors)
        _Recursion.check(self, factors, years)

    def parameters(self, n_factors: int, years: float) -> FloatArray:
        """(6, F) chance that a block begins at a step, 1 row a step, alpha, beta, long_run (1 - alpha - beta), 0."""
        return self._rows(n_factors, (1.0 / self.mean_block, 1.0), 0.0)

    def history(self, n_factors: int, years: float) -> FloatArray:
        """(T, F) uncorrelated residuals of mean 0 and variance 1."""
        return uncorrelated(self.residuals)

    def __eq__(self, other: object) -> bool:
        return same(self, other)

    def __hash__(self) -> int:
        return digest(self)
