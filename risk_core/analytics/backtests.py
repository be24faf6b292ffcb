"""Forecasts compared with what happened: coverage of a value-at-risk, and scores of quantiles and distributions.

Losses and forecasts are positive numbers of money or of return. An exception is a loss above its forecast. Sources:
Kupiec, "Techniques for verifying the accuracy of risk measurement models", J. Derivatives 3 (1995); Christoffersen,
"Evaluating interval forecasts", Int. Economic Review 39 (1998); Basel Committee, "Supervisory framework for the use of
backtesting" (1996), with the multipliers of 2019; Gneiting and Raftery, J. American Statistical Association 102 (2007),
for the pinball loss and the CRPS; Wang, Wang and Ziegel, "E-backtesting", arXiv 2209.00991, for the evidence against an
expected shortfall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy
from scipy.stats import binom, chi2, kstest

from risk_core.checks import BELOW_ONE, SMALLEST, FloatArray, checked_array, checked_int, checked_number, require
from risk_core.errors import InputError

BoolArray = np.ndarray

MULTIPLIERS = (1.5, 1.5, 1.5, 1.5, 1.5, 1.7, 1.76, 1.83, 1.88, 1.92, 2.0)
"""Capital multiplier by number of exceptions in 250 days at 99 % (Basel 2019, MAR 32); 10 and more give the last."""
GREEN, RED = 0.95, 0.9999
"""Cumulative probabilities at which the yellow and the red zone begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A likelihood-ratio statistic and its p-value: how often a right model gives a statistic at least as large."""

    __test__ = False  # not one of pytest's

    statistic: float
    p_value: float

    def rejects(self, significance: float = 0.05) -> bool:
        """Whether a right model would do this less often than `significance`."""
        return self.p_value < significance


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often a forecast at `level` was exceeded, and what that says.

    `transitions`: ((n00, n01), (n10, n11)), where n01 counts a day without an exception followed by one with.
    `cumulative`: probability that a right model has at most as many exceptions; `zone`: Basel's traffic light by it.
    """

    level: float
    n: int
    exceptions: int
    expected: float
    kupiec: Test
    independence: Test
    conditional: Test
    transitions: tuple[tuple[int, int], tuple[int, int]]
    cumulative: float
    zone: str

    @property
    def rate(self) -> float:
        """Exceptions over observations."""
        return self.exceptions / self.n


def exceptions(losses: ArrayLike, forecasts: ArrayLike) -> BoolArray:
    """True where a loss is above its forecast, (n,). Both are positive for a loss; change the sign of returns first.

    Raises `InputError` for NaN, for forecasts that are negative throughout (returns instead of losses), and where the
    two have different lengths.
    """
    loss, forecast = checked_array("losses", losses, np.float64, (None,)), np.asarray(forecasts)
    forecast = checked_array("forecasts", forecasts, np.float64, (len(loss),))
    _finite("losses", loss)
    _finite("forecasts", forecast)
    if len(forecast) and (forecast < 0).all():
        raise InputError("forecasts: all are negative; expected positive losses; change the sign of returns")
    return loss > forecast


def kupiec(n_exceptions: int, n: int, level: float) -> Test:
    """Unconditional coverage: is the share of exceptions 1 - level? Chi-square with one degree. (Kupiec 1995.)"""
    n = checked_int("n", n, 1)
    x = checked_int("n_exceptions", n_exceptions, 0, n)
    p = 1 - _level(level)
    share = x / n
    # xlogy: 0 log 0 is 0.
    statistic = -2 * (_log_bernoulli(n - x, x, p) - _log_bernoulli(n - x, x, share))
    return _tested(statistic, 1)


def independence(hits: ArrayLike) -> Test:
    """Do exceptions follow each other? Chi-square with one degree. (Christoffersen 1998, section 3.2.)

    hits: (n,) truth values in order of time, n >= 2. Where all days are of one kind there is nothing to test: the
    statistic is 0.
    """
    (n00, n01), (n10, n11) = transitions(hits)
    return independence_of(n00, n01, n10, n11)


