"""Price paths of one block of paths: prices relative to the snapshot, time contiguous and padded."""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, kernel
from risk_core.kernels.draw import ANTITHETIC, QUASI, REPLICATES
from risk_core.kernels.first_phase import aim, aimed
from risk_core.kernels.laws import dispatch, resampled
from risk_core.kernels.randomness import exp, log, normals, sobol_normal, uniform

FARTHEST = 20.0
"""The largest log move; larger ones are cut to it (a price 485 million times higher). Only a heavy tail of a badly
chosen law, or a volatility of several hundred, gets so far. The limit keeps amounts of money within int64."""


@inner
def correlate(cholesky, z, n_factors, n_steps):
    """Z <- cholesky @ z in place; rows from the last to the first, because row f needs only rows <= f."""
    for f in range(n_factors - 1, -1, -1):
        weight = cholesky[f, f]
        for t in range(n_steps):
            z[f, t] *= weight
        for g in range(f):
            weight = cholesky[f, g]
            if weight != 0.0:
                for t in range(n_steps):
                    z[f, t] += weight * z[g, t]


@inner
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


@inner
def component(share, seed, path):
    """Which component of an importance sample path `path` is drawn from."""
    k = 0
    if share.shape[0] > 1:
        u = uniform(seed, path, np.int64(0))
        while k < share.shape[0] - 1 and u >= share[k]:
            k += 1
    return k


@inner
def independent(draw, seed, path, k, n_steps, z):
    """Independent normals of one path, by the sampling of `draw` and shifted by its component k."""
    n_factors = draw.drift.shape[0]
    if draw.sampling == ANTITHETIC:
        normals(seed, path // 2, np.int64(0), n_factors, n_steps, z)
        if path % 2 == 1:
            for f in range(n_factors):
                for t in range(n_steps):
                    z[f, t] = -z[f, t]
    else:
        normals(seed, path, np.int64(0), n_factors, n_steps, z)
        if draw.sampling == QUASI:
            steer(draw.directions, seed, path, n_factors, n_steps, z)
    if draw.direction.shape[0] > 0:
        aim(draw.direction, aimed(seed, path), n_factors, n_steps, z)
    if k == 0:
        return
    at = min(int(uniform(seed, path, np.int64(1)) * n_steps), n_steps - 1)
    for f in range(n_factors):
        shift = draw.shift[k, f]
        for t in range(n_steps):
            z[f, t] += shift
        z[f, at] += draw.burst[k, f]


@inner
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
        if draw.chosen.shape[0] > 0:
            path = draw.chosen[path]
        k = component(draw.share, seed, path)
        if draw.history.shape[0] > 0:
            resampled.rows(draw, seed, path, n_steps, z)
        else:
            independent(draw, seed, path, k, n_steps, z)
        correlate(draw.cholesky, z, n_factors, n_steps)
        dispatch.levels(draw, seed, path, k, n_steps, z)
        for f in range(n_factors):
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


@inner
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
def feed_rows(follows, deviation, heartbeat, age, lag, n_factors, n_paths, n_steps, out):
    """Rows F + 1 on of `out`: what feeds say, which answer when their price has moved or their time is up.

    The last answer before the path is the price of the snapshot, `age` steps old. At the end of each step a feed gives
    the price of the market as its answer if that is `deviation` away from the answer before, or `heartbeat` steps have
    passed; it can be read `lag` steps later.
    """
    for q in range(n_paths):
        for k in range(follows.shape[0]):
            f, row, late = follows[k], n_factors + 1 + k, lag[k]
            answer = 1.0
            since = age[k]
            for t in range(min(late, n_steps)):
                out[q, row, t] = 1.0
            for t in range(n_steps):
                price = out[q, f, t]
                since += 1.0
                if abs(price / answer - 1.0) >= deviation[k] or since >= heartbeat[k]:
                    answer = price
                    since = 0.0
                if t + late < n_steps:
                    out[q, row, t + late] = answer
            for t in range(n_steps, out.shape[2]):
                out[q, row, t] = out[q, row, n_steps - 1]


@kernel
def capped_rows(own, base, feed, most, plain, first, n_paths, out):
    """Rows `first` on of `out`: prices under a cap, made of rows before them (see `risk_core.oracles.OracleRows`).

    Returns whether one of them differs anywhere from its row `plain`, the price without caps.
    """
    acts = False
    for q in range(n_paths):
        for k in range(most.shape[0]):
            row = first + k
            o, b, f, p, limit = own[k], base[k], feed[k], plain[k], most[k]
            differ = 0
            if b == f:
                for t in range(out.shape[2]):
                    price = min(out[q, o, t], limit * out[q, b, t])
                    differ += 1 if price != out[q, p, t] else 0
                    out[q, row, t] = price
            else:
                for t in range(out.shape[2]):
                    at = out[q, b, t]
                    price = min(out[q, o, t] * (at / out[q, f, t]), limit * at)
                    differ += 1 if price != out[q, p, t] else 0
                    out[q, row, t] = price
            acts = acts or differ > 0
    return acts


@kernel
def price_block(draw, seed, first_path, n_paths, n_steps, z, out):
    """Relative prices of consecutive paths, given or drawn, what feeds say of them, and rows that an oracle caps.

    Returns whether a cap acts on one of them.
    """
    if draw.given.shape[0] > 0:
        given_block(draw.given, first_path, n_paths, n_steps, out)
    else:
        random_block(draw, seed, first_path, n_paths, n_steps, z, out)
    n_factors = draw.drift.shape[0]
    n_feeds = draw.follows.shape[0]
    if n_feeds > 0:
        feed_rows(draw.follows, draw.deviation, draw.heartbeat, draw.age, draw.lag, n_factors, n_paths, n_steps, out)
    if draw.most.shape[0] == 0:
        return False
    first = n_factors + 1 + n_feeds
    return capped_rows(draw.own, draw.base, draw.feed, draw.most, draw.plain, first, n_paths, out)


@inner
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

    `log_ratio` of each component, and what the law adds to it (`dispatch.statistics`).
    """
    n_factors = draw.drift.shape[0]
    n_components = draw.share.shape[0]
    for q in range(n_paths):
        path = first_path + q
        k = component(draw.share, seed, path)
        independent(draw, seed, path, k, n_steps, z)
        for c in range(n_components):
            out[q, c] = log_ratio(draw.shift[c], draw.burst[c], n_factors, n_steps, z)
        dispatch.statistics(draw, seed, path, k, n_steps, z, out[q, n_components:])


@kernel
def independent_of(draw, seed, path, n_steps, z):
    """The independent normals of one path, drawn again into `z`."""
    independent(draw, seed, path, component(draw.share, seed, path), n_steps, z)


def padded_steps(n_steps: int) -> int:
    """Steps rounded up to whole vectors of eight float64, so that scans need no remainder loop."""
    return int(np.ceil(n_steps / 8)) * 8
