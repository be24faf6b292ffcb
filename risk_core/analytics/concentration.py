"""How unevenly an amount is spread: Herfindahl-Hirschman index, share of the largest, Gini coefficient.

Amounts are of one unit and not negative; holders of 0 count for the Gini coefficient alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, checked_array, checked_int
from risk_core.errors import InputError


def hhi(amounts: ArrayLike) -> float:
    """Sum of squared shares: 1/n for n equal parts, 1 for one holder. NaN where there is nothing to share."""
    amount = _amounts(amounts)
    total = amount.sum()
    return float(((amount / total) ** 2).sum()) if total > 0 else float("nan")


def top_share(amounts: ArrayLike, n: int = 10) -> float:
    """Share of the n largest. NaN where there is nothing to share."""
    amount, n = _amounts(amounts), checked_int("n", n, 1)
    total = amount.sum()
    return float(np.sort(amount)[-n:].sum() / total) if total > 0 else float("nan")


def gini(amounts: ArrayLike) -> float:
    """Gini coefficient: 0 for equal parts, (n - 1)/n where one of n has all. NaN where there is nothing to share."""
    amount = np.sort(_amounts(amounts))
    n, total = len(amount), amount.sum()
    if not total > 0:
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ amount / (n * total))


def _amounts(amounts: ArrayLike) -> FloatArray:
    amount = checked_array("amounts", amounts, np.float64, (None,))
    good = np.isfinite(amount) & (amount >= 0)
    if not good.all():
        wrong = int(np.argmax(~good))
        raise InputError(
            f"amounts: expected finite numbers that are not negative, found {amount[wrong]} at entry {wrong}"
        )
    # Divided by the largest: the sum of amounts near the largest float would be infinite.
    largest = amount.max(initial=0.0)
    return amount / largest if largest > 0 else amount
