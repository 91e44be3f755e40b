"""Irregular pruning: single weights, the largest of all kernels together (thesis, eq. 6)."""

import math

import tensorflow as tf


def top(scores, m):
    """0/1 mask of exactly the m largest scores; of scores equal to the m-th largest, the first ones stay.

    Takes time linear in N for every m, since it counts and does not sort: floats >= 0 have the same order as their bits
    read as integers, so that a histogram of the upper 16 bits and one of the lower 16 bits find the m-th largest.

    Args:
      scores: float32 [N], none negative.
      m: an int or int tensor in [0, N].
    """
    bits, m = tf.bitcast(tf.abs(scores), tf.int32), tf.cast(m, tf.int32)  # abs: -0.0 has the sign bit
    upper = tf.bitwise.right_shift(bits, 16)
    edge, rest = _edge(tf.math.bincount(upper), tf.maximum(m, 1))
    lower = tf.bitwise.bitwise_and(tf.boolean_mask(bits, upper == edge), 2**16 - 1)
    lower_edge, rest = _edge(tf.math.bincount(lower), rest)
    threshold = edge * 2**16 + lower_edge  # the bits of the m-th largest
    equal = bits == threshold
    kept = (bits > threshold) | (equal & (tf.cumsum(tf.cast(equal, tf.int32)) <= rest))
    return tf.cast(kept & (m > 0), scores.dtype)


def _edge(counts, m):
    """(bin of the m-th largest, how many of that bin are among the m largest), for the counts of the bins."""
    above = tf.cumsum(counts, reverse=True, exclusive=True)
    edge = tf.math.count_nonzero(above >= m, dtype=tf.int32)
    return edge, m - above[edge]


def irregular(kernels, k, floor=0.0, scales=None):
    """argmin_Z sum_l ||W_l - Z_l||^2 / s_l^2  subject to  sum_l ||Z_l||_0 <= k  and  ||Z_l||_0 >= floor * d_l.

    The k largest |w| / s_l stay; with a floor, each kernel first keeps its floor * d_l largest, and the rest of k goes
    to the largest of the others. Exact in both cases.

    Args:
      kernels: list of tensors W_l of any shapes with d_l weights, N together.
      k: weights to keep, an int in [0, N], or without a floor an int tensor.
      floor: smallest fraction of each kernel that stays; rounded up to whole weights, so 0 reserves none.
      scales: s_l for each kernel, scalars >= 0; of a kernel with 0 no weight counts more than zero. Default: all 1.

    Returns:
      list of tensors Z_l with the shapes of W_l. Raises ValueError if the floors exceed k.
    """
    sizes = [w.shape.num_elements() for w in kernels]
    scores = [tf.reshape(tf.abs(w), [-1]) for w in kernels]
    if scales is not None:
        scores = [tf.math.divide_no_nan(score, s) for score, s in zip(scores, scales)]
    if floor:
        reserved = [math.ceil(floor * size - 1e-9) for size in sizes]
        if sum(reserved) > int(k):
            raise ValueError(f"expected k >= {sum(reserved)}, the sum of the layers' floors; got {int(k)}")
        scores = [tf.where(top(score, m) > 0, float("inf"), score) for score, m in zip(scores, reserved)]
    masks = tf.split(top(tf.concat(scores, 0), k), sizes)
    return [w * tf.reshape(mask, w.shape) for w, mask in zip(kernels, masks)]
