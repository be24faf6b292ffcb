"""The most likely Hawkes process of some events, with intervals; and the simplest other model of gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from risk_core.analytics.hawkes.process import EventTimes, Hawkes, log_likelihood
from risk_core.analytics.shares import Z95
from risk_core.checks import (
    SMALLEST,
    FloatArray,
    checked_array,
    checked_int,
    checked_kind,
    checked_number,
    require,
)
from risk_core.errors import InputError

LEAST_EVENTS = 10
"""A fit needs at least this many events."""
LARGEST_BRANCHING = 5.0
"""Upper bound of one entry of the branching matrix in a fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A maximum-likelihood fit.

    `*_low`, `*_high`: the ends of each parameter's 95 % interval, from the observed information on the log scale; NaN
    where a parameter lies at a bound or the data do not determine it.

    `mu_*` is (D, B), or (D, 1) of the levels where the base rates had a stated shape. Branching is by exponential,
    (D, D, U); beta is (U,) where the decays are shared. `n_parameters` counts those that were fitted. `converged`:
    whether the search ended at an optimum; a fit that did not converge must not be used.
    """

    model: Hawkes
    log_likelihood: float
    n_events: int
    n_parameters: int
    converged: bool
    message: str
    mu_low: FloatArray
    mu_high: FloatArray
    branching_low: FloatArray
    branching_high: FloatArray
    beta_low: FloatArray
    beta_high: FloatArray

    @property
    def aic(self) -> float:
        """Akaike's criterion, smaller is better."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, smaller is better."""
        return self.n_parameters * float(np.log(max(self.n_events, 1))) - 2 * self.log_likelihood


def fit(
    events: EventTimes,
    *,
    exponentials: int = 1,
    bins: int = 1,
    period: float = 1.0,
    starts: int = 3,
    shared_decay: bool = True,
    shape: ArrayLike | None = None,
) -> Fit:
    """The most likely model. `exponentials`: U of each kernel. `bins`: parts of `period` with base rates of their own.

    `shape`: (bins,) positive, how the base rates of every kind stand to each other over the period; of each kind only a
    level is then fitted, its mean base rate. `shared_decay`: one decay per exponential for all pairs, else one for each
    pair. The search (L-BFGS-B on logarithms, bounded) begins at `starts` points; the best is taken. Raises `InputError`
    for fewer than 10 events of all kinds together, or where all have the same time. A fit whose branching is 1 or more
    is returned as it is; `model.is_stationary` is then false.
    """
    checked_kind("events", events, EventTimes)
    shared_decay = bool(checked_array("shared_decay", shared_decay, np.bool_, ()))
    d, u = events.n_kinds, checked_int("exponentials", exponentials, 1, 5)
    bins, starts = checked_int("bins", bins, 1, 1000), checked_int("starts", starts, 1, 100)
    period = checked_number("period", period, SMALLEST, rule="a positive time")
    profile = None if shape is None else _profile(shape, bins)
    levels = bins if profile is None else 1
    n = len(events)
    gaps = np.diff(events.times)
    gaps = gaps[gaps > 0]
    if n < LEAST_EVENTS or not len(gaps):
        times = len(np.unique(events.times))
        raise InputError(f"events: expected at least {LEAST_EVENTS} at more than one time, found {n} at {times}")
    counts = np.maximum(np.bincount(events.kinds, minlength=d), 0.5)
    rates = counts / events.end
    n_beta = u if shared_decay else d * d * u
    slow, fast = np.log(0.5 / events.end), np.log(20.0 / max(float(np.quantile(gaps, 0.02)), 1e-12 * events.end))
    bounds = (
        [(np.log(rate * 1e-6), np.log(rate * 100 * bins)) for rate in np.repeat(rates, levels)]
        + [(np.log(1e-7), np.log(LARGEST_BRANCHING))] * (d * d * u)
        + [(slow, max(fast, slow + 1))] * n_beta
    )

    def unpack(x: FloatArray) -> Hawkes:
        mu = np.exp(x[: d * levels]).reshape(d, levels) * (1.0 if profile is None else profile)
        share = np.exp(x[d * levels : d * levels + d * d * u]).reshape(d, d, u)
        beta = np.exp(x[d * levels + d * d * u :])
        beta = np.broadcast_to(beta, (d, d, u)) if shared_decay else beta.reshape(d, d, u)
        return Hawkes(mu=mu, alpha=share * beta, beta=beta, period=period)

    def negative(x: FloatArray) -> tuple[float, FloatArray]:
        model = unpack(x)
        value, grad = log_likelihood(model, events)
        if not np.isfinite(value):
            return 1e300, np.zeros_like(x)
        of_beta = grad.beta * model.beta + grad.alpha * model.alpha  # alpha = share x beta moves with beta
        of_beta = of_beta.sum(axis=(0, 1)) if shared_decay else of_beta.ravel()
        of_mu = grad.mu * model.mu if profile is None else (grad.mu * model.mu).sum(axis=1)
        parts = (of_mu.ravel(), (grad.alpha * model.alpha).ravel(), of_beta)
        return -value, -np.concatenate(parts)

    best = None
    typical = float(np.median(gaps))
    for start in range(starts):
        share = (0.5, 0.2, 0.8, 0.05)[start % 4]
        speed = np.log(1.0 / typical) - 1.5 * (start // 4) - 2.5 * np.arange(u)[::-1] + (0.0, -2.0, 1.0)[start % 3]
        x0 = np.concatenate(
            [
                np.log(np.repeat(rates * (1 - min(share, 0.9)), levels)),
                np.full(d * d * u, np.log(share / (d * u))),
                speed if shared_decay else np.tile(speed, d * d),
            ]
        )
        x0 = np.clip(x0, [low for low, _ in bounds], [high for _, high in bounds])
        found = minimize(
            negative,
            x0,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-6 * n},
        )
        if best is None or found.fun < best.fun:
            best = found
    if best is None:
        raise InputError("fit: no start was tried")
    error = _errors(negative, best.x, bounds)
    # e^700, near the largest float, stands for "no upper end".
    low, high = np.exp(np.maximum(best.x - Z95 * error, -700)), np.exp(np.minimum(best.x + Z95 * error, 700))
    end_mu, end_branching = d * levels, d * levels + d * d * u
    of_beta = (u,) if shared_decay else (d, d, u)
    # With more than one exponential each share has its own interval; there is none of their sum.
    return Fit(
        model=unpack(best.x), log_likelihood=-float(best.fun), n_events=n, n_parameters=len(best.x),
        converged=bool(best.success), message=str(best.message), mu_low=low[:end_mu].reshape(d, levels),
        mu_high=high[:end_mu].reshape(d, levels), branching_low=low[end_mu:end_branching].reshape(d, d, u),
        branching_high=high[end_mu:end_branching].reshape(d, d, u), beta_low=low[end_branching:].reshape(of_beta),
        beta_high=high[end_branching:].reshape(of_beta),
    )  # fmt: skip


