"""Geometric Brownian motion: normal moves added up."""

from __future__ import annotations

from risk_core.kernels._jit import inner


@inner
def levels(draw, n_steps, z):
    """Moves in `z` and the drift of a step, added up in place."""
    for f in range(draw.drift.shape[0]):
        level = 0.0
        drift = draw.drift[f]
        for t in range(n_steps):
            level += z[f, t] + drift
            z[f, t] = level
