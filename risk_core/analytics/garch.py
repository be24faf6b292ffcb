"""GARCH(1, 1): fits on a stated schedule, the variance that follows from them, and the value-at-risk.

    v_{t+1} = omega + alpha r_t^2 + beta v_t

with r the simple return of a period, its mean taken as zero, and v its variance (T. Bollerslev, "Generalized
autoregressive conditional heteroskedasticity", Journal of Econometrics 31, 1986). Fitted by quasi-maximum likelihood
with normal innovations, by the package `arch`. Between two fits the parameters are carried and the variance is updated
with every return. A fit that failed gives nothing until the next one: no other model takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from risk_core.checks import (
    BELOW_ONE,
    SMALLEST,
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_kind,
    checked_number,
    checked_text,
    require,
)
from risk_core.errors import InputError

LEAST_RETURNS = 60
"""Returns that a fit needs. So few give wide standard errors; they stand beside the parameters."""
MOST_PERSISTENCE = 1.0 - 1e-6
"""alpha + beta at or above: the variance has no mean to come back to, and a fit says so."""
LEAST_ALPHA = 1e-6
"""alpha below: past returns have no effect on the variance, and beta is then nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One fit to `n` returns.

    omega: a variance of a return; alpha, beta: pure numbers; each with its robust standard error. refused: why there is
    none, in words; the numbers are then NaN. Raises `InputError`.
    """

    n: int
    omega: float = float("nan")
    alpha: float = float("nan")
    beta: float = float("nan")
    omega_se: float = float("nan")
    alpha_se: float = float("nan")
    beta_se: float = float("nan")
    log_likelihood: float = float("nan")
    refused: str = ""

    def __post_init__(self) -> None:
        checked_int("Fit.n", self.n, 0)
        checked_text("Fit.refused", self.refused, empty=True)
        if self.refused:
            return
        for name in ("omega", "alpha", "beta"):
            checked_number(f"Fit.{name}", getattr(self, name), 0.0, rule="a number of 0 or more, or a reason `refused`")
        if self.omega == 0 or self.persistence >= MOST_PERSISTENCE:
            raise InputError(
                f"Fit: expected omega above 0 and alpha + beta below 1, found {self.omega:g} and {self.persistence:g}"
            )

    @property
    def persistence(self) -> float:
        """The persistence, alpha + beta: the part of a variance above its mean that is left after one period."""
        return self.alpha + self.beta

    @property
    def long_run(self) -> float:
        """Variance of a return in the long run, omega / (1 - alpha - beta)."""
        return self.omega / (1.0 - self.persistence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """A fit to the returns up to and including number `at` (from 0): it holds from there to the next one."""

    at: int
    fit: Fit


def fit(returns: ArrayLike) -> Fit:
    """Fit to (n,) simple returns of equal periods. A failure is a `Fit` that is `refused`, with the reason.

    Refused: fewer than `LEAST_RETURNS`, returns that never move, an optimiser that did not converge, a variance without
    a mean (alpha + beta of 1), and one that past returns have no effect on (alpha of 0).
    Raises `InputError` for returns that are none.
    """
    r = _returns(returns)
    if len(r) < LEAST_RETURNS:
        return Fit(n=len(r), refused=f"{len(r)} returns are too few, {LEAST_RETURNS} are needed")
    if not r.std() > 1e-12:
        return Fit(n=len(r), refused="the returns never move")
    # Here, not at the top: it brings pandas and takes seconds, and only a fit needs it.
    from arch import arch_model

    # In units of their own deviation: on returns of a stablecoin the optimiser would stay where it starts.
    scale = 1.0 / float(r.std())
    model = arch_model(scale * r, mean="Zero", vol="GARCH", p=1, q=1, dist="normal", rescale=False)
    found = model.fit(disp="off", show_warning=False)
    omega, alpha, beta = (float(value) for value in np.asarray(found.params))
    if found.convergence_flag != 0 or not np.isfinite([omega, alpha, beta]).all():
        return Fit(n=len(r), refused=f"the optimiser did not converge (flag {int(found.convergence_flag)})")
    if alpha + beta >= MOST_PERSISTENCE or not omega > 0:
        return Fit(n=len(r), refused=f"no variance to come back to: alpha + beta is {alpha + beta:.6f}")
    if alpha < LEAST_ALPHA:
        return Fit(
            n=len(r), refused=f"no effect of past returns on the variance is found in {len(r)} of them (alpha 0)"
        )
    errors = [float(value) for value in np.asarray(found.std_err)]
    return Fit(
        n=len(r), omega=omega / scale**2, alpha=alpha, beta=max(beta, 0.0), omega_se=errors[0] / scale**2,
        alpha_se=errors[1], beta_se=errors[2], log_likelihood=float(found.loglikelihood) + len(r) * np.log(scale),
    )  # fmt: skip


def schedule(n: int, every: int = 20, least: int = LEAST_RETURNS) -> IntArray:
    """Numbers of the returns at which a fit is made: `least - 1`, then each `every`, while there are returns."""
    n, every = checked_int("n", n, 0), checked_int("every", every, 1)
    return np.arange(checked_int("least", least, LEAST_RETURNS) - 1, n, every)


def refits(returns: ArrayLike, every: int = 20, least: int = LEAST_RETURNS, most: int = 1_000) -> list[Refit]:
    """A fit at each place of `schedule`, to the `most` newest returns up to there, and none of the future."""
    r, most = _returns(returns), checked_int("most", most, LEAST_RETURNS)
    return [Refit(at=at, fit=fit(r[max(at + 1 - most, 0) : at + 1])) for at in schedule(len(r), every, least).tolist()]


def variance_path(returns: ArrayLike, of: Fit, start: float) -> FloatArray:
    """(n,) variance of the next return after each; `start` is that of the first. Raises `InputError`."""
    r = _returns(returns)
    checked_kind("of", of, Fit)
    if of.refused:
        raise InputError(f"of: expected a fit, found one that was refused: {of.refused}")
    start = checked_number("start", start, 0.0, rule="a variance, 0 or more")
    # Imported here, not at the top: the import takes longer than the filter.
    from scipy.signal import lfilter

    return lfilter([1.0], [1.0, -of.beta], of.omega + of.alpha * r**2, zi=[of.beta * start])[0]


def term_structure(of: Fit, variance: float, horizons: ArrayLike) -> FloatArray:
    """Mean variance of a period over the next h periods, (H,), where the next one's is `variance`.

    v_k = V + (v_1 - V) p^(k - 1) with p the persistence and V the long run, averaged over k = 1 to h.
    """
    checked_kind("of", of, Fit)
    if of.refused:
        raise InputError(f"of: expected a fit, found one that was refused: {of.refused}")
    variance = checked_number("variance", variance, 0.0, rule="a variance, 0 or more")
    h = checked_array("horizons", horizons, np.int64, (None,))
    require("horizons", h, h >= 1, "must be a number of periods, 1 or more")
    p = of.persistence
    return of.long_run + (variance - of.long_run) * (1.0 - p**h) / (h * (1.0 - p))


def value_at_risk(
    returns: ArrayLike,
    fits: Sequence[Refit],
    *,
    level: float = 0.95,
    window: int = 30,
    position: float = 1_000_000.0,
    filtered: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """(value-at-risk, expected shortfall), each (n,), as in `risk_core.analytics.rolling`; NaN without a fit in force.

    Entry t is made of the returns up to and including t with the newest fit at or before t, and holds for return t + 1.
    A normal law with the GARCH volatility; filtered: the historical rule on the `window` newest returns, each over the
    volatility that was forecast for it, times the newest. fits: in order of time, of these very returns.
    Raises `InputError`.
    """
    r = _returns(returns)
    level = checked_number("level", level, SMALLEST, BELOW_ONE, "a number in (0, 1)")
    window, size = checked_int("window", window, 2), checked_number("position", position, SMALLEST, rule="an amount")
    if filtered and window * (1 - level) < 1 - 1e-9:
        raise InputError(f"window: {window} returns have none beyond level {level:g}")
    at = [_place(refit, len(r)) for refit in fits]
    if any(after <= before for before, after in pairwise(at)):
        raise InputError(f"fits: expected each later than the one before, found them at {at}")
    from scipy.stats import norm

    var, shortfall = np.full(len(r), np.nan), np.full(len(r), np.nan)
    ends = [*at[1:], len(r)]
    for refit, begin, end in zip(fits, at, ends, strict=False):  # without fits there is an end, and no beginning
        if refit.fit.refused:
            continue
        past = r[:end]
        start = float((past[: begin + 1] ** 2).mean())
        ahead = variance_path(past, refit.fit, start)
        if not filtered:
            z, spread = norm.ppf(level), np.sqrt(ahead[begin:end])
            var[begin:end], shortfall[begin:end] = size * spread * z, size * spread * norm.pdf(z) / (1 - level)
            continue
        standard = -past / np.sqrt(np.concatenate([[start], ahead[:-1]]))
        first = max(begin, window - 1)
        if first >= end:
            continue
        losses = np.sort(sliding_window_view(standard, window), axis=1)[first - window + 1 :]
        scale = size * np.sqrt(ahead[first:end])
        place = max(int(np.ceil(window * level - 1e-9)) - 1, 0)
        at_least = losses >= losses[:, place : place + 1]
        var[first:end] = scale * losses[:, place]
        shortfall[first:end] = scale * (losses * at_least).sum(axis=1) / at_least.sum(axis=1)
    return var, shortfall


def _place(refit: Refit, n: int) -> int:
    checked_kind("fits", refit, Refit)
    return checked_int("Refit.at", refit.at, 0, n - 1)


def _returns(returns: ArrayLike) -> FloatArray:
    r = checked_array("returns", returns, np.float64, (None,))
    require("returns", r, np.isfinite(r) & (r >= -1), "must be a fraction of at least -1")
    return r


NUMBERS = tuple(field.name for field in fields(Fit) if field.name not in ("n", "refused"))
"""The numbers of a fit, in their order."""
