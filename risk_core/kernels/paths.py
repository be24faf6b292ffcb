"""Price paths of one block of paths: prices relative to the snapshot, time contiguous and padded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import kernel
from risk_core.kernels.randomness import chi_square, exp, log, normals, poisson_moves, sobol_normal, uniform

GBM = 0
STUDENT_T = 1
JUMPS = 2

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
FARTHEST = 20.0
"""A log move beyond it is held there (a price 485 million times higher): only a heavy tail of a badly chosen law, or
a volatility of several hundred, gets so far, and money stays within int64 in any market short of that."""

# columns of `tilt_statistics` after the K log ratios
CHI_SQUARE = 0
N_JUMPS = 1
JUMP_SCORE = 2
N_EXTRA = 3


class Draw(NamedTuple):
    """Everything that decides a path's prices but the seed. F factors, K components of an importance sample."""

    given: np.ndarray  # (P, F, n_steps) explicit relative prices, or no path at all to draw them
    drift: np.ndarray  # (F,) log drift of one step
    cholesky: np.ndarray  # (F, F) factor of the covariance of one step's log moves
    start: np.ndarray  # (F,) relative price at time 0
    law: int  # GBM, STUDENT_T or JUMPS
    shape: np.ndarray  # (3,) nu; or jumps expected in a step, mean and deviation of a jump
    beta: np.ndarray  # (F,) log move of each factor for a common jump of 1
    sampling: int  # PLAIN, ANTITHETIC or QUASI
    directions: np.ndarray  # (dimensions, QUASI_BITS) uint64 Sobol direction numbers; none unless QUASI
    share: np.ndarray  # (K,) cumulative probability of each component; one component, untilted, for a plain sample
    shift: np.ndarray  # (K, F) added to the independent normals of every step
    burst: np.ndarray  # (K, F) added to those of one step, each as likely as the other
    thinning: np.ndarray  # (K,) multiplies the chi-square
    surge: np.ndarray  # (K,) multiplies the number of jumps expected
    jolt: np.ndarray  # (K,) deviations by which the mean jump moves


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
def steer(directions, seed, path, n_factors, n_steps, z):
    """Replace each factor's sum over the path, and its first half against its second, by quasi-random normals.

    Both are coordinates of the path along unit vectors, so the rest keeps its law given them: a Brownian bridge.
    """
    copy = path % REPLICATES
    point = path // REPLICATES
    half = n_steps // 2
    for f in range(n_factors):
        total = 0.0
        for t in range(n_steps):
            total += z[f, t]
        move = (sobol_normal(directions, seed, copy, point, f) - total / np.sqrt(n_steps)) / np.sqrt(n_steps)
        for t in range(n_steps):
            z[f, t] += move
        if half > 0:
            early = np.sqrt((n_steps - half) / (half * n_steps))
            late = np.sqrt(half / ((n_steps - half) * n_steps))
            contrast = 0.0
            for t in range(half):
                contrast += early * z[f, t]
            for t in range(half, n_steps):
                contrast -= late * z[f, t]
            move = sobol_normal(directions, seed, copy, point, n_factors + f) - contrast
            for t in range(half):
                z[f, t] += early * move
            for t in range(half, n_steps):
                z[f, t] -= late * move


@kernel
def component(share, seed, path):
    """Which component of an importance sample path `path` is drawn from."""
    k = 0
    if share.shape[0] > 1:
        u = uniform(seed, path, 0)
        while k < share.shape[0] - 1 and u >= share[k]:
            k += 1
    return k


