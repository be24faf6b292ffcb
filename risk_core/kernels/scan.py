"""When does an account first fall below health factor 1? Every step at once, one vectorised pass.

The predicate is the one that `settle` evaluates, term by term in the same order, so both see the same bits.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import merged
from risk_core.kernels._vector import WIDTH, lowest_bit, steps_below
from risk_core.kernels.settle import THRESHOLD

NEVER = np.int64(1) << np.int64(40)


@merged
def first_below_few(n_collateral, n_debt, value, leg, factor, terms, x, q, start):
    """`first_below` for up to three collaterals and two debts: absent legs repeat leg 0 with weight 0."""
    n_steps = np.int64(x.shape[2])
    path = np.int64(q) * np.int64(x.shape[1])
    f0 = (path + factor[leg]) * n_steps
    f1 = (path + factor[leg + 1]) * n_steps if n_collateral > 1 else f0
    f2 = (path + factor[leg + 2]) * n_steps if n_collateral > 2 else f0
    g0 = (path + factor[leg + n_collateral]) * n_steps
    g1 = (path + factor[leg + n_collateral + 1]) * n_steps if n_debt > 1 else g0
    w0 = value[0] * terms[leg, THRESHOLD]
    w1 = value[1] * terms[leg + 1, THRESHOLD] if n_collateral > 1 else 0.0
    w2 = value[2] * terms[leg + 2, THRESHOLD] if n_collateral > 2 else 0.0
    d0 = value[n_collateral]
    d1 = value[n_collateral + 1] if n_debt > 1 else 0.0
    s = np.int64(start) & ~np.int64(WIDTH - 1)
    ahead = ~np.int64(0) << (np.int64(start) - s)
    while s < n_steps:
        below = steps_below(x, s, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1) & ahead
        if below != 0:
            return s + lowest_bit(below)
        ahead = ~np.int64(0)
        s += WIDTH
    return NEVER


@merged
def first_below(n_collateral, n_debt, value, leg, factor, terms, x, q, start, scratch):
    """First step >= start of path q at which margin < debt, else NEVER. scratch: (2, padded steps) float64."""
    if n_collateral <= 3 and n_debt <= 2:
        return first_below_few(n_collateral, n_debt, value, leg, factor, terms, x, q, start)
    n_steps = x.shape[2]
    for s in range(n_steps):
        scratch[0, s] = 0.0
        scratch[1, s] = 0.0
    for k in range(n_collateral):
        weight = value[k] * terms[leg + k, THRESHOLD]
        f = factor[leg + k]
        for s in range(n_steps):
            scratch[0, s] += weight * x[q, f, s]
    for k in range(n_collateral, n_collateral + n_debt):
        weight = value[k]
        f = factor[leg + k]
        for s in range(n_steps):
            scratch[1, s] += weight * x[q, f, s]
    first = NEVER
    for s in range(n_steps):
        first = min(first, np.int64(s) if (scratch[0, s] < scratch[1, s] and s >= start) else NEVER)
    return first
