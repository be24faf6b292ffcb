"""Counter-based random numbers and the few elementary functions that paths need.

A draw is a pure function of (seed, path, step, factor), so any split of the paths over threads, processes or
machines gives the same bits, and a longer run begins with the shorter one. Only + - * / sqrt and integer bit
operations are used: no libm call whose last bit depends on the platform, and LLVM vectorises every loop.

Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 5.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inlined, kernel

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
    """sin and cos of 2 pi u for u in [0, 1): reduction to an eighth of a turn, Taylor series."""
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


@kernel
def philox_words(counter, key, out):
    """Known-answer form of `philox`: `counter` (4,), `key` (2,), `out` (4,) uint64 holding 32-bit words."""
    out[0], out[1], out[2], out[3] = philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1])
