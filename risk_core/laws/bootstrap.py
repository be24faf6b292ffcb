"""Moves that were seen: blocks of joint returns of the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from risk_core.analytics.dependence import cholesky
from risk_core.checks import FloatArray, checked_number, frozen, require
from risk_core.errors import InputError
from risk_core.kernels.laws import dispatch
from risk_core.laws.law import Law

HOURS_A_YEAR = 365 * 24
LEAST_ROWS = 60
"""Fewer rows hold no tail, and their moments are mostly chance."""
MOST_HOURS = 24.0 * 31
MOST_YEARLY = 20.0
"""An annual volatility above 2,000 % is taken for returns in per cent."""
MOST_MOVE = 5.0
"""A log move of one period above it means a price 148 times as high: a wrong price, or returns in per cent."""
STILL = 1e-12
"""A deviation of one period at or below it is none."""
ALIKE = 1e-10
"""Least eigenvalue of the rows' correlation: below it one factor is made of the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap(Law):
    """Stationary block bootstrap: each path strings together blocks of consecutive rows of past joint returns.

    returns: (T, F) log returns of consecutive periods of `hours` hours, oldest first, one column for each factor in
    their order; what moved together stays together. mean_block: mean length of a block in periods; its length is
    geometric, it begins at any row alike, and the first row follows the last. 1 draws every row by itself.

    The rows give the law its shape, the scenario its scale: rows less their mean are scaled to the scenario's
    volatility, and where the scenario's correlation is that of the rows (`rows_correlation`) every move is a past one,
    scaled; another correlation is reached by mixing columns. A step is one period or several, whose moves are then
    added up over consecutive rows. The drift is that of `GBM`. No move is larger than the largest seen, over its scale.

    Its draws are of rows, so antithetic and quasi sampling save nothing, and `risk_core.tails` refuses it.
    D. N. Politis and J. P. Romano, "The stationary bootstrap", Journal of the American Statistical Association 89
    (1994). Raises `InputError` for rows that are too few, not finite, too large, never move or are copies.
    """

    returns: FloatArray
    mean_block: float = 24.0
    hours: float = 1.0
    code: ClassVar[int] = dispatch.GBM
    draws_normals: ClassVar[bool] = False

    def __post_init__(self) -> None:
        rows = checked_rows(self, "returns")
        rule = f"a log return must be in [-{MOST_MOVE:g}, {MOST_MOVE:g}]; 1 % is 0.01"
        require("Bootstrap.returns", rows, np.abs(rows) <= MOST_MOVE, rule)
        rule = f"a number of periods in [1, {len(rows)}]"
        object.__setattr__(
            self, "mean_block", checked_number("Bootstrap.mean_block", self.mean_block, 1.0, len(rows), rule)
        )
        object.__setattr__(self, "hours", checked_hours("Bootstrap.hours", self.hours))
        yearly = rows.std(axis=0) * sqrt(HOURS_A_YEAR / self.hours)
        ok = yearly <= MOST_YEARLY
        if not ok.all():
            column = int(np.argmin(ok))
            raise InputError(
                f"Bootstrap.returns: column {column} has a volatility of {yearly[column]:.3g} a year, at most "
                f"{MOST_YEARLY:g} is allowed; are these returns in per cent, or of more than {self.hours:g} hours?"
            )

    def check(self, factors: Sequence[str], years: float) -> None:
        """One column for each factor, and steps of whole periods, fewer than there are rows."""
        columns("Bootstrap.returns", self.returns, factors)
        self.periods(years)

    def periods(self, years: float) -> int:
        """Periods in a step of `years`. Raises `InputError` unless it is a whole number."""
        n = round(years * HOURS_A_YEAR / self.hours)
        if not whole(years, self.hours) or n >= len(self.returns):
            raise InputError(
                f"Bootstrap.returns: rows are of {self.hours:g} h and a step is {years * HOURS_A_YEAR:.4g} h; take a "
                f"number of steps that makes each a whole number of rows, fewer than {len(self.returns)}"
            )
        return n

    def parameters(self, n_factors: int, years: float) -> FloatArray:
        """(2, F) chance that a block begins at a step, and rows from one step to the next."""
        n = self.periods(years)
        return np.repeat([[min(n / self.mean_block, 1.0)], [float(n)]], n_factors, axis=1)

    def history(self, n_factors: int, years: float) -> FloatArray:
        """(T, F) uncorrelated rows of mean 0 and variance 1: moves of a step that begins at each row."""
        return uncorrelated(summed(self.returns, self.periods(years)))

    def __eq__(self, other: object) -> bool:
        return same(self, other)

    def __hash__(self) -> int:
        return digest(self)


