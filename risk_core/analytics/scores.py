"""A score of how risky a lending protocol is, and the letter that goes with a chance of loss.

No standard says how a score is made, so the parts, their scales and their weights are a choice: every function takes
them as arguments, and who shows a score shows them too. Points go from 0 (no concern) to 100. A part that is not known
is NaN, never 0: its weight is shared out among the others in proportion.

The letters are the one published scale that is tied to a probability: Credora's "probability of significant loss", the
chance of losing more than 1 % of the principal within a year (docs.redstone.finance, read in 2026).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import BELOW_ONE, SMALLEST, FloatArray, checked_array, checked_int, checked_number, require
from risk_core.errors import InputError
from risk_core.units import SECONDS_PER_YEAR

LETTERS = (
    ("A+", 0.001), ("A", 0.004), ("A-", 0.008), ("B+", 0.015), ("B", 0.03), ("B-", 0.06), ("C+", 0.12), ("C", 0.32),
    ("C-", 0.999), ("D", 1.0),
)  # fmt: skip
"""Letter and the highest chance of losing more than `PRINCIPAL` within a year that still has it."""
PRINCIPAL = 0.01
"""Share of the principal whose loss the letters are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A score with how it came about. n parts.

    score: 0 to 100, NaN where no part is known. used: (n,) weights after sharing out, 0 for a part that is not known.
    known: share of the stated weight whose parts are known.
    """

    score: float
    used: FloatArray
    known: float


def weighted(points: ArrayLike, weights: ArrayLike) -> Weighted:
    """Mean of the points (n,), 0 to 100 or NaN for not known, under weights (n,) that sum to 1.

    The weight of a part that is not known goes to the others in proportion to theirs. Raises `InputError`.
    """
    stated = checked_weights(weights)
    found = checked_array("points", points, np.float64, (len(stated),))
    require("points", found, np.isnan(found) | ((found >= 0) & (found <= 100)), "must be in [0, 100], or NaN")
    known = np.isfinite(found)
    total = float(stated[known].sum())
    used = np.where(known, stated, 0.0) / total if total > 0 else np.zeros(len(stated))
    used.setflags(write=False)
    score = float(used[known] @ found[known]) if total > 0 else float("nan")
    return Weighted(score=score, used=used, known=total)


def checked_weights(weights: ArrayLike) -> FloatArray:
    """(n,) weights that are not negative and sum to 1, or `InputError`."""
    stated = checked_array("weights", weights, np.float64, (None,))
    require("weights", stated, np.isfinite(stated) & (stated >= 0), "must be a number of at least 0")
    if abs(float(stated.sum()) - 1) > 1e-9:
        raise InputError(f"weights: expected a sum of 1, found {float(stated.sum()):.6g}")
    return stated


def ramp(value: float, none: float, full: float, *, log: bool = False) -> float:
    """Points of a value on a straight line: 0 at `none` and before, 100 at `full` and beyond; NaN stays NaN.

    `none` may lie above `full`, where a low value is the risk. log: straight in the logarithm, both ends above 0.
    Raises `InputError`.
    """
    none, full = checked_number("none", none), checked_number("full", full)
    if none == full or (log and min(none, full) <= 0):
        rule = "two positive numbers that differ" if log else "two numbers that differ"
        raise InputError(f"none and full: expected {rule}, found {none:g} and {full:g}")
    if isinstance(value, float | np.floating) and np.isnan(value):
        return float("nan")
    value = checked_number("value", value, rule="a finite number, or NaN for not known")
    if log:
        if value <= 0:
            return 0.0 if none < full else 100.0
        value, none, full = np.log(value), np.log(none), np.log(full)
    return float(np.clip(100 * (value - none) / (full - none), 0, 100))


def utilisation(debt: ArrayLike, liquidity: ArrayLike) -> FloatArray:
    """(R,) share of each reserve that is lent out, debt / (debt + liquidity); NaN where there is neither.

    debt, liquidity: (R,) amounts in one unit a reserve, not negative. Raises `InputError`.
    """
    owed = _amounts("debt", debt)
    left = _amounts("liquidity", liquidity, len(owed))
    total = owed + left
    return np.divide(owed, total, out=np.full(len(owed), np.nan), where=total > 0)


def use_points(used: ArrayLike, kink: ArrayLike, size_usd: ArrayLike) -> float:
    """Points for how far reserves are lent out, a mean weighted by `size_usd`; NaN where none is known.

    A reserve has 50 points at the kink of its rate curve, where rates begin to climb, and 100 where nothing is left to
    withdraw; straight lines between. used, kink: (R,) fractions, NaN for a reserve that does not count; a kink below 1.
    Raises `InputError`.
    """
    share = checked_array("used", used, np.float64, (None,))
    bend = checked_array("kink", kink, np.float64, (len(share),))
    size = _amounts("size_usd", size_usd, len(share))
    require("used", share, np.isnan(share) | ((share >= 0) & (share <= 1)), "must be a fraction in [0, 1], or NaN")
    require("kink", bend, np.isnan(bend) | ((bend > 0) & (bend < 1)), "must be a fraction between 0 and 1, or NaN")
    counts = np.isfinite(share) & np.isfinite(bend) & (size > 0)
    if not counts.any():
        return float("nan")
    share, bend, size = share[counts], bend[counts], size[counts]
    points = np.where(share <= bend, 50 * share / bend, 50 + 50 * (share - bend) / (1 - bend))
    return float(points @ size / size.sum())


def share_of(size_usd: ArrayLike, member: ArrayLike) -> float:
    """Share of the amounts (n,) whose `member` (n,) is true; NaN where there is nothing. Raises `InputError`."""
    size = _amounts("size_usd", size_usd)
    chosen = checked_array("member", member, np.bool_, (len(size),))
    total = float(size.sum())
    return float(size[chosen].sum()) / total if total > 0 else float("nan")


def cushion(threshold: ArrayLike, bonus: ArrayLike, daily_volatility: ArrayLike) -> FloatArray:
    """(R,) daily standard deviations that a price may fall from the moment of liquidation until debt is uncovered.

    ln(1 / (LT (1 + b))) / sigma: at liquidation the debt is LT of the collateral's value, and the liquidator takes the
    bonus b out of the rest. 0 where nothing is left; NaN where threshold or volatility is 0 or not known.
    threshold, bonus: (R,) fractions; daily_volatility: (R,) of log returns, NaN where not known. Raises `InputError`.
    """
    level = checked_array("threshold", threshold, np.float64, (None,))
    extra = checked_array("bonus", bonus, np.float64, (len(level),))
    sigma = checked_array("daily_volatility", daily_volatility, np.float64, (len(level),))
    require("threshold", level, (level >= 0) & (level <= 1), "must be a fraction in [0, 1]")
    require("bonus", extra, (extra >= 0) & (extra <= 1), "must be a fraction in [0, 1]")
    require("daily_volatility", sigma, np.isnan(sigma) | (sigma >= 0), "must not be negative, or NaN")
    known = (level > 0) & (sigma > 0) & np.isfinite(sigma)
    left = -np.log(np.where(known, level * (1 + extra), 1.0))
    return np.where(known, np.maximum(left, 0.0) / np.where(known, sigma, 1.0), np.nan)


def uncovered(deficit_usd: ArrayLike, cover_usd: ArrayLike) -> float:
    """USD of bad debt (R,) above what stands in for it (R,): the cover of one reserve does not serve another.

    Raises `InputError`.
    """
    owed = _amounts("deficit_usd", deficit_usd)
    return float(np.maximum(owed - _amounts("cover_usd", cover_usd, len(owed)), 0.0).sum())


def letter(probability: float) -> str:
    """The letter of a yearly chance of losing more than `PRINCIPAL`. Raises `InputError`."""
    p = checked_number("probability", probability, 0, 1, "a probability in [0, 1]")
    return next(name for name, most in LETTERS if p <= most)


def over_year(probability: float, horizon_seconds: int) -> float:
    """Chance of at least one such loss within a year of independent periods, each beginning with the book of today.

    1 - (1 - p)^(year / horizon). It rises with p, so the ends of an interval are scaled as its middle is. Losses that
    only add up to the threshold over several periods are not in it. Raises `InputError`.
    """
    p = checked_number("probability", probability, 0, 1, "a probability in [0, 1]")
    periods = SECONDS_PER_YEAR / checked_int("horizon_seconds", horizon_seconds, 1, SECONDS_PER_YEAR)
    # log1p keeps the digits of a chance of one in a million.
    return 1.0 if p == 1 else float(-np.expm1(periods * np.log1p(-p)))


def paths_without(probability: float, horizon_seconds: int) -> int:
    """Paths without a single such loss that put the upper end of the 95 % interval at a yearly `probability`.

    The interval is Clopper and Pearson's. Raises `InputError`.
    """
    p = checked_number("probability", probability, SMALLEST, BELOW_ONE, "a probability between 0 and 1")
    periods = SECONDS_PER_YEAR / checked_int("horizon_seconds", horizon_seconds, 1, SECONDS_PER_YEAR)
    return int(np.ceil(np.log(0.025) / (np.log1p(-p) / periods)))


def _amounts(label: str, values: ArrayLike, n: int | None = None) -> FloatArray:
    amounts = checked_array(label, values, np.float64, (n,))
    require(label, amounts, np.isfinite(amounts) & (amounts >= 0), "must be finite and not negative")
    return amounts
