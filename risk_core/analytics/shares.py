"""A share of draws with its interval: Wilson's, and the exact one of Clopper and Pearson for rare hits."""

from __future__ import annotations

import numpy as np

from risk_core.checks import SMALLEST, checked_int, checked_number

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal law: a 95 % interval reaches this many standard errors to either side."""


def wilson(hits: int, n: int, effective: float | None = None) -> tuple[float, float]:
    """95 % interval of the share `hits` of `n`. (Wilson, J. American Statistical Association 22, 1927.)

    `effective`: where some of the n were drawn together, the number of independent draws that says as much as they do.
    The interval begins at exactly 0 where `hits` is 0, and ends at exactly 1 where `hits` is n. Raises `InputError`.
    """
    n = checked_int("n", n, 1)
    p = checked_int("hits", hits, 0, n) / n
    draws = (
        float(n) if effective is None else checked_number("effective", effective, SMALLEST, rule="a positive number")
    )
    centre = (p + Z95**2 / (2 * draws)) / (1 + Z95**2 / draws)
    half = Z95 / (1 + Z95**2 / draws) * np.sqrt(p * (1 - p) / draws + Z95**2 / (4 * draws**2))
    # At the ends the formula gives 0 and 1 except for rounding, which would leave 2e-19.
    low = 0.0 if hits == 0 else max(float(centre - half), 0.0)
    high = 1.0 if hits == n else min(float(centre + half), 1.0)
    return low, high


def clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of the share `hits` of `n` independent draws that holds the truth at least so often, however rare.

    The exact interval of the binomial law (Clopper and Pearson, Biometrika 26, 1934): of 0 hits the upper end is
    1 - 0.025^(1/n), about 3.7 / n. Raises `InputError`.
    """
    # Here, not at the top: the engine starts without scipy.
    from scipy.special import betaincinv

    n = checked_int("n", n, 1)
    hits = checked_int("hits", hits, 0, n)
    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, 0.025))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 0.975))
    return low, high
