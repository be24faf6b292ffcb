"""Rows of the past instead of normals: blocks of consecutive rows of a history."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner
from risk_core.kernels.randomness import ROW_STREAM, exp, normals

FRESH = 0
STRIDE = 1


@inner
def rows(draw, seed, path, n_steps, z):
    """`z` (F rows, and one free) <- a row of the history for each step.

    Step 0 begins a block at a row drawn evenly; each later step begins one with probability FRESH, and else takes the
    row STRIDE after the one before, the first following the last. One uniform a step decides both.
    """
    n_factors = draw.drift.shape[0]
    n_rows = draw.history.shape[0]
    fresh = draw.parameters[FRESH, 0]
    stride = int(draw.parameters[STRIDE, 0])
    # Two normals come from one uniform each for radius and angle; the radius gives its uniform back. A loop of its own
    # for uniforms would be compiled into every kernel that draws paths; np.int64: a literal is a type of its own.
    normals(seed, path, np.int64(ROW_STREAM), np.int64(2), n_steps, z)
    row = 0
    share = 1.0
    for t in range(n_steps):
        u = exp(-0.5 * (z[0, t] * z[0, t] + z[1, t] * z[1, t]))
        if u < share:
            # Given that it is below `share`, u / share is uniform, too.
            row = min(int(u / share * n_rows), n_rows - 1)
        else:
            row += stride
            if row >= n_rows:
                row -= n_rows
        z[n_factors, t] = row
        share = fresh
    for f in range(n_factors):
        for t in range(n_steps):
            z[f, t] = draw.history[int(z[n_factors, t]), f]
