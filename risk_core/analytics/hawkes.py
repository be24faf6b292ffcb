"""Events that bring further events: multivariate Hawkes processes, fitted, checked, simulated.

The intensity of kind i is lambda_i(t) = mu_i(t) + sum over earlier events m of phi_i,k(m)(t - t_m), with
phi_ij(t) = sum_u alpha_iju exp(-beta_iju t): an event of kind j raises the intensity of kind i. mu may differ between
equal parts of a period (the hours of a day). One event of kind j brings G_ij = sum_u alpha_iju / beta_iju direct
followers of kind i; there is a mean rate where the spectral radius of G is below 1. (Hawkes, Biometrika 58, 1971.)

Times are in one unit of the caller's, hours say, from 0 on, and rates are per that unit. **Equal times**: events at the
same time do not excite each other. Where a clock is coarse (all liquidations of a block bear its time), `spread_ties`
spreads them over the time that the clock stands for; say which was done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import kstest, poisson

from risk_core.errors import InputError
from risk_core.kernels import hawkes as kernels
from risk_core.types import SMALLEST, FloatArray, IntArray, checked_array, checked_int, checked_kind, checked_number

LEAST_EVENTS = 10
"""Fewer events say nothing of followers."""
LARGEST_BRANCHING = 5.0
"""Upper bound of one entry of the branching matrix in a fit."""
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTimes:
    """Times (n,), not falling, in (0, end]; kinds (n,), integers in [0, n_kinds). Raises `InputError`."""

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
        if len(times) and not (np.isfinite(times).all() and times.min() >= 0 and times.max() <= end):
            wrong = int(np.argmax(~((times >= 0) & (times <= end))))
            raise InputError(f"EventTimes.times: expected times in [0, {end:g}], found {times[wrong]} at entry {wrong}")
        if len(times) > 1 and (np.diff(times) < 0).any():
            wrong = int(np.argmax(np.diff(times) < 0)) + 1
            raise InputError(
                f"EventTimes.times: expected times that do not fall, found {times[wrong]} after {times[wrong - 1]} "
                f"at entry {wrong}"
            )
        if len(kinds) and not (kinds.min() >= 0 and kinds.max() < n_kinds):
            raise InputError(
                f"EventTimes.kinds: expected integers in [0, {n_kinds}), found {kinds.min()} to {kinds.max()}"
            )
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
            if not (np.isfinite(values) & (values >= least)).all():
                raise InputError(f"Hawkes.{label}: expected {'positive' if least else 'non-negative'} finite numbers")
        checked_number("Hawkes.period", self.period, SMALLEST, rule="a positive time")
        for name, value in (("mu", mu), ("alpha", alpha), ("beta", beta), ("period", float(self.period))):
            object.__setattr__(self, name, value)

    @property
    def branching(self) -> FloatArray:
        """Direct followers of kind i that one event of kind j brings, (D, D)."""
        return (self.alpha / self.beta).sum(axis=2)

    @property
    def spectral_radius(self) -> float:
        """Largest eigenvalue of the branching matrix in size."""
        return float(np.abs(np.linalg.eigvals(self.branching)).max())

    @property
    def is_stationary(self) -> bool:
        """Whether there is a mean rate: otherwise events grow without end."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A maximum-likelihood fit.

    `*_low`, `*_high`: the ends of each parameter's 95 % interval, from the observed information on the log scale; NaN
    where a parameter lies at a bound or the data do not determine it.

    Branching is by exponential, (D, D, U); beta is (U,) where the decays are shared. `n_parameters` counts those that
    were fitted. `converged`: whether the search ended where it should; a fit that did not is no result.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """A probability by simulation with its 95 % interval (Wilson), and bounds that hold without simulation."""

    value: float
    low: float
    high: float
    paths: int
    lower_bound: float
    upper_bound: float


