"""Renewal processes with Weibull gaps: the simplest model in which events come in bursts without causing each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from risk_core.analytics.hawkes.fitting import LEAST_EVENTS
from risk_core.analytics.hawkes.process import EventTimes
from risk_core.checks import SMALLEST, FloatArray, checked_array, checked_number, require, require_rising
from risk_core.errors import InputError


def weibull_renewal(times: ArrayLike, end: float) -> tuple[float, float, float]:
    """Shape, scale and log-likelihood of a renewal process with Weibull gaps, the unfinished last gap included.

    times: (n,) strictly rising in (0, end]. A shape below 1 means that events come in bursts.
    """
    t, until = _events(times, end)
    if len(t) < LEAST_EVENTS:
        raise InputError(f"times: expected at least {LEAST_EVENTS} of them, found {len(t)}")
    gaps, last = np.diff(t, prepend=0.0), until - t[-1]

    def negative(x: FloatArray) -> float:
        return -_likelihood(gaps, last, *np.exp(x))

    found = minimize(
        negative,
        np.array([0.0, np.log(gaps.mean())]),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000},
    )
    shape, scale = np.exp(found.x)
    return float(shape), float(scale), float(-found.fun)


def weibull_log_likelihood(times: ArrayLike, end: float, *, shape: float, scale: float) -> float:
    """Log-likelihood of events (n,), strictly rising in (0, end], under Weibull gaps; the last, unfinished one counts.

    The first gap begins at 0. With shape 1 it is a Poisson process of rate 1 / scale. Without events it is the chance
    of none.
    """
    t, until = _events(times, end)
    shape = checked_number("shape", shape, SMALLEST, rule="a positive number")
    scale = checked_number("scale", scale, SMALLEST, rule="a positive time")
    return _likelihood(np.diff(t, prepend=0.0), until - (t[-1] if len(t) else 0.0), shape, scale)


def _events(times: ArrayLike, end: float) -> tuple[FloatArray, float]:
    found = checked_array("times", times, np.float64, (None,))
    events = EventTimes(times=found, kinds=np.zeros(len(found), np.int64), end=end, n_kinds=1)
    require("times", events.times[:1], events.times[:1] > 0, "the first must be after 0")
    require_rising("times", events.times, strictly=True)
    return events.times, events.end


def _likelihood(gaps: FloatArray, last: float, shape: float, scale: float) -> float:
    body = len(gaps) * (np.log(shape) - shape * np.log(scale)) + (shape - 1) * np.log(gaps).sum()
    return float(body - ((gaps / scale) ** shape).sum() - (last / scale) ** shape)
