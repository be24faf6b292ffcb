"""GARCH(1, 1): a variance that follows the moves of its own path."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner
from risk_core.kernels.draw import ANTITHETIC
from risk_core.kernels.randomness import chi_square

ALPHA = 2
BETA = 3
OMEGA = 4
NU = 5
HIGHEST = 1e6
"""A variance is at most this many times that of the first step: a thousand times its volatility, and no overflow."""


@inner
def widen(draw, seed, path, nu, n_steps, z):
    """Student-t moves: those of a step are widened alike, by a chi-square of the step."""
    n_factors = draw.drift.shape[0]
    twin = path // 2 if draw.sampling == ANTITHETIC else path
    for t in range(n_steps):
        # A number of its own for each step of a path: no run has 2^40 paths.
        z[n_factors, t] = np.sqrt((nu - 2.0) / chi_square(seed, twin + ((t + 1) << 40), nu))
    for f in range(n_factors):
        for t in range(n_steps):
            z[f, t] *= z[n_factors, t]


@inner
def levels(draw, seed, path, n_steps, z):
    """Moves in `z`, of the first step's variance, times the root of the relative variance h, and its drift; added up.

    h is 1 in the first step; then OMEGA + ALPHA (h x^2) + BETA h, with x the move of the step before over the first
    step's deviation.
    """
    nu = draw.parameters[NU, 0]
    if nu > 0.0:
        widen(draw, seed, path, nu, n_steps, z)
    for f in range(draw.drift.shape[0]):
        drift = draw.drift[f]
        # The drift of a step is minus half its variance.
        alpha = draw.parameters[ALPHA, f] / (-2.0 * drift) if drift < 0.0 else 0.0
        beta = draw.parameters[BETA, f]
        omega = draw.parameters[OMEGA, f]
        level = 0.0
        h = 1.0
        for t in range(n_steps):
            move = z[f, t] * np.sqrt(h)
            level += move + h * drift
            z[f, t] = level
            h = omega + alpha * (move * move) + beta * h
            h = h if h < HIGHEST else HIGHEST