def checked_rows(owner: object, name: str) -> FloatArray:
    """The attribute `name` of a law as read-only rows (T, F), or `InputError` that says what is wrong with them."""
    label = f"{type(owner).__name__}.{name}"
    rows = frozen(owner, name, getattr(owner, name), np.float64, (None, None))
    if rows.shape[1] == 0 or len(rows) < LEAST_ROWS:
        raise InputError(
            f"{label}: expected at least {LEAST_ROWS} rows and a column for each factor, found shape {rows.shape}"
        )
    require(label, rows, np.isfinite(rows), "must be finite; leave out a period that has no price (entry: row, column)")
    still = rows.std(axis=0) <= STILL
    if still.any():
        raise InputError(
            f"{label}: column {int(np.argmax(still))} never moves in {len(rows)} rows; give it a proxy that does"
        )
    lowest = float(np.linalg.eigvalsh(rows_correlation(rows)).min())
    if lowest < ALIKE:
        raise InputError(
            f"{label}: one column is made of the others (least eigenvalue of their correlation {lowest:.2g}); leave it "
            "out and let its reserves follow one of them"
        )
    return rows


def checked_hours(label: str, value: object) -> float:
    """Length of a period."""
    rule = f"hours of a period, above 0 and at most {MOST_HOURS:g}"
    return checked_number(label, value, 1e-3, MOST_HOURS, rule)


def columns(label: str, rows: FloatArray, factors: Sequence[str]) -> None:
    """Raise `InputError` unless there is one column for each factor."""
    if rows.shape[1] != len(factors):
        raise InputError(f"{label}: expected {len(factors)} columns, one for each factor, found {rows.shape[1]}")


def whole(years: float, hours: float) -> bool:
    """Whether a step of `years` is a whole number of periods of `hours`, 1 or more."""
    n = years * HOURS_A_YEAR / hours
    return round(n) >= 1 and abs(n - round(n)) <= 1e-9 * n


def standard(rows: FloatArray) -> FloatArray:
    """(T, F) rows less their mean, over their deviation."""
    centred = rows - rows.mean(axis=0)
    return centred / np.sqrt((centred**2).mean(axis=0))


def rows_correlation(rows: FloatArray) -> FloatArray:
    """(F, F) correlation of the columns of rows (T, F): a scenario with it leaves joint rows as they are."""
    x = standard(rows)
    # Not `@`: its last bits depend on how many threads the linear algebra runs.
    found = np.einsum("ti,tj->ij", x, x) / len(x)
    np.fill_diagonal(found, 1.0)
    return (found + found.T) / 2


def uncorrelated(rows: FloatArray) -> FloatArray:
    """(T, F) W with `standard(rows)` = W L', L the Cholesky factor of `rows_correlation(rows)`."""
    out = standard(rows)
    lower = cholesky(rows_correlation(rows))
    for f in range(out.shape[1]):
        for g in range(f):
            out[:, f] -= lower[f, g] * out[:, g]
        out[:, f] /= lower[f, f]
    return out


def summed(rows: FloatArray, n: int) -> FloatArray:
    """(T, F) sums over the n rows from each row on; the first follows the last."""
    out = rows.copy()
    for k in range(1, n):
        out += np.roll(rows, -k, axis=0)
    return out


def same(one: Law, other: object) -> bool:
    """Whether two laws have the same numbers."""
    if type(one) is not type(other):
        return NotImplemented
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)  # type: ignore[attr-defined]


def digest(law: Law) -> int:
    """A hash of a law that holds arrays."""
    values = (getattr(law, name) for name in law.__dataclass_fields__)  # type: ignore[attr-defined]
    return hash(tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in values))
