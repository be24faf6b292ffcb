"""Volatility of hourly log returns with a short and a long memory, and quieter weekends.

With r_t the log return of hour t, s its weekday's variance factor, x_t = r_t / sqrt(s_t), and for each half-life lambda
= 2^(-1 / half-life), v_t is the mean of x_t^2, x_(t-1)^2, ... with weights 1, lambda, lambda^2, ... over the hours
available. The variance of an hour is the weighted sum of the two v, times the factor of its weekday.

One v is RiskMetrics' volatility (J.P. Morgan/Reuters, Technical Document, 4th ed. 1996, section 5.2); two speeds are a
short form of the long memory of F. Corsi, "A simple approximate long-memory model of realized volatility", J. Financial
Econometrics 7 (2009).

The variance of an hour uses no later returns: row t of every result is made of rows up to t.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import (
    SMALLEST,
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_kind,
    checked_number,
    require,
)
from risk_core.errors import InputError

HOUR, DAY = 3600, 86_400
HOURS_A_YEAR = 365 * 24
FLAT_WEEK = (1.0,) * 7
CRYPTO_WEEK = (1.11, 1.11, 1.11, 1.11, 1.11, 0.65, 0.79)
"""Variance factor of Monday to Sunday, UTC: fitted on hourly ETH, BTC, LINK, AAVE and UNI of 2021 and 2022. Their mean
is 0.9986, so a week's variance stays what it was within 0.2 %."""


class Memory(NamedTuple):
    """How a volatility forgets: half-lives in hours, the weight of each, variance factors of Monday to Sunday."""

    half_lives: tuple[float, ...]
    weights: tuple[float, ...]
    week: tuple[float, ...] = FLAT_WEEK


TWO_SPEED = Memory(half_lives=(24.0, 2160.0), weights=(0.6, 0.4), week=CRYPTO_WEEK)
"""60 % of the weight has a half-life of one day, 40 % of 90 days; weekends are quieter."""


def weekday_factor(ends: ArrayLike, week: ArrayLike = CRYPTO_WEEK) -> FloatArray:
    """Variance factor, (n,), of hours that end at `ends`, UTC seconds; an hour up to midnight is of the day before."""
    times = checked_array("ends", ends, np.int64, (None,))
    return _week(week)[_weekday(times - 1)]


def mean_weekday_factor(begin: int, seconds: float, week: ArrayLike = CRYPTO_WEEK) -> float:
    """Mean variance factor over `seconds` from `begin`, UTC seconds: parts of a day count by their length."""
    begin = checked_int("begin", begin, 0)
    length = checked_number("seconds", seconds, SMALLEST, rule="a positive number of seconds")
    factors = _week(week)
    # All whole weeks are alike, so only the rest has to be walked through.
    weeks, rest = divmod(length, 7 * DAY)
    total, at = weeks * DAY * float(factors.sum()), float(begin)
    while rest > 0:
        part = min(rest, DAY - at % DAY)
        total += part * float(factors[int(at // DAY + 3) % 7])
        at, rest = at + part, rest - part
    return total / length


def variance_path(log_returns: ArrayLike, ends: ArrayLike, memory: Memory = TWO_SPEED) -> FloatArray:
    """Variance of an hour of weekday factor 1 as known after each return, (n, F).

    log_returns: (n, F) hourly, oldest first, mean taken as zero. ends: (n,) UTC seconds at which each hour ends.
    Raises `InputError`.
    """
    returns = _returns(log_returns)
    times = checked_array("ends", ends, np.int64, (len(returns),))
    half_lives, weights = _speeds(memory)
    # Imported here, not at the top: the import takes longer than the filter.
    from scipy.signal import lfilter

    squares = returns**2 / weekday_factor(times, memory.week)[:, None]
    answer = np.zeros_like(squares)
    # Weights that sum to one from the first hour on: a guessed start would keep half its weight for 90 days.
    seen = np.arange(1, len(squares) + 1)[:, None]
    for half_life, weight in zip(half_lives, weights, strict=True):
        decay = 2.0 ** (-1.0 / half_life)
        answer += weight * lfilter([1.0 - decay], [1.0, -decay], squares, axis=0) / (1.0 - decay**seen)
    return answer


def standardised(log_returns: ArrayLike, ends: ArrayLike, memory: Memory = TWO_SPEED) -> FloatArray:
    """Each return over the deviation that was known before it came, (n - 1, F); 0 where none was known."""
    returns = _returns(log_returns)
    known = variance_path(returns, ends, memory)[:-1]
    known = known * weekday_factor(ends, memory.week)[1:, None]
    return np.divide(returns[1:], np.sqrt(known), out=np.zeros_like(known), where=known > 0)


def annual_volatility(variance_of_an_hour: ArrayLike, factor: float = 1.0, floor: float = 0.0) -> FloatArray:
    """Annualised volatility, (F,), of an hour's variance (F,) times a weekday factor, at least `floor`."""
    variance = checked_array("variance_of_an_hour", variance_of_an_hour, np.float64, (None,))
    ok = np.isfinite(variance) & (variance >= 0)
    require("variance_of_an_hour", variance, ok, "must be finite and not negative")
    factor = checked_number("factor", factor, SMALLEST, rule="a positive number")
    return np.maximum(np.sqrt(HOURS_A_YEAR * factor * variance), checked_number("floor", floor, 0.0))


def _speeds(memory: Memory) -> tuple[list[float], list[float]]:
    """Checked half-lives and weights of a memory; the weights sum to 1. Raises `InputError`."""
    checked_kind("memory", memory, Memory)
    half_lives = checked_array("memory.half_lives", memory.half_lives, np.float64, (None,))
    weights = checked_array("memory.weights", memory.weights, np.float64, (None,))
    if len(weights) != len(half_lives) or not len(weights):
        raise InputError(f"memory: expected one weight for each half-life, found {memory}")
    ok = np.isfinite(half_lives) & (half_lives > 0)
    require("memory.half_lives", half_lives, ok, "must be a positive number of hours")
    require("memory.weights", weights, np.isfinite(weights) & (weights >= 0), "must be a share, not negative")
    if abs(weights.sum() - 1.0) > 1e-9:
        raise InputError(f"memory.weights: expected shares that sum to 1, found {weights.tolist()!r:.80}")
    return half_lives.tolist(), weights.tolist()


def _weekday(times: IntArray) -> IntArray:
    # 1 January 1970 was a Thursday.
    return (times // DAY + 3) % 7


def _week(week: ArrayLike) -> FloatArray:
    factors = checked_array("week", week, np.float64, (7,))
    ok = np.isfinite(factors) & (factors > 0)
    require("week", factors, ok, "must be a positive variance factor, of Monday to Sunday")
    return factors


def _returns(log_returns: ArrayLike) -> FloatArray:
    returns = checked_array("log_returns", log_returns, np.float64, (None, None))
    if len(returns) < 2:
        raise InputError(f"log_returns: expected at least 2 rows, found {len(returns)}")
    require("log_returns", returns, np.isfinite(returns), "must be finite")
    return returns
