"""From int32 sums to int8: M s rounded, as each family of TFLite kernels does it, and bounds that hold for all.

s is a sum of products in a convolution or dense layer, M = scale_in * scale_kernel / scale_out of its output channel.

twice      M ~ q 2^e / 2^31 with whole q, 2^30 <= q < 2^31; s q / 2^31 is rounded, ties away from zero, and where e < 0
           rounded once more after the division by 2^-e
twice_up   as twice, with both ties up
once       the same q and e; s q / 2^(31 - e) is rounded once, ties up
in_float   M and s become float32, and their float32 product is rounded, ties to even

`covering` gives whole numbers between which lies what any of them returns, and any kernel with these properties: it
approximates M s with a relative error of at most 2^-21 and an absolute error of at most 2^min(e, 0) (where an
intermediate value is truncated before it is divided by 2^-e, as ARM's doubling multiplication does; with e > 0 it is s
that is multiplied, by 2^e and exactly), then rounds to a nearest number, ties either way. The errors of twice and
twice_up are 2^-31 and 2^e / 2, those of once 2^-31 and 0, those of in_float five times 2^-24 (three scales, the sum,
the product) and 0. Where e < -31 fixed-point kernels return 0, and |M s| is below 1/2 there.
"""

import numpy as np
import tensorflow as tf

RELATIVE = 2.0**-21
INT32 = 2**31


def multiplier(scale_in, scale_kernel, scale_out):
    """M in double precision, from the float32 scales in the file [channels]."""
    return np.float64(scale_in) * scale_kernel.astype(np.float64) / np.float64(scale_out)


def error(M, r):
    """By how much any family misses r = M s at most before it rounds to a whole number: 2^min(e, 0) + 2^-21 |r|."""
    return np.exp2(np.minimum(np.frexp(M)[1], 0)) + RELATIVE * abs(r)


def covering(low, high, kind, scale_in, scale_kernel, scale_out):
    """(low, high), whole, of M s rounded by any family, for sums s in [low, high]; float64 tensors [..., channels]."""
    M = multiplier(scale_in, scale_kernel, scale_out)
    low, high = low * M, high * M
    return tf.math.ceil(low - 0.5 - error(M, low)), tf.math.floor(high + 0.5 + error(M, high))


def emulating(family):
    """As `covering`, for the kernels of one family; the ends are rounded each for itself, as rounding is monotone."""

    def rounded(low, high, kind, *scales):
        return tuple(tf.constant(FAMILIES[family][kind](side.numpy(), *scales), tf.float64) for side in (low, high))

    return rounded


def fixed_point(M):
    """(q, e): M ~ q 2^e / 2^31, as TFLite's QuantizeMultiplier."""
    fraction, e = np.frexp(M)
    q = np.floor(fraction * INT32 + 0.5).astype(np.int64)
    e = np.where(q == INT32, e + 1, e)
    q = np.where(q == INT32, INT32 // 2, q)
    return np.where(e < -31, 0, q), np.where(e < -31, 0, e).astype(np.int64)


def twice(s, scale_in, scale_kernel, scale_out):
    q, e = fixed_point(multiplier(scale_in, scale_kernel, scale_out))
    left, right = np.maximum(e, 0), np.maximum(-e, 0)
    product = (s.astype(np.int64) << left) * q
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))  # division towards zero
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + ((high & mask) > threshold)


def twice_up(s, scale_in, scale_kernel, scale_out):
    q, e = fixed_point(multiplier(scale_in, scale_kernel, scale_out))
    left, right = np.maximum(e, 0), np.maximum(-e, 0)
    high = ((s.astype(np.int64) << left) * q + (1 << 30)) >> 31
    return (high + ((np.int64(1) << right) >> 1)) >> right


def once(s, scale_in, scale_kernel, scale_out):
    q, e = fixed_point(multiplier(scale_in, scale_kernel, scale_out))
    shift = 31 - e
    return (s.astype(np.int64) * q + (np.int64(1) << (shift - 1))) >> shift


def in_float(s, scale_in, scale_kernel, scale_out):
    M = np.float32(scale_in) * scale_kernel / np.float32(scale_out)
    return np.rint(s.astype(np.float32) * M).astype(np.int64)


# How each family of kernels rounds, by operation: seen to be bit-exact with ai-edge-litert 2.3 on x86
# (tests/certification/test_integers.py).
FAMILIES = {
    "reference": {"CONV_2D": twice, "DEPTHWISE_CONV_2D": twice, "FULLY_CONNECTED": once},
    "built_in": {"CONV_2D": twice, "DEPTHWISE_CONV_2D": twice_up, "FULLY_CONNECTED": twice},
    "xnnpack": {"CONV_2D": in_float, "DEPTHWISE_CONV_2D": in_float, "FULLY_CONNECTED": in_float},
}
