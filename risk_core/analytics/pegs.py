"""How far a price stands from its peg: time-weighted statistics of updates at uneven times, status, episodes.

An update holds until the next one. A mean over rows would give a minute with many updates more weight than a quiet day,
so every statistic here weighs each price by the time that it held.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from risk_core.checks import (
    SMALLEST,
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_number,
    require,
    require_rising,
)

HEALTHY, WARNING, CRITICAL = "healthy", "warning", "critical"
WARNING_BPS, CRITICAL_BPS = 50.0, 200.0
"""Basis points from the peg at which a distance warns, and is critical: our choice, as there is no standard."""
LEAST_UPDATES = 12
"""A window with fewer updates than this has no statistics."""
LEAST_DEVIATION = 1e-6
"""A standard deviation below this gives no z-score: feeds round their prices more coarsely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Statistics at each update over the window that ends there; NaN where the window has too few updates.

    mean, deviation (sample standard deviation of the price, time-weighted), z: (n,). `updates`: how many the window
    holds, the present one included.
    """

    mean: FloatArray
    deviation: FloatArray
    z: FloatArray
    updates: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A period away from the peg. Times are UTC seconds; `ended` and `half_life` are None while it lasts.

    `depth`: the largest distance as a signed fraction, -0.12 is 12 % below. `half_life`: seconds from the deepest point
    until the distance was at most half of it. `duration`: seconds until it ended, or until the last update.
    """

    began: int
    ended: int | None
    deepest: int
    depth: float
    half_life: int | None
    duration: int


def rolling(
    times: ArrayLike, prices: ArrayLike, *, window: int = 86_400, least_updates: int = LEAST_UPDATES, peg: float = 1.0
) -> Rolling:
    """Time-weighted mean, standard deviation and z-score of a price over the `window` seconds that end at each update.

    times: (n,) UTC seconds, strictly rising. prices: (n,) positive. The window at update t covers (t - window, t]. Each
    earlier price is weighed by the time that it held in the window. The present price has no weight, as it has not held
    yet; z says how unusual it is compared with the earlier ones. A window that begins before the first update, or holds
    fewer than `least_updates`, has no statistics: a feed that updates once a day has no z-score of a day.
    """
    t, p = _series(times, prices)
    window = checked_int("window", window, 1)
    least = checked_int("least_updates", least_updates, 2)
    peg = checked_number("peg", peg, SMALLEST, rule="a positive price")
    n = len(t)
    mean, sd, z = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    if not n:
        return Rolling(mean=mean, deviation=sd, z=z, updates=np.zeros(0, np.int64))
    # Distances from the peg: squares of prices near 1 would lose the digits that matter.
    x = p - peg
    stood = np.diff(t).astype(np.float64)
    first = np.concatenate([[0.0], np.cumsum(x[:-1] * stood)])
    second = np.concatenate([[0.0], np.cumsum(x[:-1] ** 2 * stood)])
    start = t - window
    # The price that stood at the start of the window, and the integrals up to there.
    at = np.searchsorted(t, start, side="right") - 1
    whole = at >= 0
    inside = np.maximum(at, 0)
    part = (start - t[inside]).astype(np.float64)
    mean_x = (first - first[inside] - x[inside] * part) / window
    square = (second - second[inside] - x[inside] ** 2 * part) / window
    updates = np.arange(n) - at
    kept = whole & (updates >= least)
    variance = np.maximum(square - mean_x**2, 0.0) * updates / np.maximum(updates - 1, 1)
    mean[kept] = mean_x[kept] + peg
    sd[kept] = np.sqrt(variance[kept])
    defined = kept & (sd >= LEAST_DEVIATION)
    z[defined] = (x[defined] - mean_x[defined]) / sd[defined]
    return Rolling(mean=mean, deviation=sd, z=z, updates=np.minimum(updates, np.arange(n) + 1))


