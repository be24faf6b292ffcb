"""Shares of a quantile and of an expected shortfall: which part of a total makes its tail, with errors.

The loss L of an outcome is a sum of parts. If every part may be scaled, a homogeneous measure of risk is the sum of its
derivatives by the parts' sizes (Euler), and no other allocation compares the parts rightly (D. Tasche, "Risk
contributions and performance measurement", 1999, theorem 4.4). For the expected shortfall the derivative is
E[part | L beyond the quantile], for the quantile E[part | L = quantile] (ibid., section 5).

* Expected shortfall: means over the draws beyond the level; the draws at the boundary share its fraction equally, so
  the parts add up to `estimates.tail_mean`.
* Quantile: no draw has exactly that loss, so the mean is over a window: all draws within the quantile's own 95 %
  interval (a kernel estimate with a flat kernel: C. Gourieroux, J. P. Laurent, O. Scaillet, "Sensitivity analysis of
  values at risk", Journal of Empirical Finance 7, 2000). Shares of the window's total are taken as shares of the
  quantile. The window narrows as draws are added; within it the shares are taken to be constant.

A share is a ratio of two means over the same draws; its error is that of the linearised ratio. For the shortfall the
linearisation includes that the quantile is an estimate too.

Drivers have no sizes to scale, since losses are not linear in prices. Their shares are Shapley values: the mean, over
all orders in which the drivers may move, of what a driver's move adds (L. S. Shapley, "A value for n-person games",
1953; as an allocation of risk: M. Denault, "Coherent allocation of risk capital", Journal of Risk 4, 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics.shares import Z95
from risk_core.checks import BELOW_ONE, SMALLEST, FloatArray, IntArray, checked_array, checked_number, require
from risk_core.errors import InputError

MOST_DRIVERS = 12
"""2^12 sets of drivers are 4,096 runs of the tail."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shares:
    """Shares of one figure by part. I parts.

    share: (I,) of the whole; they add up to 1. se: (I,) standard errors; low and high are 1.96 of them away.
    """

    share: FloatArray
    se: FloatArray

    @property
    def low(self) -> FloatArray:
        """(I,) lower ends of the 95 % intervals."""
        return self.share - Z95 * self.se

    @property
    def high(self) -> FloatArray:
        """(I,) upper ends of the 95 % intervals."""
        return self.share + Z95 * self.se


def tail_weights(loss: ArrayLike, level: float) -> FloatArray:
    """(n,) weight of each draw in the expected shortfall of `loss` (n,) at `level`; the weights add up to n(1 - level).

    1 beyond the boundary, 0 below it; the draws at the boundary share what is left equally. Raises `InputError`.
    """
    amounts = _amounts("loss", loss)
    level = checked_number("level", level, SMALLEST, BELOW_ONE, "a number between 0 and 1; 0.99 is 99 %")
    n = len(amounts)
    wanted = n * (1 - level)
    # As `estimates.tail_mean` finds its boundary draw.
    whole = min(int(wanted + 1e-9), n)
    rest = wanted - whole > 1e-9
    boundary = np.sort(amounts)[::-1][min(whole, n - 1) if rest else whole - 1]
    above, at = amounts > boundary, amounts == boundary
    return np.where(above, 1.0, np.where(at, max(wanted - above.sum(), 0.0) / at.sum(), 0.0))


def window_weights(loss: ArrayLike, low: float, high: float) -> FloatArray:
    """(n,) 1 for the draws of `loss` (n,) in [low, high], else 0: the window around a quantile. Raises `InputError`."""
    amounts = _amounts("loss", loss)
    low = checked_number("low", low, rule="a finite number")
    high = checked_number("high", high, low, rule="a finite number, at least `low`")
    return ((amounts >= low) & (amounts <= high)) * 1.0


def quantile_shares(part: ArrayLike, total: ArrayLike, cluster: ArrayLike | None = None) -> Shares:
    """Shares of a quantile from the draws in its window. part: (K, I) amounts of each draw's parts; total: (K,) sums.

    cluster: (K,) numbers of what was drawn together. Raises `InputError` where the totals are all 0, and for fewer
    than two draws.
    """
    parts, whole, group = _checked(part, total, cluster)
    share = parts.sum(axis=0) / whole.sum()
    off = _together(parts - share * whole[:, None], group)
    m = len(off)
    return Shares(share=share, se=np.sqrt(m / max(m - 1, 1) * (off**2).sum(axis=0)) / whole.sum())


