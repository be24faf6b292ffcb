"""Price laws by name that are made of past returns themselves: what is fitted, and the law that comes of it.

Beside `risk_core.laws.calibrated`, whose laws need a volatility and a correlation alone. A law listed here is not
proven right either. Hourly returns; the volatility is that of the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics import garch
from risk_core.analytics.dependence import shrunk_correlation
from risk_core.analytics.volatility import annual_volatility
from risk_core.checks import FloatArray, checked_array, require
from risk_core.errors import InputError
from risk_core.laws.bootstrap import LEAST_ROWS, Bootstrap, rows_correlation, standard
from risk_core.laws.calibrated import CALIBRATED, Calibrated
from risk_core.laws.garch import FilteredHistory, Garch
from risk_core.laws.law import Law

DAY_LONG = 24.0
"""Mean length of a block of hourly returns: within it, calm and loud hours and the time of day stay as they were."""
NU_RANGE = (2.05, 200.0)
"""Degrees of freedom looked at; beyond the last the law is normal."""
RETURN_DIGITS, RESIDUAL_DIGITS = 9, 6
"""Decimals kept of rows, so that a stored scenario stays small: a millionth of a basis point, a millionth of a
deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromReturns:
    """A law: its `name`, its description for readers in `words`, and what it is made of.

    rows: whether past rows are drawn in place of normals. variance: whether a GARCH(1, 1) is fitted to each series.
    tail: whether innovations are Student-t, its degrees fitted to the residuals of all series at once.
    """

    name: str
    words: str
    rows: bool
    variance: bool
    tail: bool = False

    def record(self) -> dict[str, Any]:
        """Its name and how it is fitted, ready for JSON: stored with a calibration as its method."""
        record: dict[str, Any] = {"name": self.name, "law": self.law_type.__name__}
        if self.rows:
            record["mean_block_hours"] = 1.0 if self.variance else DAY_LONG
        if self.variance:
            record["variance"] = "garch(1,1) of hourly log returns, zero mean, normal quasi-likelihood, arch, 1"
        if self.tail:
            record["tail"] = "degrees of freedom of all residuals together, maximum likelihood, 1"
        return record

    @property
    def law_type(self) -> type[Law]:
        """The law of the engine."""
        return FilteredHistory if self.rows and self.variance else Bootstrap if self.rows else Garch

    def kept(self, rows: ArrayLike) -> FloatArray:
        """Joint rows (T, F), returns or residuals, with the decimals that are kept."""
        checked = checked_array("rows", rows, np.float64, (None, None))
        return np.round(checked, RESIDUAL_DIGITS if self.variance else RETURN_DIGITS)

    def law(self, found: Fitted, volatility: FloatArray) -> Law:
        """The law whose first step has the annual `volatility` (F,)."""
        if not self.variance:
            return Bootstrap(found.rows, DAY_LONG)
        # A variance that stands still does so at any volatility, a stressed one as well.
        still = found.alpha + found.beta == 0
        long_run = np.where(still, 1.0, (found.long_run_volatility / volatility) ** 2)
        numbers = dict(alpha=found.alpha.tolist(), beta=found.beta.tolist(), long_run=long_run.tolist())
        if self.rows:
            return FilteredHistory(found.rows, **numbers)
        return Garch(**numbers, nu=found.nu)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What a law is made of. rows: (T, F) joint hourly log returns or residuals; the rest of GARCH, each (F,).

    long_run_volatility: annual. nu: degrees of freedom, None where innovations are normal or rows.
    """

    rows: FloatArray
    alpha: FloatArray
    beta: FloatArray
    long_run_volatility: FloatArray
    nu: float | None = None


_LAWS = (
    FromReturns(
        name="bootstrap", rows=True, variance=False,
        words="hourly returns of the last year as they came together, in blocks of a day on average",
    ),
    FromReturns(
        name="garch", rows=False, variance=True, words="normal moves, volatility that follows them hour by hour (GARCH)"
    ),
    FromReturns(
        name="garch-t", rows=False, variance=True, tail=True,
        words="Student-t moves, volatility that follows them hour by hour (GARCH)",
    ),
    FromReturns(
        name="filtered-history", rows=True, variance=True,
        words="residuals of the last year as they came together, volatility that follows them hour by hour (GARCH)",
    ),
)  # fmt: skip
FROM_RETURNS = MappingProxyType({law.name: law for law in _LAWS})
"""Every law by name."""
NAMES = (*CALIBRATED, *FROM_RETURNS)
"""Names of all laws that a run can use."""


def law_called(name: str) -> Calibrated | FromReturns:
    """The law of that name, of either kind. Raises `InputError` that lists the names."""
    if not isinstance(name, str) or name not in NAMES:
        raise InputError(f"law: expected one of {', '.join(NAMES)}, found {name!r:.60}")
    return CALIBRATED[name] if name in CALIBRATED else FROM_RETURNS[name]


def residuals(returns: ArrayLike, of: garch.Fit) -> tuple[FloatArray, float]:
    """((n,) returns over the deviation that was known before each, the variance of the next return).

    Before the first the long-run variance is known. A fit that was refused has the mean square of the returns
    throughout.
    """
    r = checked_array("returns", returns, np.float64, (None,))
    require("returns", r, np.isfinite(r), "must be finite")
    if of.refused:
        flat = float((r**2).mean()) if len(r) else 0.0
        return np.divide(r, np.sqrt(flat), out=np.zeros_like(r), where=flat > 0), flat
    ahead = garch.variance_path(r, of, of.long_run)
    return r / np.sqrt(np.concatenate([[of.long_run], ahead[:-1]])), float(ahead[-1])


def degrees_of_freedom(rows: ArrayLike) -> float | None:
    """Degrees under which standardised rows (T, F) are likeliest, of all columns together; None where that is normal.

    The density of a Student-t scaled to variance 1, its log summed over all entries.
    """
    # Imported here, not at the top: laws are named at the start of every command, and fitted in few.
    from scipy.optimize import minimize_scalar

    x = checked_array("rows", rows, np.float64, (None, None))
    if len(x) < LEAST_ROWS:
        raise InputError(f"rows: expected at least {LEAST_ROWS}, found {len(x)}")
    square = standard(x) ** 2

    def cost(log_nu: float) -> float:
        nu = float(np.exp(log_nu))
        constant = lgamma((nu + 1) / 2) - lgamma(nu / 2) - 0.5 * log(np.pi * (nu - 2))
        return -constant + float(np.log1p(square / (nu - 2)).mean()) * (nu + 1) / 2

    found = minimize_scalar(cost, bounds=(log(NU_RANGE[0]), log(NU_RANGE[1])), method="bounded")
    nu = float(np.exp(found.x))
    return nu if nu < 0.95 * NU_RANGE[1] else None


def fitted(
    law: FromReturns, rows: FloatArray, fits: Sequence[garch.Fit], ahead: Sequence[float], nu: float | None,
    floor: float = 0.0,
) -> tuple[FloatArray, FloatArray, Fitted]:  # fmt: skip
    """(annual volatility of the first step (F,), correlation (F, F), what the law is made of).

    rows: (T, F) joint returns, or residuals where the law has a variance that follows. fits, ahead: of each column its
    GARCH and the variance of the next return; a fit that was refused has a variance that stands still. Both empty for a
    law without. floor: least annual volatility.
    """
    if not law.variance:
        volatility = annual_volatility(rows.var(axis=0), floor=floor)
        nothing = np.zeros(len(volatility))
        found = Fitted(rows=rows, alpha=nothing, beta=nothing, long_run_volatility=volatility)
        return volatility, rows_correlation(rows), found
    alpha, beta = (np.array([0.0 if f.refused else getattr(f, name) for f in fits]) for name in ("alpha", "beta"))
    variance = [still if f.refused else f.long_run for f, still in zip(fits, ahead, strict=True)]
    found = Fitted(
        rows=rows, alpha=alpha, beta=beta, long_run_volatility=annual_volatility(variance, floor=floor), nu=nu
    )
    correlation = rows_correlation(rows) if law.rows else shrunk_correlation(rows)
    return annual_volatility(ahead, floor=floor), correlation, found