def log_likelihood(model: Hawkes, events: EventTimes) -> tuple[float, Gradient]:
    """Log-likelihood of the events on [0, end] and its gradient in every parameter.

    -inf where an event falls on an intensity of 0. (Daley and Vere-Jones, An Introduction to the Theory of Point
    Processes, 2nd ed. 2003, eq. 7.2.1.)
    """
    _same_kinds(model, events)
    grad = (np.zeros_like(model.mu), np.zeros_like(model.alpha), np.zeros_like(model.beta))
    value = kernels.likelihood(
        events.times, events.kinds, events.end, model.mu, _bins(model, events.times), _time_in_bins(model, events.end),
        model.alpha, model.beta, np.zeros_like(model.alpha), np.zeros_like(model.alpha), np.zeros(len(model.mu)), *grad,
    )  # fmt: skip
    return float(value), Gradient(mu=grad[0], alpha=grad[1], beta=grad[2])


def poisson_log_likelihood(events: EventTimes, bins: int = 1, period: float = 1.0) -> float:
    """The largest log-likelihood of independent Poisson processes with a rate for each of `bins` parts of `period`."""
    checked_kind("events", events, EventTimes)
    bins = checked_int("bins", bins, 1, 1000)
    base = Hawkes(mu=np.ones((events.n_kinds, bins)), alpha=np.zeros((events.n_kinds,) * 2),
                  beta=np.ones((events.n_kinds,) * 2), period=period)  # fmt: skip
    counts = np.zeros((events.n_kinds, bins))
    np.add.at(counts, (events.kinds, _bins(base, events.times)), 1)
    spent = _time_in_bins(base, events.end)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(counts > 0, counts * np.log(counts / spent), 0.0).sum() - len(events))


def weibull_renewal(times: ArrayLike, end: float) -> tuple[float, float, float]:
    """Shape, scale and log-likelihood of a renewal process with Weibull gaps, the unfinished last gap included.

    times: (n,) strictly rising in (0, end]. A shape below 1 says that events come in bursts.
    """
    times = checked_array("times", times, np.float64, (None,))
    t = EventTimes(times=times, kinds=np.zeros(len(times), np.int64), end=end, n_kinds=1).times
    gaps = np.diff(t, prepend=0.0)
    if len(gaps) < LEAST_EVENTS or not (gaps > 0).all():
        raise InputError(f"times: expected at least {LEAST_EVENTS} strictly rising times, found {len(gaps)}")
    logs, last = np.log(gaps), end - t[-1]

    def negative(x: FloatArray) -> float:
        shape, scale = np.exp(x)
        body = len(gaps) * (np.log(shape) - shape * np.log(scale)) + (shape - 1) * logs.sum()
        return -(body - ((gaps / scale) ** shape).sum() - (last / scale) ** shape)

    found = minimize(negative, np.array([0.0, np.log(gaps.mean())]), method="Nelder-Mead",
                     options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000})  # fmt: skip
    shape, scale = np.exp(found.x)
    return float(shape), float(scale), float(-found.fun)


