"""Volatility and correlation by horizon, for the Market page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

import risk_core as rc
from dashboard.market.fits import StoredFit
from dashboard.market.series import Closes
from data.prices.served import newest_stretch
from risk_core.analytics import garch
from risk_core.analytics.rolling import correlation_term_structure, term_structure
from risk_core.analytics.shares import Z95


@dataclass(frozen=True, slots=True, kw_only=True)
class Volatility:
    """Annualised volatility by horizon in hours: of the whole stretch with its 95 % interval, and of the last 30 days.

    The interval is of a variance from as many independent windows as the stretch holds: wide at long horizons.
    `forecast`: what the newest GARCH fit expects on average over each of `forecast_days`, none without one.
    """

    hours: np.ndarray
    whole: np.ndarray
    low: np.ndarray
    high: np.ndarray
    recent: np.ndarray
    days: int
    forecast_days: np.ndarray
    forecast: np.ndarray


HORIZON_DAYS = (1, 7, 30, 90)
"""Of the forecasts and of the correlations."""


def volatility(closes: Closes, fits: Sequence[StoredFit] = ()) -> Volatility:
    """From hourly closes without a gap, and the newest fit of daily ones. Raises `InputError` below 30 days."""
    whole = closes.whole()
    returns = np.diff(np.log(whole.price))
    days = len(returns) // 24
    if days < 30:
        raise rc.InputError(f"{closes.symbol}: expected at least 30 days of hours in a row, found {days}")
    hours = np.array([h for h in (1, 6, 12, 24, 48, 72, 168, 336, 720, 2160) if h * 8 <= len(returns)])
    per_year = 365 * 24
    sigma = term_structure(returns, hours, per_year)
    n = np.maximum(len(returns) / hours, 2)
    recent = term_structure(returns[-30 * 24 :], hours[hours * 2 < 30 * 24], per_year)
    return Volatility(
        hours=hours,
        whole=sigma,
        low=sigma * np.sqrt(n / chi2.ppf(0.975, n)),
        high=sigma * np.sqrt(n / chi2.ppf(0.025, n)),
        recent=recent,
        days=days,
        **_forecast(whole, fits),
    )


def _forecast(hourly: Closes, fits: Sequence[StoredFit]) -> dict[str, np.ndarray]:
    """Volatility that the newest fit expects over the next days; empty where it failed or is for other days."""
    at = np.flatnonzero(hourly.ts % 86_400 == 0)
    ts, price = hourly.ts[at], hourly.price[at]
    newest = fits[-1] if fits else None
    nothing = {"forecast_days": np.zeros(0, np.int64), "forecast": np.zeros(0)}
    if newest is None or newest.fit.refused or newest.fitted_ts not in ts or len(ts) < 31:
        return nothing
    if (ts[-1] - newest.fitted_ts) // 86_400 >= 2 * newest.refit_days:
        return nothing
    returns = price[1:] / price[:-1] - 1
    now = float(garch.variance_path(returns, newest.fit, float((returns**2).mean()))[-1])
    ahead = garch.term_structure(newest.fit, now, list(HORIZON_DAYS))
    return {"forecast_days": np.array(HORIZON_DAYS), "forecast": np.sqrt(ahead * 365)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Correlation of one series with others by horizon: (S, H) with its 95 % interval; NaN where too few windows fit.

    `days` (S,): length of the common stretch of hours.
    """

    symbol: str
    horizon_days: np.ndarray
    names: tuple[str, ...]
    correlation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    days: np.ndarray
    synthetic: bool


LEAST_WINDOWS = 4
"""Independent windows that a correlation needs: its interval divides by n - 3."""


def correlations(own: Closes, others: Sequence[Closes]) -> Correlation:
    """From hourly closes. The interval is Fisher's, from as many independent windows as the stretch holds."""
    horizons = np.array(HORIZON_DAYS)
    rho, low, high = (np.full((len(others), len(horizons)), np.nan) for _ in range(3))
    days = np.zeros(len(others), np.int64)
    for i, other in enumerate(others):
        common = np.intersect1d(own.ts, other.ts)
        common = common[newest_stretch(common, own.step) :]
        a, b = (np.diff(np.log(one.price[np.searchsorted(one.ts, common)])) for one in (own, other))
        days[i] = len(a) * own.step // 86_400
        windows = len(a) * own.step / (86_400 * horizons)
        kept = windows > LEAST_WINDOWS
        steps = horizons[kept] * 86_400 // own.step
        rho[i, kept] = correlation_term_structure(a, b, steps)
        z = np.arctanh(np.clip(rho[i, kept], -1 + 1e-12, 1 - 1e-12))
        half = Z95 / np.sqrt(windows[kept] - 3)
        low[i, kept], high[i, kept] = np.tanh(z - half), np.tanh(z + half)
    return Correlation(
        symbol=own.symbol, horizon_days=horizons, names=tuple(one.symbol for one in others), correlation=rho, low=low,
        high=high, days=days, synthetic=own.synthetic,
    )  # fmt: skip
