"""Student-t moves: those of a path are widened alike, by one chi-square."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner
from risk_core.kernels.draw import ANTITHETIC, CHI_SQUARE
from risk_core.kernels.laws import gbm
from risk_core.kernels.randomness import chi_square

NU = 0


@inner
def widening(draw, seed, path, k):
    """(chi-square of the path, factor that it puts on every move): Student-t moves with the variance of normal ones."""
    nu = draw.parameters[NU, 0]
    twin = path // 2 if draw.sampling == ANTITHETIC else path
    chi = chi_square(seed, twin, nu) * draw.thinning[k]
    return chi, np.sqrt((nu - 2.0) / chi)


@inner
def levels(draw, seed, path, k, n_steps, z):
    """Normal moves times the path's factor, added up."""
    _, wider = widening(draw, seed, path, k)
    for f in range(draw.drift.shape[0]):
        for t in range(n_steps):
            z[f, t] *= wider
    gbm.levels(draw, n_steps, z)


@inner
def statistics(draw, seed, path, k, extra):
    """The chi-square."""
    extra[CHI_SQUARE], _ = widening(draw, seed, path, k)