@kernel
def independent(draw, seed, path, k, n_steps, z):
    """Independent normals of one path, by the sampling in force and shifted as component k says."""
    n_factors = draw.drift.shape[0]
    if draw.sampling == ANTITHETIC:
        normals(seed, path // 2, 0, n_factors, n_steps, z)
        if path % 2 == 1:
            for f in range(n_factors):
                for t in range(n_steps):
                    z[f, t] = -z[f, t]
    else:
        normals(seed, path, 0, n_factors, n_steps, z)
        if draw.sampling == QUASI:
            steer(draw.directions, seed, path, n_factors, n_steps, z)
    if k == 0:
        return
    at = min(int(uniform(seed, path, 1) * n_steps), n_steps - 1)
    for f in range(n_factors):
        shift = draw.shift[k, f]
        for t in range(n_steps):
            z[f, t] += shift
        z[f, at] += draw.burst[k, f]


@kernel
def widening(draw, seed, path, k):
    """(chi-square of the path, factor that it puts on every move): Student-t moves with the variance of normal ones."""
    nu = draw.shape[0]
    twin = path // 2 if draw.sampling == ANTITHETIC else path
    chi = chi_square(seed, twin, nu) * draw.thinning[k]
    return chi, np.sqrt((nu - 2.0) / chi)


@kernel
def common_jumps(draw, seed, path, k, n_steps, row):
    """Log move of the common jumps of each step into `row`; returns how many. A twin's spread the other way."""
    antithetic = draw.sampling == ANTITHETIC
    twin = path // 2 if antithetic else path
    sign = -1.0 if antithetic and path % 2 == 1 else 1.0
    mean = draw.shape[1] + draw.jolt[k] * draw.shape[2]
    return poisson_moves(seed, twin, draw.shape[0] * draw.surge[k], mean, sign * draw.shape[2], n_steps, row)


@kernel
def random_block(draw, seed, first_path, n_paths, n_steps, z, out):
    """Random prices of `n_paths` consecutive paths.

    z: (F + 1 rounded up to even, n_steps) scratch. out: (>= n_paths, F + 1, padded steps): column t is the end of
    step t + 1. The last factor is constant 1 (fixed oracle prices). Padding repeats the last step, which cannot
    change a first passage.
    """
    n_factors = draw.drift.shape[0]
    padded = out.shape[2]
    for q in range(n_paths):
        path = first_path + q
        k = component(draw.share, seed, path)
        independent(draw, seed, path, k, n_steps, z)
        correlate(draw.cholesky, z, n_factors, n_steps)
        if draw.law == STUDENT_T:
            _, wider = widening(draw, seed, path, k)
            for f in range(n_factors):
                for t in range(n_steps):
                    z[f, t] *= wider
        elif draw.law == JUMPS:
            common_jumps(draw, seed, path, k, n_steps, z[n_factors])
            for f in range(n_factors):
                beta = draw.beta[f]
                for t in range(n_steps):
                    z[f, t] += beta * z[n_factors, t]
        for f in range(n_factors):
            level = 0.0
            drift = draw.drift[f]
            for t in range(n_steps):
                level += z[f, t] + drift
                z[f, t] = level
            base = draw.start[f]
            for t in range(n_steps):
                move = z[f, t]
                move = move if move < FARTHEST else FARTHEST
                move = move if move > -FARTHEST else -FARTHEST
                out[q, f, t] = base * exp(move)
            last = out[q, f, n_steps - 1]
            for t in range(n_steps, padded):
                out[q, f, t] = last
        for t in range(padded):
            out[q, n_factors, t] = 1.0


@kernel
def given_block(given, first_path, n_paths, n_steps, out):
    """Copy explicit relative prices `given` (P, F, n_steps) into the layout of `random_block`."""
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


@kernel
def price_block(draw, seed, first_path, n_paths, n_steps, z, out):
    """Relative prices of consecutive paths, given or drawn."""
    if draw.given.shape[0] > 0:
        given_block(draw.given, first_path, n_paths, n_steps, out)
    else:
        random_block(draw, seed, first_path, n_paths, n_steps, z, out)


@kernel
def log_ratio(shift, burst, n_factors, n_steps, z):
    """Log density of the independent normals `z` under a shift and a burst over that under neither.

    The burst is a mixture over the steps: log of the mean over t of exp(burst . (z_t - shift) - |burst|^2 / 2).
    """
    even = 0.0
    square = 0.0
    offset = 0.0
    for f in range(n_factors):
        for t in range(n_steps):
            even += shift[f] * (z[f, t] - 0.5 * shift[f])
        square += burst[f] * burst[f]
        offset += burst[f] * shift[f]
    if square == 0.0:
        return even
    highest = -1e300
    total = 0.0
    for t in range(n_steps):
        score = 0.0
        for f in range(n_factors):
            score += burst[f] * z[f, t]
        if score > highest:
            total = total * exp(max(highest - score, -600.0)) + 1.0
            highest = score
        else:
            total += exp(max(score - highest, -600.0))
    return even + highest + log(total / n_steps) - offset - 0.5 * square


@kernel
def tilt_statistics(draw, seed, first_path, n_paths, n_steps, z, out):
    """What the likelihood ratio of each path depends on, drawn again. out: (n_paths, K + N_EXTRA).

    `log_ratio` of each component; the chi-square; the number of jumps; how many deviations they sum to beyond their
    mean.
    """
    n_factors = draw.drift.shape[0]
    n_components = draw.share.shape[0]
    for q in range(n_paths):
        path = first_path + q
        k = component(draw.share, seed, path)
        independent(draw, seed, path, k, n_steps, z)
        for c in range(n_components):
            out[q, c] = log_ratio(draw.shift[c], draw.burst[c], n_factors, n_steps, z)
        out[q, n_components + CHI_SQUARE] = 0.0
        out[q, n_components + N_JUMPS] = 0.0
        out[q, n_components + JUMP_SCORE] = 0.0
        if draw.law == STUDENT_T:
            out[q, n_components + CHI_SQUARE], _ = widening(draw, seed, path, k)
        elif draw.law == JUMPS:
            count = common_jumps(draw, seed, path, k, n_steps, z[n_factors])
            moved = 0.0
            for t in range(n_steps):
                moved += z[n_factors, t]
            out[q, n_components + N_JUMPS] = count
            if draw.shape[2] > 0.0:
                out[q, n_components + JUMP_SCORE] = (moved - count * draw.shape[1]) / draw.shape[2]


@kernel
def independent_of(draw, seed, path, n_steps, z):
    """The independent normals of one path, drawn again into `z`."""
    independent(draw, seed, path, component(draw.share, seed, path), n_steps, z)


def padded_steps(n_steps: int) -> int:
    """Steps rounded up to whole vectors of eight float64, so that scans need no remainder loop."""
    return int(np.ceil(n_steps / 8)) * 8