def fit(
    events: EventTimes,
    *,
    exponentials: int = 1,
    bins: int = 1,
    period: float = 1.0,
    starts: int = 3,
    shared_decay: bool = True,
) -> Fit:
    """The most likely model. `exponentials`: U of each kernel. `bins`: parts of `period` with base rates of their own.

    `shared_decay`: one decay per exponential for all pairs, else one for each pair. The search (L-BFGS-B on logarithms,
    bounded) begins at `starts` points; the best is taken. Raises `InputError` for fewer than 10 events of all kinds
    together, or where all stand at one time. A fit whose branching is 1 or more is returned and says so
    (`model.is_stationary`): nothing is bent to make it look stationary.
    """
    checked_kind("events", events, EventTimes)
    shared_decay = bool(checked_array("shared_decay", shared_decay, np.bool_, ()))
    d, u = events.n_kinds, checked_int("exponentials", exponentials, 1, 5)
    bins, starts = checked_int("bins", bins, 1, 1000), checked_int("starts", starts, 1, 100)
    period = checked_number("period", period, SMALLEST, rule="a positive time")
    n = len(events)
    gaps = np.diff(events.times)
    gaps = gaps[gaps > 0]
    if n < LEAST_EVENTS or not len(gaps):
        raise InputError(f"events: expected at least {LEAST_EVENTS} at more than one time, found {n}")
    counts = np.maximum(np.bincount(events.kinds, minlength=d), 0.5)
    rates = counts / events.end
    n_beta = u if shared_decay else d * d * u
    slow, fast = np.log(0.5 / events.end), np.log(20.0 / max(float(np.quantile(gaps, 0.02)), 1e-12 * events.end))
    bounds = (
        [(np.log(rate * 1e-6), np.log(rate * 100 * bins)) for rate in np.repeat(rates, bins)]
        + [(np.log(1e-7), np.log(LARGEST_BRANCHING))] * (d * d * u)
        + [(slow, max(fast, slow + 1))] * n_beta
    )

    def unpack(x: FloatArray) -> Hawkes:
        mu = np.exp(x[: d * bins]).reshape(d, bins)
        share = np.exp(x[d * bins : d * bins + d * d * u]).reshape(d, d, u)
        beta = np.exp(x[d * bins + d * d * u :])
        beta = np.broadcast_to(beta, (d, d, u)) if shared_decay else beta.reshape(d, d, u)
        return Hawkes(mu=mu, alpha=share * beta, beta=beta, period=period)

    def negative(x: FloatArray) -> tuple[float, FloatArray]:
        model = unpack(x)
        value, grad = log_likelihood(model, events)
        if not np.isfinite(value):
            return 1e300, np.zeros_like(x)
        of_beta = grad.beta * model.beta + grad.alpha * model.alpha  # alpha = share x beta moves with beta
        of_beta = of_beta.sum(axis=(0, 1)) if shared_decay else of_beta.ravel()
        parts = ((grad.mu * model.mu).ravel(), (grad.alpha * model.alpha).ravel(), of_beta)
        return -value, -np.concatenate(parts)

    best = None
    typical = float(np.median(gaps))
    for start in range(starts):
        share = (0.5, 0.2, 0.8, 0.05)[start % 4]
        speed = np.log(1.0 / typical) - 1.5 * (start // 4) - 2.5 * np.arange(u)[::-1] + (0.0, -2.0, 1.0)[start % 3]
        x0 = np.concatenate([
            np.log(np.repeat(rates * (1 - min(share, 0.9)), bins)), np.full(d * d * u, np.log(share / (d * u))),
            speed if shared_decay else np.tile(speed, d * d),
        ])  # fmt: skip
        x0 = np.clip(x0, [low for low, _ in bounds], [high for _, high in bounds])
        found = minimize(negative, x0, jac=True, method="L-BFGS-B", bounds=bounds,
                         options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-6 * n})  # fmt: skip
        if best is None or found.fun < best.fun:
            best = found
    if best is None:
        raise InputError("fit: no start was tried")
    error = _errors(negative, best.x, bounds)
    # e^700 stands for no upper end.
    low, high = np.exp(np.maximum(best.x - Z95 * error, -700)), np.exp(np.minimum(best.x + Z95 * error, 700))
    one, two = d * bins, d * bins + d * d * u
    shape = (u,) if shared_decay else (d, d, u)
    # The interval of a sum of shares is stated where there is one exponential; with more, each has its own.
    return Fit(
        model=unpack(best.x), log_likelihood=-float(best.fun), n_events=n, n_parameters=len(best.x),
        converged=bool(best.success), message=str(best.message), mu_low=low[:one].reshape(d, bins),
        mu_high=high[:one].reshape(d, bins), branching_low=low[one:two].reshape(d, d, u),
        branching_high=high[one:two].reshape(d, d, u), beta_low=low[two:].reshape(shape),
        beta_high=high[two:].reshape(shape),
    )  # fmt: skip


