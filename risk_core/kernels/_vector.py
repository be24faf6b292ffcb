"""Eight float64 at a time, spelled out. Everywhere else the compiler vectorises plain loops by itself.

The scan for the first step below health factor 1 is the engine's innermost loop; left to the vectoriser its width
changed with unrelated edits of its callers (2 times slower, measured). Multiplications, additions and comparisons are
IEEE, unfused and in the order of the scalar code, so the bits are those of `settle`.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 8
SPAN = 4 * WIDTH
"""Steps that `span_below` looks at: four vectors, so that their additions do not wait for each other."""


@intrinsic
def steps_below(_typing_context, x, s, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1):
    """Bit i is set where w0 x[f0 + s + i] + w1 x[f1 + s + i] + w2 x[f2 + s + i] < d0 x[g0 + s + i] + d1 x[g1 + s + i].

    x: C-contiguous float64 array, addressed by flat element offsets f0.. (int64); s + 8 must not run past a row.
    """
    signature = types.int64(x, *(types.int64,) * 6, *(types.float64,) * 5)

    def generate(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        double, long = ir.DoubleType(), ir.IntType(64)
        vector = ir.VectorType(double, WIDTH)
        step = args[1]

        def load(offset):
            address = builder.bitcast(builder.gep(data, [builder.add(offset, step)]), vector.as_pointer())
            value = builder.load(address)
            value.align = 8
            return value

        def spread(scalar):
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

        def weighted(legs):
            total = None
            for offset, weight in legs:
                term = builder.fmul(spread(weight), load(offset))
                total = term if total is None else builder.fadd(total, term)
            return total

        margin = weighted(zip(args[2:5], args[7:10], strict=True))
        owed = weighted(zip(args[5:7], args[10:12], strict=True))
        bits = builder.bitcast(builder.fcmp_ordered("<", margin, owed), ir.IntType(WIDTH))
        return builder.zext(bits, long)

    return signature, generate


@intrinsic
def span_below(_typing_context, x, s, padded, offset, weight, n_collateral, n_legs):
    """`steps_below` for any number of legs and the SPAN steps from s on (bits of steps past `padded` are 0).

    x, offset (int64, elements of x) and weight (float64) are C-contiguous; collateral legs come first. padded: a
    multiple of 8, the length of a row of x.
    """
    signature = types.int64(x, *(types.int64,) * 2, offset, weight, *(types.int64,) * 2)

    def generate(context, builder, sig, args):
        data, where, weights = (context.make_array(sig.args[i])(context, builder, args[i]).data for i in (0, 3, 4))
        double, long = ir.DoubleType(), ir.IntType(64)
        vector = ir.VectorType(double, WIDTH)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
        step, row, n_collateral, n_legs = args[1], args[2], args[5], args[6]
        last = builder.sub(row, long(WIDTH))
        starts = []
        for k in range(SPAN // WIDTH):
            at = builder.add(step, long(k * WIDTH))
            # Past the row the last vector is read again, and its bits dropped below.
            starts.append(builder.select(builder.icmp_signed("<", at, last), at, last))

        def total(begin, end):
            sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in starts]
            with cgutils.for_range_slice(builder, begin, end, long(1)) as (leg, _):
                one = builder.insert_element(
                    ir.Constant(vector, ir.Undefined), builder.load(builder.gep(weights, [leg])), ir.IntType(32)(0)
                )
                spread = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)
                offset = builder.load(builder.gep(where, [leg]))
                for sum_, at in zip(sums, starts, strict=True):
                    address = builder.bitcast(builder.gep(data, [builder.add(offset, at)]), vector.as_pointer())
                    value = builder.load(address)
                    value.align = 8
                    builder.store(builder.fadd(builder.load(sum_), builder.fmul(spread, value)), sum_)
            return [builder.load(sum_) for sum_ in sums]

        margin, owed = total(long(0), n_collateral), total(n_collateral, n_legs)
        bits = long(0)
        for k, (left, right) in enumerate(zip(margin, owed, strict=True)):
            mask = builder.bitcast(builder.fcmp_ordered("<", left, right), ir.IntType(WIDTH))
            bits = builder.or_(bits, builder.shl(builder.zext(mask, long), long(k * WIDTH)))
        ahead = builder.sub(row, step)
        ahead = builder.select(builder.icmp_signed("<", ahead, long(SPAN)), ahead, long(SPAN))
        inside = builder.sub(builder.shl(long(1), ahead), long(1))
        return builder.and_(bits, inside)

    return signature, generate


@intrinsic
def lowest_bit(_typing_context, bits):
    """Index of the lowest set bit of a non-zero int64."""

    def generate(context, builder, sig, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    # `make coverage`: the same three in plain Python, which numba's intrinsics do not run in.

    def steps_below(x, s, f0, f1, f2, g0, g1, w0, w1, w2, d0, d1):  # type: ignore[misc]
        flat = x.reshape(-1)
        row = [flat[f + s : f + s + WIDTH] for f in (f0, f1, f2, g0, g1)]
        below = w0 * row[0] + w1 * row[1] + w2 * row[2] < d0 * row[3] + d1 * row[4]
        return sum(1 << i for i in range(WIDTH) if below[i])

    def span_below(x, s, padded, offset, weight, n_collateral, n_legs):  # type: ignore[misc]
        length = min(padded - s, SPAN)
        margin, owed = np.zeros(length), np.zeros(length)
        for k in range(n_legs):
            side = margin if k < n_collateral else owed
            side += weight[k] * x[offset[k] + s : offset[k] + s + length]
        return sum(1 << i for i in range(length) if margin[i] < owed[i])

    def lowest_bit(bits):  # type: ignore[misc]
        return (int(bits) & -int(bits)).bit_length() - 1