def shortfall_shares(
    part: ArrayLike,
    total: ArrayLike,
    weight: ArrayLike,
    quantile: float,
    at_quantile: ArrayLike,
    n: float,
    cluster: ArrayLike | None = None,
) -> Shares:
    """Shares of an expected shortfall from the draws beyond its level.

    part: (K, I) amounts; total: (K,) their sums; weight: (K,) as `tail_weights` gives them. quantile: the boundary, and
    at_quantile: (I,) mean parts of draws about there. n: draws in all, of which these are the tail; the same part of
    them where only a part of the tail is given. cluster: (K,). Raises `InputError`.
    """
    parts, whole, group = _checked(part, total, cluster)
    counted = checked_array("weight", weight, np.float64, (len(whole),))
    edge = checked_array("at_quantile", at_quantile, np.float64, (parts.shape[1],))
    mass = float(counted @ whole)
    if mass <= 0:
        raise InputError("total: expected a draw with a loss and a weight, found none")
    share = counted @ parts / mass
    off = _together(counted[:, None] * (parts - edge - share * (whole - quantile)[:, None]), group)
    # The draws that are not in the tail have 0.
    spread = (off**2).sum(axis=0) - off.sum(axis=0) ** 2 / n
    return Shares(share=share, se=np.sqrt(np.maximum(spread, 0.0)) / mass)


def shapley(worth: ArrayLike) -> FloatArray:
    """(G, ...) Shapley values of G drivers. worth: (2^G, ...) of each set of them; bit g of its row: g is in it.

    They add up to the worth of all drivers less that of none. Raises `InputError`.
    """
    try:
        values = np.asarray(worth, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"worth: expected numbers, found {worth!r:.60}") from error
    n_sets = len(values) if values.ndim else 0
    drivers = n_sets.bit_length() - 1
    if n_sets == 0 or n_sets != 1 << drivers or drivers > MOST_DRIVERS:
        raise InputError(f"worth: expected 2^G rows with G at most {MOST_DRIVERS}, found {n_sets}")
    require("worth", values, np.isfinite(values), "must be finite")
    sets = np.arange(n_sets)
    size = np.array([int(s).bit_count() for s in sets])
    out = np.zeros((drivers, *values.shape[1:]))
    for g in range(drivers):
        without = sets[(sets >> g) & 1 == 0]
        orders = [factorial(k) * factorial(drivers - 1 - k) / factorial(drivers) for k in size[without].tolist()]
        out[g] = np.tensordot(np.array(orders), values[without | (1 << g)] - values[without], axes=1)
    return out


def _together(values: FloatArray, cluster: IntArray | None) -> FloatArray:
    """(m, I) sums of `values` (K, I) over what was drawn together."""
    if cluster is None:
        return values
    names, at = np.unique(cluster, return_inverse=True)
    out = np.zeros((len(names), values.shape[1]))
    np.add.at(out, at, values)
    return out


def _amounts(label: str, values: ArrayLike) -> FloatArray:
    amounts = checked_array(label, values, np.float64, (None,))
    if len(amounts) == 0:
        raise InputError(f"{label}: expected at least one draw, found none")
    require(label, amounts, np.isfinite(amounts), "must be finite")
    return amounts


def _checked(
    part: ArrayLike, total: ArrayLike, cluster: ArrayLike | None
) -> tuple[FloatArray, FloatArray, IntArray | None]:
    parts = checked_array("part", part, np.float64, (None, None))
    require("part", parts, np.isfinite(parts), "must be finite")
    whole = checked_array("total", total, np.float64, (len(parts),))
    require("total", whole, np.isfinite(whole) & (whole >= 0), "must be finite and not negative")
    if not whole.sum() > 0:
        raise InputError("total: expected a draw with a loss, found none")
    return parts, whole, None if cluster is None else checked_array("cluster", cluster, np.int64, (len(parts),))
