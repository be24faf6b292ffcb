"""A Hawkes process and observed events: likelihood, intensity, residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kstest

from risk_core.checks import (
    SMALLEST,
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_kind,
    checked_number,
    require,
    require_rising,
)
from risk_core.errors import InputError
from risk_core.kernels import hawkes as kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTimes:
    """Times (n,), not falling, in [0, end]; kinds (n,), integers in [0, n_kinds). Raises `InputError`."""

    times: FloatArray
    kinds: IntArray
    end: float
    n_kinds: int

    def __post_init__(self) -> None:
        """Check, and keep read-only copies."""
        times = checked_array("EventTimes.times", self.times, np.float64, (None,))
        kinds = checked_array("EventTimes.kinds", self.kinds, np.int64, (len(times),))
        n_kinds = checked_int("EventTimes.n_kinds", self.n_kinds, 1)
        end = checked_number("EventTimes.end", self.end, SMALLEST, rule="a positive time")
        require("EventTimes.times", times, (times >= 0) & (times <= end), f"must be in [0, {end:g}]")
        require_rising("EventTimes.times", times, strictly=False)
        require("EventTimes.kinds", kinds, (kinds >= 0) & (kinds < n_kinds), f"must be in [0, {n_kinds})")
        for name, value in (("times", times), ("kinds", kinds), ("end", end), ("n_kinds", n_kinds)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Number of events."""
        return len(self.times)

    def until(self, end: float) -> EventTimes:
        """The events up to and including `end`, which is no later than that of the events."""
        end = checked_number("end", end, SMALLEST, self.end, f"a time in (0, {self.end:g}]")
        kept = self.times <= end
        return EventTimes(times=self.times[kept], kinds=self.kinds[kept], end=end, n_kinds=self.n_kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hawkes:
    """Parameters of a process with D kinds of events.

    mu: (D, B) base rates by part of the period. alpha, beta: (D, D, U), kind i excited by kind j. period: length of the
    period where B > 1; it begins at time 0. Raises `InputError` for shapes that differ and for impossible numbers.
    """

    mu: FloatArray
    alpha: FloatArray
    beta: FloatArray
    period: float = 1.0

    def __post_init__(self) -> None:
        """Check, and keep read-only copies; (D,) and (D, D) stand for B = 1 and U = 1."""
        mu, alpha, beta = (np.asarray(value) for value in (self.mu, self.alpha, self.beta))
        mu = checked_array("Hawkes.mu", mu[:, None] if mu.ndim == 1 else mu, np.float64, (None, None))
        d = len(mu)
        if not mu.size:
            raise InputError("Hawkes.mu: expected at least one kind of events, found none")
        alpha = checked_array("Hawkes.alpha", alpha[..., None] if alpha.ndim == 2 else alpha, np.float64, (d, d, None))
        beta = beta[..., None] if beta.ndim == 2 else beta
        if beta.ndim == 3 and beta.shape[:2] == (d, d) and beta.shape[2] == 1:
            beta = np.broadcast_to(beta, alpha.shape)
        beta = checked_array("Hawkes.beta", beta, np.float64, alpha.shape)
        for label, values, least in (("mu", mu, 0.0), ("alpha", alpha, 0.0), ("beta", beta, SMALLEST)):
            rule = f"must be finite and {'positive' if least else 'not negative'}"
            require(f"Hawkes.{label}", values, np.isfinite(values) & (values >= least), rule)
        checked_number("Hawkes.period", self.period, SMALLEST, rule="a positive time")
        for name, value in (("mu", mu), ("alpha", alpha), ("beta", beta), ("period", float(self.period))):
            object.__setattr__(self, name, value)

    @property
    def branching(self) -> FloatArray:
        """Mean number of events of kind i that one event of kind j directly causes, (D, D)."""
        return (self.alpha / self.beta).sum(axis=2)

    @property
    def spectral_radius(self) -> float:
        """Largest absolute eigenvalue of the branching matrix."""
        return float(np.abs(np.linalg.eigvals(self.branching)).max())

    @property
    def is_stationary(self) -> bool:
        """Whether there is a mean rate; without one the number of events grows without limit."""
        return self.spectral_radius < 1

    @property
    def mean_rates(self) -> FloatArray:
        """Events per unit of time in the long run, (D,): (I - G)^-1 mu. Raises `InputError` where there are none."""
        if not self.is_stationary:
            raise InputError(f"Hawkes: no mean rate, the spectral radius is {self.spectral_radius:.3f}, at least 1")
        return np.linalg.solve(np.eye(len(self.mu)) - self.branching, self.mu.mean(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """Derivatives of a log-likelihood, in the shapes of `Hawkes`."""

    mu: FloatArray
    alpha: FloatArray
    beta: FloatArray


def log_likelihood(model: Hawkes, events: EventTimes) -> tuple[float, Gradient]:
    """Log-likelihood of the events on [0, end] and its gradient in every parameter.

    -inf where an event happens at an intensity of 0. (Daley and Vere-Jones, An Introduction to the Theory of Point
    Processes, 2nd ed. 2003, eq. 7.2.1.)
    """
    require_same_kinds(model, events)
    bins, spent = bins_of(model, events.times), time_in_bins(model, events.end)
    grad = np.zeros_like(model.mu), np.zeros_like(model.alpha), np.zeros_like(model.beta)
    if model.alpha.size == 1:
        value, grad[1][:], grad[2][:] = kernels.likelihood_of_one(
            events.times, events.end, model.mu[0], bins, spent, model.alpha.item(), model.beta.item(), grad[0][0]
        )
    else:
        value = kernels.likelihood(
            events.times, events.kinds, events.end, model.mu, bins, spent, model.alpha, model.beta,
            np.zeros_like(model.alpha), np.zeros_like(model.alpha), np.zeros(len(model.mu)), *grad,
        )  # fmt: skip
    return float(value), Gradient(mu=grad[0], alpha=grad[1], beta=grad[2])


def poisson_log_likelihood(events: EventTimes, bins: int = 1, period: float = 1.0) -> float:
    """The largest log-likelihood of independent Poisson processes with a rate for each of `bins` parts of `period`."""
    checked_kind("events", events, EventTimes)
    bins = checked_int("bins", bins, 1, 1000)
    base = Hawkes(
        mu=np.ones((events.n_kinds, bins)),
        alpha=np.zeros((events.n_kinds,) * 2),
        beta=np.ones((events.n_kinds,) * 2),
        period=period,
    )
    counts = np.zeros((events.n_kinds, bins))
    np.add.at(counts, (events.kinds, bins_of(base, events.times)), 1)
    spent = time_in_bins(base, events.end)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(counts > 0, counts * np.log(counts / spent), 0.0).sum() - len(events))


def intensity(model: Hawkes, events: EventTimes, at: ArrayLike) -> FloatArray:
    """Events per unit of time of each kind, (m, D), just before each of the ascending times `at` (m,)."""
    require_same_kinds(model, events)
    when = checked_array("at", at, np.float64, (None,))
    require("at", when, np.isfinite(when) & (when >= 0), "must be a finite time from 0 on")
    require_rising("at", when, strictly=False)
    out = np.empty((len(when), len(model.mu)))
    kernels.intensities(
        events.times, events.kinds, when, model.mu, bins_of(model, when), model.alpha, model.beta,
        np.zeros_like(model.alpha), np.zeros(len(model.mu)), out,
    )  # fmt: skip
    return out


def residuals(model: Hawkes, events: EventTimes) -> FloatArray:
    """Integral of the intensity between events, (n,): independent exponentials of mean 1 under the right model.

    (Ogata, "Statistical models for earthquake occurrences", J. American Statistical Association 83, 1988.)
    """
    require_same_kinds(model, events)
    out = np.empty(len(events))
    per_bin = model.mu.shape[1]
    kernels.compensators(
        events.times, events.kinds, model.mu, per_bin, model.period / per_bin, model.alpha, model.beta,
        np.zeros_like(model.alpha), np.zeros(len(model.mu)), np.zeros(len(model.mu)), out,
    )  # fmt: skip
    return out


def residual_test(model: Hawkes, events: EventTimes) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of the residuals from Exp(1), and its p-value.

    For a model that was fitted to the same events the p-value is too large: test the model on later events, or take
    the p-value as a rough guide.
    """
    found = kstest(residuals(model, events), "expon")
    return float(found.statistic), float(found.pvalue)


def out_of_sample(model: Hawkes, events: EventTimes, split: float) -> float:
    """Log-likelihood of the events after `split`, given those before, under parameters that did not see them."""
    return log_likelihood(model, events)[0] - log_likelihood(model, events.until(split))[0]


def state(model: Hawkes, events: EventTimes) -> FloatArray:
    """Excitation that is left at the end of the events, (D, D, U): sums of exp(-beta (end - t))."""
    require_same_kinds(model, events)
    out = np.zeros_like(model.beta)
    kernels.excitation(events.times, events.kinds, events.end, model.beta, out)
    return out


def spread_ties(times: ArrayLike, width: float) -> FloatArray:
    """Times (n,) in which equal times are spread evenly over the `width` before them: the k-th of m at (k - 1/2)/m.

    times: (n,) ascending, as a block clock gives them; `width`: at most the time between two blocks.
    """
    t = checked_array("times", times, np.float64, (None,))
    width = checked_number("width", width, 0.0, rule="a time, not negative")
    require("times", t, np.isfinite(t), "must be finite")
    require_rising("times", t, strictly=False)
    _, first, count = np.unique(t, return_index=True, return_counts=True)
    rank = np.arange(len(t)) - np.repeat(first, count)
    return t - width * (1 - (rank + 0.5) / np.repeat(count, count))


def on_clock(
    seconds: ArrayLike, kinds: ArrayLike, *, begin: float, end: float, n_kinds: int, clock: float, unit: float
) -> EventTimes:
    """`EventTimes` from `begin` to `end` of events timed by a coarse clock, in `unit` seconds; ties are spread.

    seconds: (n,) ascending, in (begin, end], as a chain's blocks give them. kinds: (n,) integers. `clock`: the seconds
    that one time stands for; where two different times lie closer than that, their distance is taken instead. Raises
    `InputError`.
    """
    at = checked_array("seconds", seconds, np.float64, (None,))
    begin, end = checked_number("begin", begin), checked_number("end", end)
    require("seconds", at, (at > begin) & (at <= end), f"must be in ({begin:g}, {end:g}], from begin to end")
    unit = checked_number("unit", unit, SMALLEST, rule="a positive number of seconds")
    steps = np.diff(np.unique(at))
    width = checked_number("clock", clock, 0.0, rule="seconds, not negative")
    if len(steps):
        width = min(width, float(steps.min()))
    length = (end - begin) / unit
    # An event of the first block may be spread to before the begin.
    times = np.clip((spread_ties(at, width) - begin) / unit, 0.0, length)
    return EventTimes(times=times, kinds=kinds, end=length, n_kinds=n_kinds)


def moments(mu: float, alpha: float, beta: float, window: float) -> tuple[float, float]:
    """Mean and variance of the number of events in a window, for one kind and phi = alpha e^(-beta t), stationary.

    (Hawkes 1971; Da Fonseca and Zaatour, J. Futures Markets 34, 2014, proposition 2.)
    """
    mu, alpha = checked_number("mu", mu, 0.0, rule="a rate"), checked_number("alpha", alpha, 0.0, rule="a rate")
    beta = checked_number("beta", beta, SMALLEST, rule="a positive rate")
    window = checked_number("window", window, SMALLEST, rule="a positive time")
    gap = beta - alpha
    if not gap > 0:
        raise InputError(f"moments: expected alpha below beta, found {alpha} and {beta}")
    k, rate = beta / gap, mu * beta / gap
    variance = rate * (window * k**2 + (1 - k**2) * (1 - np.exp(-gap * window)) / gap)
    return rate * window, float(variance)


def parts(model: Hawkes, start: float, end: float) -> list[tuple[int, float]]:
    """(part of the period, length) for each piece of [start, end]."""
    bins = model.mu.shape[1]
    if bins == 1:
        return [(0, end - start)]
    length = model.period / bins
    pieces, now = [], start
    while now < end:
        whole = int(np.floor(now / length + 1e-12))
        until = min((whole + 1) * length, end)
        if until > now:
            pieces.append((whole % bins, until - now))
        now = max(until, np.nextafter(now, np.inf))
    return pieces


def bins_of(model: Hawkes, times: FloatArray) -> IntArray:
    """The part of the period that each time is in, (n,)."""
    bins = model.mu.shape[1]
    if bins == 1:
        return np.zeros(len(times), np.int64)
    return (np.floor(times / (model.period / bins) + 1e-12) % bins).astype(np.int64)


def time_in_bins(model: Hawkes, end: float) -> FloatArray:
    """How much of [0, end] is spent in each part of the period, (B,)."""
    bins = model.mu.shape[1]
    if bins == 1:
        return np.array([end])
    length = model.period / bins
    whole = np.floor(end / model.period)
    rest = end - whole * model.period
    return whole * length + np.clip(rest - length * np.arange(bins), 0.0, length)


def require_same_kinds(model: Hawkes, events: EventTimes) -> None:
    """Raise `InputError` unless these are a `Hawkes` and `EventTimes` with the same number of kinds."""
    checked_kind("model", model, Hawkes)
    checked_kind("events", events, EventTimes)
    if len(model.mu) != events.n_kinds:
        raise InputError(f"the model has {len(model.mu)} kinds of events, the events have {events.n_kinds}")
