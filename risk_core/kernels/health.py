"""Health factors of every account in one pass over the two sides."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import kernel


@kernel
def health_factors(c_at, c_reserve, c_amount, d_at, d_reserve, d_amount, emode, threshold, price, out):
    """`out` (n,): collateral times threshold over debt, inf without debt. threshold (E + 1, R), row -1: no e-mode."""
    last = threshold.shape[0] - 1
    for n in range(out.shape[0]):
        row = emode[n] if emode[n] >= 0 else last
        margin = 0.0
        for i in range(c_at[n], c_at[n + 1]):
            r = np.uint64(c_reserve[i])
            margin += c_amount[i] * threshold[row, r] * price[r]
        debt = 0.0
        for j in range(d_at[n], d_at[n + 1]):
            debt += d_amount[j] * price[np.uint64(d_reserve[j])]
        out[n] = margin / debt if debt > 0.0 else np.inf
