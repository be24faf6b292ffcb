"""Counter-based random numbers and the few elementary functions that paths need.

A draw is a pure function of (seed, path, step, factor), so any split of the paths over threads, processes or
machines gives the same bits, and a longer run begins with the shorter one. Only + - * / sqrt and integer bit
operations are used: no libm call whose last bit depends on the platform, and LLVM vectorises every loop.

Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 5.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inlined, inner, kernel

LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint64(0x9E3779B9)
WEYL_1 = np.uint64(0xBB67AE85)
U53 = 2.0**-53
LN2_HIGH = 6.93147180369123816490e-01
"""ln 2 rounded to 33 bits, so that k * LN2_HIGH is exact for |k| < 2^20 (Cody and Waite)."""
LN2_LOW = 1.90821492927058770002e-10


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10. Four counter words and two key words, each 32 bits held in a uint64; returns four such words.

    (uint64 lanes make the 32 x 32 -> 64 product one instruction.)
    """
    for _ in range(10):
        product_0 = MULTIPLIER_0 * c0
        product_1 = MULTIPLIER_1 * c2
        c0 = (product_1 >> SHIFT) ^ c1 ^ k0
        c2 = (product_0 >> SHIFT) ^ c3 ^ k1
        c1 = product_1 & LOW
        c3 = product_0 & LOW
        k0 = (k0 + WEYL_0) & LOW
        k1 = (k1 + WEYL_1) & LOW
    return c0, c1, c2, c3


@inlined
def log(x):
    """Natural logarithm of a positive normal float64, within 2 ulp: 2 atanh(s) by its series, s = (m - 1)/(m + 1)."""
    bits = np.float64(x).view(np.int64) + np.int64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    exponent = np.float64((bits >> np.int64(52)) - np.int64(0x3FF))
    mantissa = np.int64((bits & np.int64(0x000FFFFFFFFFFFFF)) + np.int64(0x3FE6A09E667F3BCD)).view(np.float64)
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = z * (
        2 / 3
        + z
        * (2 / 5 + z * (2 / 7 + z * (2 / 9 + z * (2 / 11 + z * (2 / 13 + z * (2 / 15 + z * (2 / 17 + z * (2 / 19))))))))
    )
    half_square = 0.5 * f * f
    return exponent * LN2_HIGH - ((half_square - (s * (half_square + series) + exponent * LN2_LOW)) - f)


@inlined
def exp(x):
    """e**x for |x| < 700, within 1 ulp: x = k ln 2 + r, Taylor series of degree 13 on |r| <= ln 2 / 2."""
    # Adding and subtracting 1.5 * 2^52 rounds to the nearest integer; its low mantissa bits then hold k.
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    k = np.float64(shifted).view(np.int64)
    n = shifted - 6755399441055744.0
    r = x - n * LN2_HIGH - n * LN2_LOW
    tail = 1 / 5040.0 + r * (
        1 / 40320.0
        + r
        * (1 / 362880.0 + r * (1 / 3628800.0 + r * (1 / 39916800.0 + r * (1 / 479001600.0 + r * (1 / 6227020800.0)))))
    )
    series = 1.0 + r * (
        1.0 + r * (1 / 2.0 + r * (1 / 6.0 + r * (1 / 24.0 + r * (1 / 120.0 + r * (1 / 720.0 + r * tail)))))
    )
    return series * np.int64((k << np.int64(52)) + np.int64(0x3FF0000000000000)).view(np.float64)


@inlined
def sin_cos_turn(u):
    """Sin and cos of 2 pi u for u in [0, 1): reduction to an eighth of a turn, Taylor series."""
    quarter = np.floor(u * 4.0 + 0.5)
    x = (u - quarter * 0.25) * 6.283185307179586
    y = x * x
    s = x * (
        1.0
        + y
        * (
            -1 / 6.0
            + y * (1 / 120.0 + y * (-1 / 5040.0 + y * (1 / 362880.0 + y * (-1 / 39916800.0 + y / 6227020800.0))))
        )
    )
    c = 1.0 + y * (
        -0.5 + y * (1 / 24.0 + y * (-1 / 720.0 + y * (1 / 40320.0 + y * (-1 / 3628800.0 + y * (1 / 479001600.0)))))
    )
    turn = np.int64(quarter) & np.int64(3)
    sine = s if (turn & 1) == 0 else c
    cosine = c if (turn & 1) == 0 else s
    sine = sine if turn < 2 else -sine
    cosine = cosine if (turn == 0 or turn == 3) else -cosine
    return sine, cosine


