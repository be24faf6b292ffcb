"""Price paths of one block of paths: prices relative to the snapshot, time contiguous and padded."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import kernel
from risk_core.kernels.randomness import exp, normals


@kernel
def correlate(cholesky, z, n_factors, n_steps):
    """z <- cholesky @ z in place; rows from the last to the first, because row f needs only rows <= f."""
    for f in range(n_factors - 1, -1, -1):
        weight = cholesky[f, f]
        for t in range(n_steps):
            z[f, t] *= weight
        for g in range(f):
            weight = cholesky[f, g]
            if weight != 0.0:
                for t in range(n_steps):
                    z[f, t] += weight * z[g, t]


@kernel
def gbm_block(seed, first_path, n_paths, drift, cholesky, start, n_steps, z, out):
    """Correlated geometric Brownian motion for `n_paths` consecutive paths.

    drift (F,): log drift of one step; cholesky (F, F): factor of the covariance of one step's log returns;
    start (F,): relative price at time 0 (1 + shock); z: (F rounded up to even, n_steps) scratch.
    out: (>= n_paths, F + 1, padded steps): column t is the end of step t + 1. The last factor is constant 1 (fixed
    oracle prices). Padding repeats the last step, which cannot change a first passage.
    """
    n_factors = drift.shape[0]
    padded = out.shape[2]
    for q in range(n_paths):
        normals(seed, first_path + q, 0, n_factors, n_steps, z)
        correlate(cholesky, z, n_factors, n_steps)
        for f in range(n_factors):
            level = 0.0
            for t in range(n_steps):
                level += z[f, t] + drift[f]
                z[f, t] = level
            base = start[f]
            for t in range(n_steps):
                out[q, f, t] = base * exp(z[f, t])
            last = out[q, f, n_steps - 1]
            for t in range(n_steps, padded):
                out[q, f, t] = last
        for t in range(padded):
            out[q, n_factors, t] = 1.0


@kernel
def given_block(given, first_path, n_paths, n_steps, out):
    """Copy explicit relative prices `given` (P, F, n_steps) into the layout of `gbm_block`."""
    n_factors = given.shape[1]
    padded = out.shape[2]
    for q in range(n_paths):
        for f in range(n_factors):
            for t in range(n_steps):
                out[q, f, t] = given[first_path + q, f, t]
            for t in range(n_steps, padded):
                out[q, f, t] = out[q, f, n_steps - 1]
        for t in range(padded):
            out[q, n_factors, t] = 1.0


def padded_steps(n_steps: int) -> int:
    """Steps rounded up to whole vectors of eight float64, so that scans need no remainder loop."""
    return int(np.ceil(n_steps / 8)) * 8