def intensity(model: Hawkes, events: EventTimes, at: ArrayLike) -> FloatArray:
    """Events per unit of time of each kind, (m, D), just before each of the times `at` (m,), which do not fall."""
    _same_kinds(model, events)
    when = checked_array("at", at, np.float64, (None,))
    if len(when) and (not np.isfinite(when).all() or when[0] < 0 or (np.diff(when) < 0).any()):
        raise InputError("at: expected finite times from 0 on that do not fall")
    out = np.empty((len(when), len(model.mu)))
    kernels.intensities(
        events.times, events.kinds, when, model.mu, _bins(model, when), model.alpha, model.beta,
        np.zeros_like(model.alpha), np.zeros(len(model.mu)), out,
    )  # fmt: skip
    return out


def residuals(model: Hawkes, events: EventTimes) -> FloatArray:
    """Gaps in the time that the intensity makes, (n,): independent exponentials of mean 1 under the right model.

    (Ogata, "Statistical models for earthquake occurrences", J. American Statistical Association 83, 1988.)
    """
    _same_kinds(model, events)
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
    """What is left of past excitation at the end of the events, (D, D, U): sums of exp(-beta (end - t))."""
    _same_kinds(model, events)
    out = np.zeros_like(model.beta)
    kernels.excitation(events.times, events.kinds, events.end, model.beta, out)
    return out


def simulate(
    model: Hawkes, horizon: float, *, seed: int, path: int = 0, history: EventTimes | None = None, most: int = 1_000_000
) -> EventTimes:
    """One path over `horizon` after the history (or from rest at time 0): events with times counted from its end.

    A pure function of (model, history, seed, path). Raises `InputError` beyond `most` events: the model explodes, or
    the horizon is too long.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    seed, path = checked_int("seed", seed, 0), checked_int("path", path, 0)
    most = checked_int("most", most, 1)
    start, begun = _begun(model, history)
    size = min(most, 1024)
    while True:
        times, kinds = np.empty(size), np.empty(size, np.int64)
        count = _thin(model, start, begun.copy(), horizon, seed, path, times, kinds)
        if count >= 0:
            break
        if size >= most:
            raise InputError(
                f"simulate: more than {most} events within {horizon:g}; the model explodes or the horizon is long"
            )
        size = min(most, 8 * size)
    return EventTimes(
        times=np.minimum(times[:count] - start, horizon), kinds=kinds[:count], end=horizon, n_kinds=len(model.mu)
    )


def chance_of(
    model: Hawkes,
    horizon: float,
    *,
    at_least: int,
    history: EventTimes | None = None,
    kinds: ArrayLike | None = None,
    paths: int = 10_000,
    seed: int = 1,
) -> Chance:
    """Probability of at least `at_least` events (of `kinds`, default all) within `horizon` after the history.

    By thinning from the present state, with Wilson's interval. The lower bound lets no event bring followers, the upper
    one is Markov's with the exact mean; both hold for every kind together, so with `kinds` they are 0 and 1.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    wanted = checked_int("at_least", at_least, 1)
    paths = checked_int("paths", paths, 1)
    seed = checked_int("seed", seed, 0)
    start, begun = _begun(model, history)
    some = None if kinds is None else set(checked_array("kinds", kinds, np.int64, (None,)).tolist())
    if some is not None and not some <= set(range(len(model.mu))):
        raise InputError(f"kinds: expected integers from 0 to {len(model.mu) - 1}, found {sorted(some)!r:.80}")
    size = 64 if some is None else 4096
    size = max(size, wanted)
    times, found = np.empty(size), np.empty(size, np.int64)
    hits = 0
    for path in range(paths):
        count = _thin(model, start, begun.copy(), horizon, seed, path, times, found)
        if some is None:
            hits += count >= wanted or count < 0  # a full buffer holds at least `wanted` events
        else:
            while count < 0:
                times, found = np.empty(8 * len(times)), np.empty(8 * len(times), np.int64)
                count = _thin(model, start, begun.copy(), horizon, seed, path, times, found)
            hits += int(np.isin(found[:count], list(some)).sum()) >= wanted
    low, high = wilson(hits, paths)
    lower, upper = 0.0, 1.0
    if some is None:
        lower = float(poisson.sf(wanted - 1, _quiet_mean(model, begun, start, horizon)))
        upper = min(1.0, float(expected_counts(model, horizon, history=history).sum()) / wanted)
    return Chance(
        value=hits / paths, low=low, high=high, paths=paths, lower_bound=lower, upper_bound=upper,
    )  # fmt: skip


