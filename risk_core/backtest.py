"""Forecasts that laws would have made on each past day, from earlier prices alone, and the losses that followed.

A day is the 24 hours from one midnight UTC to the next. The loss of a portfolio is what it loses of its value if held
through the day at fixed weights at its start: - sum of w_i (exp(R_i) - 1), R_i the log return of asset i over the day.
Every law is given the volatility that its memory knows at the day's start, and the Ledoit-Wolf correlation of the last
`CORRELATION_HOURS` returns, each divided by the deviation known before it: the same numbers that calibrate a risk run.

A book is held through each day as it is, its prices moving by that day's factors from where the market has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics import garch
from risk_core.analytics.dependence import shrunk_correlation
from risk_core.analytics.volatility import DAY, annual_volatility, mean_weekday_factor, standardised, variance_path
from risk_core.checks import FloatArray, IntArray, checked_array, checked_int, require
from risk_core.engine import simulate
from risk_core.errors import InputError
from risk_core.kernels.paths import padded_steps, price_block
from risk_core.laws.bootstrap import Bootstrap
from risk_core.laws.calibrated import Calibrated
from risk_core.laws.from_returns import FromReturns, degrees_of_freedom, fitted, residuals
from risk_core.laws.garch import FilteredHistory, Garch
from risk_core.laws.gbm import GBM
from risk_core.laws.jumps import Jumps
from risk_core.laws.law import Law
from risk_core.laws.student_t import StudentT
from risk_core.measures import lar
from risk_core.price_models import PricePaths, Scenario
from risk_core.types import Market

HOURS = 24
LEVELS = (0.95, 0.99)
CORRELATION_HOURS = 90 * HOURS
DRAWS_LOG2 = 15
"""Each day is 2^15 points of one scrambled Sobol sequence, the same for every day and law: common random numbers."""
PATHS_LOG2 = 14
"""Paths of 24 hours of each day, for laws that need every hour; the same random numbers for every day."""
HISTORY_HOURS = 365 * HOURS
REFIT_DAYS = 20
SEED = 7


def starts(ends: ArrayLike, warm_up_hours: int) -> IntArray:
    """Rows (D,) of the hours that end at a midnight UTC with `warm_up_hours` rows up to it, and 24 after it."""
    times = checked_array("ends", ends, np.int64, (None,))
    warm_up = checked_int("warm_up_hours", warm_up_hours, 2)
    if len(times) > 1 and (np.diff(times) != 3600).any():
        row = int(np.argmax(np.diff(times) != 3600))
        raise InputError(f"ends: expected one row an hour, found {times[row]} followed by {times[row + 1]}")
    rows = np.flatnonzero(times % DAY == 0)
    return rows[(rows + 1 >= warm_up) & (rows + HOURS < len(times))]


def losses(log_returns: ArrayLike, weights: ArrayLike, days: ArrayLike) -> FloatArray:
    """What each portfolio lost in each day, (D, P), a fraction of its value. log_returns: (n, F); weights: (P, F)."""
    returns, shares, rows = _checked(log_returns, weights, days)
    total = np.concatenate([np.zeros((1, returns.shape[1])), np.cumsum(returns, axis=0)])
    return -np.expm1(total[rows + 1 + HOURS] - total[rows + 1]) @ shares.T


def value_at_risk(
    log_returns: ArrayLike,
    ends: ArrayLike,
    weights: ArrayLike,
    days: ArrayLike,
    law: Calibrated | FromReturns,
    levels: Sequence[float] = LEVELS,
    progress: Callable[[], object] = lambda: None,
) -> FloatArray:
    """Value-at-risk of each portfolio for the 24 hours after each row of `days`, (D, P, L), a fraction of its value.

    log_returns: (n, F) hourly; ends: (n,) UTC seconds; weights: (P, F). Entry d rests on rows up to days[d] alone.
    The quantile of rank ceil((N + 1) level) of N draws. `progress` is called after each day. Raises `InputError`.
    """
    returns, shares, rows = _checked(log_returns, weights, days)
    answer = np.empty((len(rows), len(shares), len(levels)))
    for d, (volatility, correlation, shape) in enumerate(calibrations(returns, ends, rows, law)):
        value = np.expm1(day_moves(volatility, correlation, shape)) @ shares.T
        n = len(value)
        ranks = [min(ceil((n + 1) * level) - 1, n - 1) for level in levels]
        worst = np.partition(-value, ranks, axis=0)
        answer[d] = worst[ranks].T
        progress()
    return answer


def calibrations(
    log_returns: FloatArray, ends: ArrayLike, days: IntArray, law: Calibrated | FromReturns
) -> Iterator[tuple[FloatArray, FloatArray, Law]]:
    """(annual volatility of normal moves (F,), correlation (F, F), law) of the 24 hours after each row of `days`."""
    if isinstance(law, FromReturns):
        yield from _from_past(log_returns, days, law)
        return
    times = checked_array("ends", ends, np.int64, (len(log_returns),))
    variance = variance_path(log_returns, times, law.memory)
    standard = standardised(log_returns, times, law.memory)
    for row in days.tolist():
        factor = mean_weekday_factor(int(times[row]), DAY, law.memory.week)
        volatility, shape = law.shape(annual_volatility(variance[row], factor))
        # Row k of `standard` is return k + 1, so this ends with return `row`.
        yield volatility, shrunk_correlation(standard[max(row - CORRELATION_HOURS, 0) : row]), shape


def _from_past(
    log_returns: FloatArray, days: IntArray, law: FromReturns
) -> Iterator[tuple[FloatArray, FloatArray, Law]]:
    """`calibrations` of a law that is made of past returns: those of the year before; GARCH anew every `REFIT_DAYS`."""
    fits: list[garch.Fit] = []
    ahead: tuple[float, ...] = ()
    nu = None
    for k, row in enumerate(days.tolist()):
        rows = past = log_returns[max(row + 1 - HISTORY_HOURS, 0) : row + 1]
        again = k % REFIT_DAYS == 0
        if law.variance:
            fits = [garch.fit(column) for column in past.T] if again else fits
            over, ahead = zip(*(residuals(column, fit) for column, fit in zip(past.T, fits, strict=True)), strict=True)
            rows = np.column_stack(over)
        rows = law.kept(rows)
        if law.tail and again:
            nu = degrees_of_freedom(rows)
        volatility, correlation, found = fitted(law, rows, fits, ahead, nu)
        yield volatility, correlation, law.law(found, volatility)


def liquidated(market: Market, factor: ArrayLike, log_returns: ArrayLike, days: ArrayLike) -> FloatArray:
    """Debt of the book that liquidators would have repaid in each day, (D,) USD, along the prices that followed.

    log_returns: (n, F) hourly. factor: (R,) column that each reserve follows, -1 for a price that stands still.
    """
    returns, rows = _rows(log_returns, days)
    follows = checked_array("factor", factor, np.int64, (market.n_reserves,))
    hours = returns[rows[:, None] + 1 + np.arange(HOURS)]
    moves = np.zeros((len(rows), market.n_reserves, HOURS + 1))
    moving = follows >= 0
    moves[:, moving, 1:] = np.cumsum(hours, axis=1).transpose(0, 2, 1)[:, follows[moving]]
    price = market.price[:, None] * np.exp(moves)
    price[:, :, 0] = market.price
    return simulate(market, PricePaths(name="what came", price=price, step=timedelta(hours=1))).repaid_usd


def liquidations_at_risk(
    market: Market,
    factor: ArrayLike,
    log_returns: ArrayLike,
    ends: ArrayLike,
    days: ArrayLike,
    law: Calibrated | FromReturns,
    levels: Sequence[float] = LEVELS,
    n_paths: int = 2_000,
    progress: Callable[[], object] = lambda: None,
) -> FloatArray:
    """LaR of the book for the 24 hours after each row of `days`, (D, L) USD of debt repaid: one simulation a day.

    `n_paths` quasi-random paths of 24 steps, with the same seed for every day and law. The rest as in `value_at_risk`.
    """
    returns, rows = _rows(log_returns, days)
    follows = checked_array("factor", factor, np.int64, (market.n_reserves,))
    names = tuple(str(i) for i in range(returns.shape[1]))
    answer = np.empty((len(rows), len(levels)))
    for d, (volatility, correlation, shape) in enumerate(calibrations(returns, ends, rows, law)):
        scenario = Scenario(
            name="a day", horizon=timedelta(hours=HOURS), n_steps=HOURS, factors=names, volatility=volatility,
            correlation=correlation, factor=follows, law=shape, sampling="quasi",
        )  # fmt: skip
        result = simulate(market, scenario, n_paths=n_paths, seed=SEED)
        answer[d] = [lar(result, level).value for level in levels]
        progress()
    return answer


def day_moves(volatility: FloatArray, correlation: FloatArray, law: Law) -> FloatArray:
    """(N, F) log moves over 24 hours, drawn as in the engine.

    Normal, Student-t and jump moves over a horizon have the same law however many steps they are made of, so one step
    of 2^DRAWS_LOG2 quasi-random draws is enough. Bootstrap, GARCH and filtered history are 2^PATHS_LOG2 paths of 24
    hourly steps. Raises `InputError` for a law that is none of those.
    """
    names = tuple(str(i) for i in range(len(volatility)))
    if isinstance(law, Bootstrap | Garch | FilteredHistory):
        return _hour_by_hour(volatility, correlation, law)
    day = Scenario(
        name="a day",
        horizon=timedelta(hours=HOURS),
        n_steps=1,
        factors=names,
        volatility=volatility,
        correlation=correlation,
        factor=np.arange(len(names)),
        law=law,
    )
    drift, lower, _ = day.of_one_step()
    moves = _normals(len(names)) @ lower.T
    if isinstance(law, StudentT):
        moves *= _mixture(len(names), law.nu)[:, None]
    elif isinstance(law, Jumps):
        jump = _jump(len(names), law.expected(1 / 365), law.mean, law.deviation)
        moves += jump[:, None] * law.loadings(len(names))
    elif not isinstance(law, GBM):
        raise InputError(f"law: no one-day moves are known of {type(law).__name__}")
    return moves + drift


def _hour_by_hour(volatility: FloatArray, correlation: FloatArray, law: Law) -> FloatArray:
    n, n_factors = 1 << PATHS_LOG2, len(volatility)
    day = Scenario(
        name="a day", horizon=timedelta(hours=HOURS), n_steps=HOURS, factors=tuple(map(str, range(n_factors))),
        volatility=volatility, correlation=correlation, factor=np.arange(n_factors), law=law,
    )  # fmt: skip
    out, scratch = np.empty((n, n_factors + 1, padded_steps(HOURS))), np.empty((n_factors + 2, HOURS))
    price_block(day.draw(), np.uint64(SEED), 0, n, HOURS, scratch, out)
    return np.log(out[:, :n_factors, HOURS - 1])


@cache
def _points(n_factors: int) -> FloatArray:
    # Imported here, not at the top: it takes half a second of processor time.
    from scipy.stats.qmc import Sobol

    found = Sobol(n_factors + 2, scramble=True, seed=SEED).random_base2(DRAWS_LOG2)
    return np.clip(found, 1e-12, 1 - 1e-12)


@cache
def _normals(n_factors: int) -> FloatArray:
    from scipy.special import ndtri

    return ndtri(_points(n_factors)[:, :n_factors])


@cache
def _mixture(n_factors: int, nu: float) -> FloatArray:
    """sqrt((nu - 2) / chi-square) of each draw: one for all assets, so extremes come together."""
    from scipy.special import gammaincinv

    return np.sqrt((nu - 2) / (2 * gammaincinv(nu / 2, _points(n_factors)[:, n_factors])))


@cache
def _jump(n_factors: int, expected: float, mean: float, deviation: float) -> FloatArray:
    """Sum of a Poisson number of normal jumps."""
    from scipy.special import ndtri
    from scipy.stats import poisson

    count = poisson.ppf(_points(n_factors)[:, n_factors], expected)
    return count * mean + np.sqrt(count) * deviation * ndtri(_points(n_factors)[:, n_factors + 1])


def _checked(log_returns: ArrayLike, weights: ArrayLike, days: ArrayLike) -> tuple[FloatArray, FloatArray, IntArray]:
    returns, rows = _rows(log_returns, days)
    return returns, checked_array("weights", weights, np.float64, (None, returns.shape[1])), rows


def _rows(log_returns: ArrayLike, days: ArrayLike) -> tuple[FloatArray, IntArray]:
    returns = checked_array("log_returns", log_returns, np.float64, (None, None))
    rows = checked_array("days", days, np.int64, (None,))
    require("log_returns", returns, np.isfinite(returns), "must be finite")
    last = len(returns) - HOURS - 1
    require("days", rows, (rows >= 2) & (rows <= last), f"must be a row from 2 to {last}, with {HOURS} rows after it")
    return returns, rows
