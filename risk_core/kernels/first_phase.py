"""What is known of a path before its prices are drawn, and how its prices are drawn to agree with it."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, kernel
from risk_core.kernels.laws import dispatch
from risk_core.kernels.randomness import inverse_normal, uniform

AIMED = 2
SCREENED = 3
FOLLOWED = 4
"""Numbers of `uniform`; 0 and 1 are those of importance sampling."""


@inner
def aimed(seed, path):
    """The move of a path over the horizon along a direction, in standard deviations: a normal number of its own."""
    return inverse_normal(uniform(seed, path, np.int64(AIMED)))


@inner
def aim(direction, move, n_factors, n_steps, z):
    """Replace the sum over the path along `direction`, a unit vector, by `move`; the rest keeps its law given it."""
    found = 0.0
    for f in range(n_factors):
        weight = direction[f]
        for t in range(n_steps):
            found += weight * z[f, t]
    each = (move - found / np.sqrt(n_steps)) / np.sqrt(n_steps)
    for f in range(n_factors):
        change = direction[f] * each
        for t in range(n_steps):
            z[f, t] += change


@kernel
def first_phase(draw, seed, first_path, n_paths, out):
    """out: (n_paths, 4), for each path what is known before its prices are drawn.

    Its move along `draw.direction`, the factor that its law puts on all its moves, and two uniform numbers that are
    independent of each other and of everything that makes its prices.
    """
    for q in range(n_paths):
        path = first_path + q
        out[q, 0] = aimed(seed, path)
        out[q, 1] = dispatch.widening(draw, seed, path)
        out[q, 2] = uniform(seed, path, np.int64(SCREENED))
        out[q, 3] = uniform(seed, path, np.int64(FOLLOWED))