def chance_of_cluster(
    model: Hawkes,
    horizon: float,
    *,
    at_least: int,
    within: float,
    history: EventTimes | None = None,
    paths: int = 10_000,
    seed: int = 1,
) -> Chance:
    """Probability of a cluster within `horizon` after the history: `at_least` events no further apart than `within`.

    Events before the horizon count for none. Bounds: no more likely than `at_least` events in the whole horizon.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    within = checked_number("within", within, SMALLEST, rule="a positive time")
    wanted, paths = checked_int("at_least", at_least, 1), checked_int("paths", paths, 1)
    seed = checked_int("seed", seed, 0)
    start, begun = _begun(model, history)
    times, kinds = np.empty(max(4096, 8 * wanted)), np.empty(max(4096, 8 * wanted), np.int64)
    hits = 0
    for path in range(paths):
        count = _thin(model, start, begun.copy(), horizon, seed, path, times, kinds)
        # A full buffer is a path of thousands of events: what is in it decides, later events could only add clusters.
        held = times[: count if count >= 0 else len(times)]
        hits += bool(len(held) >= wanted and (held[wanted - 1 :] - held[: len(held) - wanted + 1] <= within).any())
    low, high = wilson(hits, paths)
    upper = min(1.0, float(expected_counts(model, horizon, history=history).sum()) / wanted)
    return Chance(value=hits / paths, low=low, high=high, paths=paths, lower_bound=0.0, upper_bound=upper)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, never empty at 0 or 1. (Wilson, J. American Statistical Association 22, 1927.)"""
    n = checked_int("n", n, 1)
    share = checked_int("hits", hits, 0, n) / n
    middle = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    # Exactly at the ends: the two formulas meet there but for rounding.
    return 0.0 if hits == 0 else max(float(middle - half), 0.0), 1.0 if hits == n else min(float(middle + half), 1.0)


def expected_counts(model: Hawkes, horizon: float, *, history: EventTimes | None = None) -> FloatArray:
    """Exact mean number of events of each kind within `horizon`, (D,), from the state after the history.

    The mean excitation follows a linear equation, solved by a matrix exponential for each part of the period.
    """
    horizon = checked_number("horizon", horizon, SMALLEST, rule="a positive time")
    now, begun = _begun(model, history)
    r = begun.ravel()
    d, u = len(model.mu), model.alpha.shape[2]
    size = d * d * u
    # Unknowns: R (size), counts (D), and a constant 1.
    system = np.zeros((size + d + 1, size + d + 1))
    place = np.arange(size).reshape(d, d, u)
    for i in range(d):
        for j in range(d):
            for k in range(u):
                system[size + i, place[i, j, k]] = model.alpha[i, j, k]
    for i in range(d):
        for j in range(d):
            for k in range(u):
                row = place[i, j, k]
                system[row] += system[size + j]
                system[row, row] -= model.beta[i, j, k]
    x = np.concatenate([r, np.zeros(d), [1.0]])
    for at, until in _parts(model, now, now + horizon):
        drift = system.copy()
        base = model.mu[:, at]
        drift[size : size + d, -1] = base
        for i in range(d):
            for j in range(d):
                drift[place[i, j], -1] += base[j]
        x = expm(drift * until) @ x
    return x[size : size + d]


