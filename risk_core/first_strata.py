"""Which paths are worth a look: strata of what is known of a path before its prices are drawn.

Two numbers are known, and their law is: the move x of the path over the horizon along one direction of the factors, in
standard deviations, and the factor s that a Student-t law puts on all its moves. Let m be a move that few paths make,
and b = m / s. A path that ends at x has passed b or -b on its way with a probability near exp(-2 b (b - |x|)), that of
a Brownian bridge (Glasserman, Monte Carlo Methods in Financial Engineering, 2003, section 6.4). So b (b - |x|) is the
score of a path, the lower the wider it swings, and the strata are between scores. Their probabilities are computed, to
six digits, and not estimated. Laws whose moves have other sources too (jumps, volatility that follows the path, rows of
the past) have one stratum, and all their paths are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk_core.checks import FloatArray, IntArray
from risk_core.kernels.draw import Draw
from risk_core.kernels.first_phase import first_phase
from risk_core.laws import GBM, Law, StudentT

WIDEST = np.array([1.5, 3.0, 6.0, 10.0, 20.0, 50.0])
"""Strata end near these multiples of the tail's probability: of 1 % the widest 1.5 % of paths, the next 1.5 %, ..."""
LOOKED_AT = np.array([1.0, 0.75, 0.5, 0.3, 0.17, 0.03, 0.01])
"""Share of each stratum's paths that is looked at."""
GRID = np.concatenate([-np.geomspace(1e3, 1e-2, 400), [0.0], np.geomspace(1e-2, 1e4, 600)])
"""Scores at which the probability is computed, to find the edges of the strata."""
COARSE, FINE = 301, 20_001
"""Nodes of the integral over the law of s: for the edges, which may be anywhere, and for the probabilities."""
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class FirstStrata:
    """H strata of the score. move: m. edge: (H - 1,) rising scores. probability, looked_at: (H,)."""

    move: float
    edge: FloatArray
    probability: FloatArray
    looked_at: FloatArray

    @classmethod
    def of(cls, level: float, law: Law) -> FirstStrata:
        """Strata for the `level` quantile of a loss under a law."""
        tail = 1 - level
        ends = WIDEST[WIDEST * tail < 1 - 1e-9] * tail if told(law) else np.zeros(0)
        move = _move(law, tail)
        edge = np.zeros(0)
        if len(ends):
            edge = np.interp(ends, _below(law, move, GRID, COARSE), GRID)
        probability = np.diff(np.concatenate([[0.0], _below(law, move, edge, FINE), [1.0]]))
        return cls(move, edge, probability, LOOKED_AT[: len(edge) + 1] if len(edge) else np.ones(1))

    def look(self, draw: Draw, seed: int, first: int, stop: int) -> tuple[IntArray, IntArray, FloatArray]:
        """(path numbers, strata, uniform numbers) of those of the paths [first, stop) that are looked at."""
        path, stratum, number = [], [], []
        for a in range(first, stop, CHUNK):
            seen = np.empty((min(CHUNK, stop - a), 4))
            first_phase(draw, np.uint64(seed), a, len(seen), seen)
            reach = self.move / seen[:, 1]
            wide = np.searchsorted(self.edge, reach * (reach - np.abs(seen[:, 0])))
            kept = np.flatnonzero(seen[:, 2] < self.looked_at[wide])
            path.append(a + kept)
            stratum.append(wide[kept])
            number.append(seen[kept, 3])
        return np.concatenate(path), np.concatenate(stratum), np.concatenate(number)


def told(law: Law) -> bool:
    """Whether the two numbers tell how far the paths of a law swing."""
    return isinstance(law, GBM | StudentT)


def _move(law: Law, tail: float) -> float:
    """The move, in standard deviations, that about `tail` of the paths make in either direction at some time.

    By the reflection principle a level is passed twice as often as a path ends beyond it (Glasserman, section 6.4).
    """
    # Here, not at the top: the engine starts without scipy.
    from scipy.special import ndtri, stdtrit

    if isinstance(law, StudentT):
        return float(-stdtrit(law.nu, tail / 4) * np.sqrt((law.nu - 2) / law.nu))
    return float(-ndtri(tail / 4))


def _below(law: Law, move: float, score: FloatArray, nodes: int) -> FloatArray:
    """(n,) probability of a score of at most each of `score` (n,): over a normal move, and over the law of s.

    The integral over the logarithm of the chi-square is a sum over even nodes.
    """
    from scipy.special import ndtr

    reach, weight = np.array([move]), np.ones(1)
    if isinstance(law, StudentT):
        nu, width = law.nu, np.sqrt(2 / law.nu)
        low, high = np.log(nu) - 40 * max(width, 2 / nu), np.log(nu) + np.log1p(40 * width + 80 / nu)
        log_chi = np.linspace(low, high, nodes)
        weight = np.exp(0.5 * nu * (log_chi - np.log(nu)) - 0.5 * (np.exp(log_chi) - nu))
        weight /= weight.sum()
        reach = move * np.sqrt(np.exp(log_chi) / (nu - 2))
    kept = weight > 1e-18
    reach, weight = reach[kept], weight[kept]
    return np.minimum(2 * ndtr(score[:, None] / reach - reach), 1.0) @ weight