def independence_of(n00: int, n01: int, n10: int, n11: int) -> Test:
    """`independence` from counts of transitions; nij: a day of kind i followed by one of kind j, 1 an exception."""
    n00, n01, n10, n11 = (checked_int(f"n{i:02b}", n, 0) for i, n in enumerate((n00, n01, n10, n11)))
    if not n00 + n01 + n10 + n11:
        raise InputError("n00 to n11: expected at least one transition, found none")
    after_0 = n01 / (n00 + n01) if n00 + n01 else 0.0
    after_1 = n11 / (n10 + n11) if n10 + n11 else 0.0
    share = (n01 + n11) / (n00 + n01 + n10 + n11)
    alike = _log_bernoulli(n00 + n10, n01 + n11, share)
    apart = _log_bernoulli(n00, n01, after_0) + _log_bernoulli(n10, n11, after_1)
    return _tested(-2 * (alike - apart), 1)


def transitions(hits: ArrayLike) -> tuple[tuple[int, int], tuple[int, int]]:
    """Counts of (today, tomorrow) pairs: ((n00, n01), (n10, n11))."""
    hit = _hits(hits)
    before, after = hit[:-1], hit[1:]
    n11 = int((before & after).sum())
    n10, n01 = int(before.sum()) - n11, int(after.sum()) - n11
    return (len(before) - n11 - n10 - n01, n01), (n10, n11)


def coverage(hits: ArrayLike, level: float) -> Coverage:
    """Every test of coverage for exceptions in order of time, (n,) truth values, of a forecast at `level`."""
    hit, level = _hits(hits), _level(level)
    n, x = len(hit), int(hit.sum())
    unconditional, apart = kupiec(x, n, level), independence(hit)
    cumulative = float(binom.cdf(x, n, 1 - level))
    return Coverage(
        level=level, n=n, exceptions=x, expected=n * (1 - level), kupiec=unconditional, independence=apart,
        conditional=_tested(unconditional.statistic + apart.statistic, 2), transitions=transitions(hit),
        cumulative=cumulative, zone=traffic_light(x, n, level),
    )  # fmt: skip


def traffic_light(n_exceptions: int, n: int, level: float = 0.99) -> str:
    """Basel's zone: green, yellow or red, by the probability of at most so many exceptions under a right model."""
    cumulative = binom.cdf(checked_int("n_exceptions", n_exceptions, 0), checked_int("n", n, 1), 1 - _level(level))
    return "green" if cumulative < GREEN else "yellow" if cumulative < RED else "red"


def multiplier(n_exceptions: int) -> float:
    """Basel's capital multiplier for exceptions of 250 days at 99 %."""
    return MULTIPLIERS[min(checked_int("n_exceptions", n_exceptions, 0), len(MULTIPLIERS) - 1)]


def pinball_loss(losses: ArrayLike, forecasts: ArrayLike, level: float) -> FloatArray:
    """Score of each quantile forecast, (n,), smaller is better: (level - [loss < q]) (loss - q)."""
    loss = _finite("losses", checked_array("losses", losses, np.float64, (None,)))
    quantile = _finite("forecasts", checked_array("forecasts", forecasts, np.float64, (len(loss),)))
    return (_level(level) - (loss < quantile)) * (loss - quantile)


def crps(samples: ArrayLike, outcome: float) -> float:
    """Continuous ranked probability score of a sampled distribution, smaller is better, in units of the outcome.

    E|X - y| - E|X - X'|/2 over the empirical distribution of `samples` (n,), in O(n log n).
    """
    x = np.sort(_finite("samples", checked_array("samples", samples, np.float64, (None,))))
    if not len(x):
        raise InputError("samples: expected at least one draw, found none")
    y = checked_number("outcome", outcome)
    n = len(x)
    spread = (x * (2 * np.arange(1, n + 1) - n - 1)).sum() / n**2
    return float(np.abs(x - y).mean() - spread)


def middle_levels(n: int) -> FloatArray:
    """The levels (n,) whose quantiles stand for a distribution: the middles of n equal parts of [0, 1]."""
    n = checked_int("n", n, 1)
    return (np.arange(n) + 0.5) / n


def crps_of_quantiles(quantiles: ArrayLike, outcome: float) -> float:
    """`crps` of a distribution that is known by its quantiles at `middle_levels(n)`, (n,), none below the one before.

    The score is twice the pinball loss averaged over all levels (Gneiting and Raftery 2007, section 4.2); of n levels
    it is that mean over the n middles. It is the score of the n quantiles as a sample where no level parts it.
    """
    q, y = _quantiles(quantiles), checked_number("outcome", outcome)
    return float(2 * ((middle_levels(len(q)) - (y < q)) * (y - q)).mean())