def spread_ties(times: ArrayLike, width: float) -> FloatArray:
    """Events that bear one time spread evenly over the `width` before it, (n,): m of them stand at (k - 1/2)/m of it.

    times: (n,) not falling, as a block clock gives them; `width` at most the time between two blocks.
    """
    t = checked_array("times", times, np.float64, (None,))
    width = checked_number("width", width, 0.0, rule="a time, not negative")
    if not np.isfinite(t).all() or (len(t) > 1 and (np.diff(t) < 0).any()):
        raise InputError("times: expected finite times that do not fall")
    _, first, count = np.unique(t, return_index=True, return_counts=True)
    rank = np.arange(len(t)) - np.repeat(first, count)
    return t - width * (1 - (rank + 0.5) / np.repeat(count, count))


def moments(mu: float, alpha: float, beta: float, window: float) -> tuple[float, float]:
    """Mean and variance of the events in a window of a stationary one-dimensional process with phi = alpha e^(-beta t).

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


def poisson_chance(rate: float, horizon: float, at_least: int) -> float:
    """Probability of at least so many events of a Poisson process: what a model without followers would say."""
    mean = checked_number("rate", rate, 0.0) * checked_number("horizon", horizon, 0.0)
    return float(poisson.sf(checked_int("at_least", at_least, 1) - 1, mean))


def log_factorial(n: int) -> float:
    """Logarithm of n!, for densities of counts."""
    return float(gammaln(checked_int("n", n, 0) + 1))


def _thin(model, start, begun, horizon, seed, path, times, kinds) -> int:
    per_bin = model.mu.shape[1]
    return kernels.thin(
        model.mu, start, per_bin, model.period / per_bin, model.alpha, model.beta, begun, horizon, seed, path,
        np.empty(len(model.mu)), times, kinds,
    )  # fmt: skip


def _quiet_mean(model: Hawkes, begun: FloatArray, start: float, horizon: float) -> float:
    """Integral of all intensities if no further event came."""
    base = sum(model.mu[:, at].sum() * length for at, length in _parts(model, start, start + horizon))
    left = (model.alpha * begun / model.beta * -np.expm1(-model.beta * horizon)).sum()
    return float(base + left)


def _parts(model: Hawkes, start: float, end: float) -> list[tuple[int, float]]:
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


def _bins(model: Hawkes, times: FloatArray) -> IntArray:
    bins = model.mu.shape[1]
    if bins == 1:
        return np.zeros(len(times), np.int64)
    return (np.floor(times / (model.period / bins) + 1e-12) % bins).astype(np.int64)


def _time_in_bins(model: Hawkes, end: float) -> FloatArray:
    bins = model.mu.shape[1]
    if bins == 1:
        return np.array([end])
    length = model.period / bins
    whole = np.floor(end / model.period)
    rest = end - whole * model.period
    return whole * length + np.clip(rest - length * np.arange(bins), 0.0, length)


def _errors(negative, x: FloatArray, bounds: list[tuple[float, float]]) -> FloatArray:
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


def _begun(model: Hawkes, history: EventTimes | None) -> tuple[float, FloatArray]:
    """When a path begins, and what is left of the excitation before: nothing without a history."""
    if history is not None:
        left = state(model, history)
        return history.end, left
    checked_kind("model", model, Hawkes)
    return 0.0, np.zeros_like(model.beta)


def _same_kinds(model: Hawkes, events: EventTimes) -> None:
    checked_kind("model", model, Hawkes)
    checked_kind("events", events, EventTimes)
    if len(model.mu) != events.n_kinds:
        raise InputError(f"the model has {len(model.mu)} kinds of events, the events have {events.n_kinds}")