def status(
    times: ArrayLike,
    prices: ArrayLike,
    *,
    peg: float = 1.0,
    warning_bps: float = WARNING_BPS,
    critical_bps: float = CRITICAL_BPS,
    confirmed: ArrayLike | None = None,
) -> list[str]:
    """healthy, warning or critical at each update, (n,).

    warning from `warning_bps` of distance on, critical from `critical_bps`. Critical needs two updates in a row, or
    `confirmed` ((n,) truth values: another source reports it too); the first update alone is a warning.
    """
    _, p = _series(times, prices)
    warning = checked_number("warning_bps", warning_bps, 0.0, rule="basis points, not negative")
    critical = checked_number("critical_bps", critical_bps, warning, rule="basis points, at least warning_bps")
    sure = np.zeros(len(p), bool) if confirmed is None else checked_array("confirmed", confirmed, np.bool_, (len(p),))
    distance = np.abs(_distance_bps(p, peg))
    far = distance >= critical
    again = np.concatenate([[False], far[:-1]]) if len(p) else far
    return [
        CRITICAL if far[i] and (again[i] or sure[i]) else WARNING if distance[i] >= warning else HEALTHY
        for i in range(len(p))
    ]


def confirmed(
    times: ArrayLike,
    prices: ArrayLike,
    others: Iterable[tuple[ArrayLike, ArrayLike, int]],
    *,
    peg: float = 1.0,
    distance_bps: float = CRITICAL_BPS,
) -> NDArray[np.bool_]:
    """True where another source is at least `distance_bps` from the peg on the same side at that time, (n,).

    others: (times, prices, `holds`) of each source; an update holds for `holds` seconds, or until a newer one comes.
    """
    t, p = _series(times, prices)
    least = checked_number("distance_bps", distance_bps, 0.0, rule="basis points, not negative")
    side, agreed = np.sign(_distance_bps(p, peg)), np.zeros(len(t), dtype=bool)
    for other_times, other_prices, holds in others:
        at, other_price = _series(other_times, other_prices)
        holds = checked_int("holds", holds, 1)
        if not len(at):
            continue
        place = np.searchsorted(at, t, side="right") - 1
        known = (place >= 0) & (t - at[np.maximum(place, 0)] <= holds)
        agreed[known] |= side[known] * _distance_bps(other_price[place[known]], peg) >= least
    return agreed


def episodes(
    times: ArrayLike, prices: ArrayLike, *, peg: float = 1.0, threshold_bps: float = WARNING_BPS, calm: int = 3_600
) -> list[Episode]:
    """Periods away from the peg, in order of time.

    Each begins with the first update at `threshold_bps` or more and ends once the distance has stayed below it for
    `calm` seconds; `ended` is when those seconds began.
    """
    t, p = _series(times, prices)
    least = checked_number("threshold_bps", threshold_bps, SMALLEST, rule="a positive number of basis points") / 1e4
    calm = checked_int("calm", calm, 0)
    distance = p / checked_number("peg", peg, SMALLEST, rule="a positive price") - 1
    size = np.round(np.abs(distance), 10)
    found: list[Episode] = []
    i, n = 0, len(t)
    while i < n:
        if size[i] < least:
            i += 1
            continue
        began, quiet_since, j = i, -1, i
        while j < n:
            if quiet_since >= 0 and t[j] - t[quiet_since] >= calm:
                break
            if size[j] >= least:
                quiet_since = -1
            elif quiet_since < 0:
                quiet_since = j
            j += 1
        over = j < n
        last = quiet_since if over else n - 1
        deepest = began + int(np.argmax(size[began : last + 1]))
        back = np.flatnonzero(size[deepest : last + 1] <= size[deepest] / 2)
        found.append(
            Episode(
                began=int(t[began]),
                ended=int(t[quiet_since]) if over else None,
                deepest=int(t[deepest]),
                depth=float(distance[deepest]),
                half_life=int(t[deepest + back[0]] - t[deepest]) if len(back) else None,
                duration=int(t[last] - t[began]),
            )
        )
        i = j
    return found


def _distance_bps(prices: FloatArray, peg: float) -> FloatArray:
    """Signed basis points from the peg. Rounded: 0.98 is 200 basis points away, and its float is not."""
    return np.round((prices / checked_number("peg", peg, SMALLEST, rule="a positive price") - 1) * 1e4, 6)


def _series(times: ArrayLike, prices: ArrayLike) -> tuple[IntArray, FloatArray]:
    t = checked_array("times", times, np.int64, (None,))
    p = checked_array("prices", prices, np.float64, (len(t),))
    require_rising("times", t, strictly=True)
    require("prices", p, np.isfinite(p) & (p > 0), "must be positive and finite")
    return t, p