def _profile(shape: ArrayLike, bins: int) -> FloatArray:
    """`shape` (bins,) with a mean of 1. Raises `InputError`."""
    found = checked_array("shape", shape, np.float64, (bins,))
    require("shape", found, np.isfinite(found) & (found > 0), "must be positive and finite")
    return found / found.mean()


def _errors(
    negative: Callable[[FloatArray], tuple[float, FloatArray]], x: FloatArray, bounds: list[tuple[float, float]]
) -> FloatArray:
    """Standard errors on the log scale from the observed information; NaN where a parameter lies at a bound."""
    free = np.array([low + 1e-6 < value < high - 1e-6 for value, (low, high) in zip(x, bounds, strict=True)])
    error = np.full(len(x), np.nan)
    if not free.any():
        return error
    step = 1e-4
    hessian = np.empty((len(x), len(x)))
    for i in range(len(x)):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        hessian[i] = (negative(up)[1] - negative(down)[1]) / (2 * step)
    hessian = (hessian + hessian.T) / 2
    try:
        covariance = np.linalg.inv(hessian[np.ix_(free, free)])
    except np.linalg.LinAlgError:
        return error
    variance = np.diag(covariance)
    error[free] = np.sqrt(np.where(variance > 0, variance, np.nan))
    return error


def poisson_process(events: EventTimes) -> Hawkes:
    """The process with the same mean rates in which no event causes another.

    A kind without events counts as half an event, so that a later event of it is not impossible.
    """
    checked_kind("events", events, EventTimes)
    rates = np.maximum(np.bincount(events.kinds, minlength=events.n_kinds), 0.5) / events.end
    return Hawkes(mu=rates, alpha=np.zeros((events.n_kinds,) * 2), beta=np.ones((events.n_kinds,) * 2))