@kernel
def normals(seed, path, stream, n_factors, n_steps, out):
    """Independent standard normals of one path by Box-Muller.

    Factors 2i and 2i + 1 at step t use the two 64-bit words of the counter (t, i + 2^16 stream, path low, path high)
    under the key `seed`. `out`: (>= n_factors rounded up to even, >= n_steps) float64.
    """
    key_0 = np.uint64(seed) & LOW
    key_1 = np.uint64(seed) >> SHIFT
    path_0 = np.uint64(path) & LOW
    path_1 = np.uint64(path) >> SHIFT
    for pair in range((n_factors + 1) // 2):
        lane = np.uint64(pair) + (np.uint64(stream) << np.uint64(16))
        for t in range(n_steps):
            a, b, c, d = philox(np.uint64(t), lane, path_0, path_1, key_0, key_1)
            # + 0.5: the open interval (0, 1), so that the logarithm is finite
            u = (np.float64(((a << SHIFT) | b) >> np.uint64(11)) + 0.5) * U53
            v = np.float64(((c << SHIFT) | d) >> np.uint64(11)) * U53
            radius = np.sqrt(-2.0 * log(u))
            sine, cosine = sin_cos_turn(v)
            out[2 * pair, t] = radius * cosine
            out[2 * pair + 1, t] = radius * sine


CHI_SQUARE_STREAM = np.uint64(1) << np.uint64(16)
JUMP_STREAM = np.uint64(2) << np.uint64(16)
SHIFT_STREAM = np.uint64(3) << np.uint64(16)
COMPONENT_STREAM = np.uint64(4) << np.uint64(16)
ROW_STREAM = 5
"""Second counter word of draws that are not the normals of a step: separate streams for up to 2^17 factors.
ROW_STREAM is the argument of `normals`."""


@inlined
def word(high, low):
    """Two 32-bit halves as one 64-bit word."""
    return (high << SHIFT) | low


@inlined
def open_unit(bits):
    """A number in the open interval (0, 1) from the upper 53 bits of a 64-bit word."""
    return (np.float64(bits >> np.uint64(11)) + 0.5) * U53


@kernel
def inverse_normal(p):
    """Standard normal quantile of p in (0, 1), relative error about 1e-16, monotone.

    Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988), PPND16.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = 6.7265770927008700853e4 + r * (3.3430575583588128105e4 + r * 2.5090809287301226727e3)
        top = 1.9715909503065514427e3 + r * (1.3731693765509461125e4 + r * (4.5921953931549871457e4 + r * top))
        top = 3.3871328727963666080 + r * (1.3314166789178437745e2 + r * top)
        low = 3.9307895800092710610e4 + r * (2.8729085735721942674e4 + r * 5.2264952788528545610e3)
        low = 6.8718700749205790830e2 + r * (5.3941960214247511077e3 + r * (2.1213794301586595867e4 + r * low))
        return q * top / (1.0 + r * (4.2313330701600911252e1 + r * low))
    r = np.sqrt(-log(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = 2.41780725177450611770e-1 + r * (2.27238449892691845833e-2 + r * 7.74545014278341407640e-4)
        top = 5.76949722146069140550 + r * (3.64784832476320460504 + r * (1.27045825245236838258 + r * top))
        top = 1.42343711074968357734 + r * (4.63033784615654529590 + r * top)
        low = 1.51986665636164571966e-2 + r * (5.47593808499534494600e-4 + r * 1.05075007164441684324e-9)
        low = 1.67638483018380384940 + r * (6.89767334985100004550e-1 + r * (1.48103976427480074590e-1 + r * low))
        low = 1.0 + r * (2.05319162663775882187 + r * low)
    else:
        r -= 5.0
        top = 1.24266094738807843860e-3 + r * (2.71155556874348757815e-5 + r * 2.01033439929228813265e-7)
        top = 1.78482653991729133580 + r * (2.96560571828504891230e-1 + r * (2.65321895265761230930e-2 + r * top))
        top = 6.65790464350110377720 + r * (5.46378491116411436990 + r * top)
        low = 1.84631831751005468180e-5 + r * (1.42151175831644588870e-7 + r * 2.04426310338993978564e-15)
        low = 1.36929880922735805310e-1 + r * (1.48753612908506148525e-2 + r * (7.86869131145613259100e-4 + r * low))
        low = 1.0 + r * (5.99832206555887937690e-1 + r * low)
    return -top / low if q < 0.0 else top / low


@kernel
def chi_square(seed, path, nu):
    """Chi-square of one path with `nu` > 2 degrees of freedom, any real: twice a gamma of shape nu / 2.

    Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000). Attempt k has the
    counter (k, stream, path), so a rejection moves no other draw. Fewer than 5 % are rejected.
    """
    d = nu / 2.0 - 1.0 / 3.0
    width = 1.0 / np.sqrt(9.0 * d)
    path_0 = np.uint64(path) & LOW
    path_1 = np.uint64(path) >> SHIFT
    attempt = np.uint64(0)
    while True:
        a, b, c, e = philox(attempt, CHI_SQUARE_STREAM, path_0, path_1, np.uint64(seed) & LOW, np.uint64(seed) >> SHIFT)
        x = inverse_normal(open_unit(word(a, b)))
        v = 1.0 + width * x
        if v > 0.0:
            v = v * v * v
            if log(open_unit(word(c, e))) < 0.5 * x * x + d - d * v + d * log(v):
                return 2.0 * d * v
        attempt += np.uint64(1)


@kernel
def poisson_moves(seed, path, rate, mean, deviation, n_steps, out):
    """out[t] <- sum of a Poisson(`rate`) number of normal(mean, deviation) moves in step t; returns how many in all.

    Both numbers of step t come from the counter (t, stream, path): the count by inversion, their sum at once.
    """
    path_0 = np.uint64(path) & LOW
    path_1 = np.uint64(path) >> SHIFT
    none = exp(-rate)
    total = 0
    for t in range(n_steps):
        a, b, c, d = philox(np.uint64(t), JUMP_STREAM, path_0, path_1, np.uint64(seed) & LOW, np.uint64(seed) >> SHIFT)
        u = open_unit(word(a, b))
        out[t] = 0.0
        if u >= none:
            count = 0
            probability = none
            cumulative = none
            while u >= cumulative and count < 1000:
                count += 1
                probability *= rate / count
                cumulative += probability
            total += count
            out[t] = count * mean + np.sqrt(np.float64(count)) * deviation * inverse_normal(open_unit(word(c, d)))
    return total


@inner
def sobol_normal(directions, seed, copy, point, dimension):
    """Normal quantile of one coordinate of Sobol point `point` (Gray code order) under the digital shift of `copy`."""
    gray = np.uint64(point) ^ (np.uint64(point) >> np.uint64(1))
    bits = np.uint64(0)
    bit = 0
    while gray > 0:
        if gray & np.uint64(1):
            bits ^= directions[dimension, bit]
        gray >>= np.uint64(1)
        bit += 1
    a, b, _, _ = philox(
        np.uint64(dimension),
        SHIFT_STREAM,
        np.uint64(copy),
        np.uint64(0),
        np.uint64(seed) & LOW,
        np.uint64(seed) >> SHIFT,
    )
    return inverse_normal(open_unit((bits << SHIFT) ^ word(a, b)))


@inner
def uniform(seed, path, number):
    """A number in (0, 1) for a path, independent of all its other draws."""
    a, b, _, _ = philox(
        np.uint64(number),
        COMPONENT_STREAM,
        np.uint64(path) & LOW,
        np.uint64(path) >> SHIFT,
        np.uint64(seed) & LOW,
        np.uint64(seed) >> SHIFT,
    )
    return open_unit(word(a, b))


@kernel
def philox_words(counter, key, out):
    """Known-answer form of `philox`: `counter` (4,), `key` (2,), `out` (4,) uint64 holding 32-bit words."""
    out[0], out[1], out[2], out[3] = philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1])
