"""Which loop a law's code stands for: one code and one branch for each law."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner
from risk_core.kernels.draw import N_EXTRA
from risk_core.kernels.laws import garch, gbm, jumps, ornstein_uhlenbeck, student_t

GBM = 0
STUDENT_T = 1
JUMPS = 2
ORNSTEIN_UHLENBECK = 3
GARCH = 4


@inner
def levels(draw, seed, path, k, n_steps, z):
    """Correlated moves of one path in `z` (F rows, and one free) <- log prices relative to the start."""
    if draw.drift.shape[0] == 0:
        return
    if draw.law == STUDENT_T:
        student_t.levels(draw, seed, path, k, n_steps, z)
    elif draw.law == JUMPS:
        jumps.levels(draw, seed, path, k, n_steps, z)
    elif draw.law == ORNSTEIN_UHLENBECK:
        ornstein_uhlenbeck.levels(draw, n_steps, z)
    elif draw.law == GARCH:
        garch.levels(draw, seed, path, n_steps, z)
    else:
        gbm.levels(draw, n_steps, z)


@inner
def widening(draw, seed, path):
    """The factor that the law puts on all moves of a path alike: 1 for most."""
    if draw.law == STUDENT_T:
        return student_t.widening(draw, seed, path, np.int64(0))[1]
    return 1.0


@inner
def statistics(draw, seed, path, k, n_steps, z, extra):
    """`extra` (N_EXTRA,) <- what the weight of a tilted path depends on beside its normals, drawn again; else zeros."""
    for c in range(N_EXTRA):
        extra[c] = 0.0
    if draw.drift.shape[0] == 0:
        return
    if draw.law == STUDENT_T:
        student_t.statistics(draw, seed, path, k, extra)
    elif draw.law == JUMPS:
        jumps.statistics(draw, seed, path, k, n_steps, z, extra)