def pit(quantiles: ArrayLike, outcome: float) -> float:
    """Where an outcome lies in a distribution known by its quantiles at `middle_levels(n)`, (n,): a share in [0, 1].

    The probability integral transform; of a right forecast it is uniform. Where quantiles equal the outcome (days on
    which nothing comes) it is the middle of their levels, so that it has the mean of a uniform one.
    """
    q, y = _quantiles(quantiles), checked_number("outcome", outcome)
    return float(((q < y).sum() + (q <= y).sum()) / (2 * len(q)))


def uniformity(pits: ArrayLike) -> float:
    """How often `pit` values (n,) of right forecasts lie at least as far from uniform: Kolmogorov-Smirnov's p-value."""
    values = _finite("pits", checked_array("pits", pits, np.float64, (None,)))
    if not len(values) or values.min() < 0 or values.max() > 1:
        raise InputError("pits: expected shares in [0, 1], at least one")
    return float(kstest(values, "uniform").pvalue)


def evidence_against_es(
    losses: ArrayLike, var_forecasts: ArrayLike, es_forecasts: ArrayLike, level: float, largest_bet: float = 0.5
) -> FloatArray:
    """Wealth, (n,), of somebody who starts with 1 and bets against the expected-shortfall forecast every day.

    A right or cautious forecast keeps the expected wealth at 1 or below at every time, so a wealth of 20 rejects the
    forecast at 5 %, whenever it is reached.

    The e-statistic is (loss - var)+ / ((1 - level)(es - var)); each bet is the share of wealth that would have grown
    fastest on all days before (Wang, Wang and Ziegel, arXiv 2209.00991, sections 3 and 5), at most `largest_bet`. Where
    es equals var, a loss above it makes the wealth infinite, and any other loss gives an e-statistic of 0.
    """
    loss = _finite("losses", checked_array("losses", losses, np.float64, (None,)))
    var = _finite("var_forecasts", checked_array("var_forecasts", var_forecasts, np.float64, (len(loss),)))
    es = _finite("es_forecasts", checked_array("es_forecasts", es_forecasts, np.float64, (len(loss),)))
    level, most = _level(level), checked_number("largest_bet", largest_bet, 0.0, 1.0, "a number in [0, 1]")
    if (es < var).any():
        wrong = int(np.argmax(es < var))
        raise InputError(f"es_forecasts: entry {wrong} is {es[wrong]}, below its value-at-risk {var[wrong]}")
    excess = np.maximum(loss - var, 0.0)
    room = (1 - level) * (es - var)
    with np.errstate(divide="ignore", invalid="ignore"):
        e = np.where(excess > 0, excess / room, 0.0)
    grid = np.linspace(0.0, most, 51)
    growth = np.zeros(len(grid))
    wealth, path = 1.0, np.empty(len(loss))
    for day, value in enumerate(e):
        bet = grid[int(np.argmax(growth))] if day else 0.0
        gained = 1 - bet + bet * value if bet else 1.0
        wealth *= gained
        path[day] = wealth
        with np.errstate(invalid="ignore", divide="ignore"):
            growth += np.log(np.where(grid > 0, 1 - grid + grid * min(value, 1e300), 1.0))
    return path


def _log_bernoulli(n_0: int, n_1: int, p: float) -> float:
    return float(xlogy(n_0, 1 - p) + xlogy(n_1, p))


def _tested(statistic: float, degrees: int) -> Test:
    statistic = max(float(statistic), 0.0)
    return Test(statistic=statistic, p_value=float(chi2.sf(statistic, degrees)))


def _hits(hits: ArrayLike) -> BoolArray:
    hit = checked_array("hits", hits, np.bool_, (None,))
    if len(hit) < 2:
        raise InputError(f"hits: expected at least 2 days, found {len(hit)}")
    return hit


def _quantiles(quantiles: ArrayLike) -> FloatArray:
    q = _finite("quantiles", checked_array("quantiles", quantiles, np.float64, (None,)))
    if not len(q):
        raise InputError("quantiles: expected at least one, found none")
    if (np.diff(q) < 0).any():
        wrong = int(np.argmax(np.diff(q) < 0)) + 1
        raise InputError(f"quantiles: entry {wrong} is {q[wrong]:g}, below the one before it ({q[wrong - 1]:g})")
    return q


def _level(level: float) -> float:
    return checked_number("level", level, SMALLEST, BELOW_ONE, "a number in (0, 1)")


def _finite(label: str, values: FloatArray) -> FloatArray:
    require(label, values, np.isfinite(values), "must be finite")
    return values
