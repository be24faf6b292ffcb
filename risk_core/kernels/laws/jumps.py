"""Common jumps on top of normal moves."""

from __future__ import annotations

from risk_core.kernels._jit import inner
from risk_core.kernels.draw import ANTITHETIC, JUMP_SCORE, N_JUMPS
from risk_core.kernels.laws import gbm
from risk_core.kernels.randomness import poisson_moves

RATE = 0
MEAN = 1
DEVIATION = 2
BETA = 3


@inner
def common_jumps(draw, seed, path, k, n_steps, row):
    """Log move of the common jumps of each step into `row`; returns how many. Antithetic twins deviate oppositely."""
    antithetic = draw.sampling == ANTITHETIC
    twin = path // 2 if antithetic else path
    sign = -1.0 if antithetic and path % 2 == 1 else 1.0
    deviation = draw.parameters[DEVIATION, 0]
    mean = draw.parameters[MEAN, 0] + draw.jolt[k] * deviation
    return poisson_moves(seed, twin, draw.parameters[RATE, 0] * draw.surge[k], mean, sign * deviation, n_steps, row)


@inner
def levels(draw, seed, path, k, n_steps, z):
    """Normal moves and each factor's part in the jumps, added up."""
    n_factors = draw.drift.shape[0]
    common_jumps(draw, seed, path, k, n_steps, z[n_factors])
    for f in range(n_factors):
        beta = draw.parameters[BETA, f]
        for t in range(n_steps):
            z[f, t] += beta * z[n_factors, t]
    gbm.levels(draw, n_steps, z)


@inner
def statistics(draw, seed, path, k, n_steps, z, extra):
    """The number of jumps, and how many deviations they sum to beyond their mean."""
    n_factors = draw.drift.shape[0]
    count = common_jumps(draw, seed, path, k, n_steps, z[n_factors])
    moved = 0.0
    for t in range(n_steps):
        moved += z[n_factors, t]
    extra[N_JUMPS] = count
    deviation = draw.parameters[DEVIATION, 0]
    if deviation > 0.0:
        extra[JUMP_SCORE] = (moved - count * draw.parameters[MEAN, 0]) / deviation
