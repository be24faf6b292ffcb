"""Value-at-risk and expected shortfall of one position over a moving window, by three methods.

Returns are simple, a fraction per period; losses are positive, in the unit of the position. A forecast stands at the
end of its window: entry t is made of the returns up to and including t, and holds for return t + 1.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy.stats import norm

from risk_core.checks import (
    BELOW_ONE,
    SMALLEST,
    FloatArray,
    checked_array,
    checked_choice,
    checked_int,
    checked_number,
    require,
)
from risk_core.errors import InputError

METHODS = ("historical", "ewma", "filtered")


def value_at_risk(
    returns: ArrayLike,
    *,
    window: int = 30,
    level: float = 0.95,
    position: float = 1_000_000.0,
    method: str = "historical",
    decay: float = 0.94,
) -> tuple[FloatArray, FloatArray]:
    """(value-at-risk, expected shortfall), each (n,), NaN until a window is full.

    historical: the smallest loss of the window that at least `level` of its losses do not exceed (an order statistic,
    nothing interpolated), and the mean of the losses at or above it. ewma: a normal law whose variance is the
    exponentially weighted mean of squared returns (`decay` per period), started with the mean of the first window.
    filtered: the historical rule on returns over their own EWMA volatility, scaled by the newest (filtered historical
    simulation: Barone-Adesi, Giannopoulos and Vosper, J. Futures Markets 19, 1999). A negative figure says that even
    the worst returns of the window were gains. Raises `InputError` for a window of less than 2, and, except for ewma,
    for one of fewer than 1/(1 - level) returns, none of which lies beyond the level.
    """
    r = checked_array("returns", returns, np.float64, (None,))
    require("returns", r, np.isfinite(r) & (r >= -1), "must be a fraction of at least -1: all of the position is lost")
    window = checked_int("window", window, 2)
    level = checked_number("level", level, SMALLEST, BELOW_ONE, "a number in (0, 1)")
    size = checked_number("position", position, SMALLEST, rule="a positive amount")
    decay = checked_number("decay", decay, SMALLEST, 1.0, "a number in (0, 1]")
    checked_choice("method", method, METHODS)
    if method != "ewma" and window * (1 - level) < 1 - 1e-9:
        raise InputError(
            f"window: {window} returns have none beyond level {level:g}; expected at least "
            f"{int(np.ceil(1 / (1 - level) - 1e-9))}"
        )
    var, shortfall = np.full(len(r), np.nan), np.full(len(r), np.nan)
    if len(r) < window:
        return var, shortfall
    volatility = ewma_path(r, window, decay) if method != "historical" else None
    if method == "ewma" and volatility is not None:
        z = norm.ppf(level)
        var[window - 1 :] = size * volatility[window - 1 :] * z
        shortfall[window - 1 :] = size * volatility[window - 1 :] * norm.pdf(z) / (1 - level)
        return var, shortfall
    if volatility is None:
        losses = np.sort(sliding_window_view(-r, window), axis=1)
        scale = 1.0
    else:
        # Each return is measured by the volatility known before it came.
        known = np.concatenate([volatility[:1], volatility[:-1]])
        standard = np.divide(-r, known, out=np.zeros_like(r), where=known > 0)
        losses = np.sort(sliding_window_view(standard, window), axis=1)
        scale = volatility[window - 1 :]
    place = max(int(np.ceil(window * level - 1e-9)) - 1, 0)
    var[window - 1 :] = size * scale * losses[:, place]
    at_least = losses >= losses[:, place : place + 1]
    shortfall[window - 1 :] = size * scale * (losses * at_least).sum(axis=1) / at_least.sum(axis=1)
    return var, shortfall


def ewma_path(returns: ArrayLike, window: int, decay: float) -> FloatArray:
    """(n,) volatility per period after each return.

    s2 = decay s2 + (1 - decay) r2, begun with the mean of the first `window` squares. (RiskMetrics Technical Document,
    4th ed. 1996, section 5.2.)
    """
    returns = checked_array("returns", returns, np.float64, (None,))
    require("returns", returns, np.isfinite(returns), "must be finite")
    window = checked_int("window", window, 1)
    decay = checked_number("decay", decay, SMALLEST, 1.0, "a number in (0, 1]")
    variance = np.empty(len(returns))
    now = float((returns[:window] ** 2).mean()) if len(returns) else 0.0
    for t, value in enumerate(returns):
        if t >= window:
            now = decay * now + (1 - decay) * value * value
        variance[t] = now
    return np.sqrt(variance)


def term_structure(log_returns: ArrayLike, horizons: ArrayLike, periods_per_year: float) -> FloatArray:
    """Annualised volatility of returns over h periods for each h, (H,): flat where returns are independent.

    Overlapping sums, mean taken as zero. log_returns: (n,) without gaps. horizons: (H,) integers, each below n.
    """
    r = checked_array("log_returns", log_returns, np.float64, (None,))
    steps = checked_array("horizons", horizons, np.int64, (None,))
    per_year = checked_number("periods_per_year", periods_per_year, SMALLEST, rule="a positive number")
    require("log_returns", r, np.isfinite(r), "must be finite")
    require("horizons", steps, (steps >= 1) & (steps < len(r)), f"must be at least 1 and below the {len(r)} returns")
    total = np.concatenate([[0.0], np.cumsum(r)])
    return np.array([np.sqrt(((total[h:] - total[:-h]) ** 2).mean() * per_year / h) for h in steps.tolist()])


def correlation_term_structure(first: ArrayLike, second: ArrayLike, horizons: ArrayLike) -> FloatArray:
    """Correlation of returns over h periods for each h, (H,): flat where returns are independent over time.

    Overlapping sums, means taken as zero. first, second: (n,) log returns of the same periods, without gaps. horizons:
    (H,) integers, each below n. NaN where one of them never moves. Raises `InputError`.
    """
    a = checked_array("first", first, np.float64, (None,))
    b = checked_array("second", second, np.float64, a.shape)
    steps = checked_array("horizons", horizons, np.int64, (None,))
    for name, values in (("first", a), ("second", b)):
        require(name, values, np.isfinite(values), "must be finite")
    require("horizons", steps, (steps >= 1) & (steps < len(a)), f"must be at least 1 and below the {len(a)} returns")
    total = [np.concatenate([[0.0], np.cumsum(values)]) for values in (a, b)]
    found = np.full(len(steps), np.nan)
    for i, h in enumerate(steps.tolist()):
        x, y = (sums[h:] - sums[:-h] for sums in total)
        scale = float(np.sqrt((x @ x) * (y @ y)))
        if scale > 0:
            found[i] = min(max(float(x @ y) / scale, -1.0), 1.0)
    return found
