"""What decides a path's prices: the record that a scenario hands to the kernels, and its codes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PLAIN = 0
ANTITHETIC = 1
QUASI = 2

REPLICATES = 16
"""Independently shifted copies of the quasi-random points; path p is point p // 16 of copy p % 16."""
QUASI_BITS = 22
"""Each copy has 2^22 points."""
QUASI_PATHS = REPLICATES << QUASI_BITS
QUASI_PER_FACTOR = 2
"""Quasi-random numbers that a factor takes: its move over the horizon, and its first half against its second."""

# columns of `tilt_statistics` after the K log ratios
CHI_SQUARE = 0
N_JUMPS = 1
JUMP_SCORE = 2
N_EXTRA = 3


class Draw(NamedTuple):
    """Everything that decides a path's prices but the seed. F factors, K components of an importance sample."""

    given: np.ndarray  # (n, F, n_steps) explicit relative prices, or no path at all to draw them
    drift: np.ndarray  # (F,) log drift of one step
    cholesky: np.ndarray  # (F, F) factor of the covariance of one step's log moves
    start: np.ndarray  # (F,) relative price at time 0
    law: int  # a code of kernels.laws.dispatch
    parameters: np.ndarray  # (P, F) the law's own numbers for one step; P is the law's
    history: np.ndarray  # (T, F) rows drawn in place of normals; no row where normals are drawn
    sampling: int  # PLAIN, ANTITHETIC or QUASI
    directions: np.ndarray  # (dimensions, QUASI_BITS) uint64 Sobol direction numbers; none unless QUASI
    share: np.ndarray  # (K,) cumulative probability of each component; one component, untilted, for a plain sample
    shift: np.ndarray  # (K, F) added to the independent normals of every step
    burst: np.ndarray  # (K, F) added to those of one step, each as likely as the other
    thinning: np.ndarray  # (K,) multiplies the chi-square
    surge: np.ndarray  # (K,) multiplies the number of jumps expected
    jolt: np.ndarray  # (K,) deviations by which the mean jump moves
    direction: np.ndarray  # (F,) unit vector along which a path's move has a number of its own, or none
    chosen: np.ndarray  # (n,) int64 numbers of the paths that are drawn, in place of all of a range, or none
    follows: np.ndarray  # (D,) int64; rows F + 1 on: what a feed says of this factor
    deviation: np.ndarray  # (D,) float64, move from its last answer at which it gives a new one
    heartbeat: np.ndarray  # (D,) float64, steps after which it does so in any case
    age: np.ndarray  # (D,) float64, steps since its last answer at the start
    lag: np.ndarray  # (D,) int64, steps from an answer until it can be read
    own: np.ndarray  # (C,) int64; rows F + 1 + D on are min(x[own] * (x[base] / x[feed]), most * x[base])
    base: np.ndarray  # (C,) int64
    feed: np.ndarray  # (C,) int64
    plain: np.ndarray  # (C,) int64; the row that each is where no cap acts
    most: np.ndarray  # (C,) highest ratio to the base; the base of a cap in USD is the constant row F
