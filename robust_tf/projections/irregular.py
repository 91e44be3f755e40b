"""Irregular pruning: single weights, the largest of all kernels together (thesis, eq. 6)."""

import math

import tensorflow as tf


def top(scores, m):
    """0/1 mask of the m largest scores of a vector, chosen by index, so that ties still leave exactly m."""
    kept = tf.math.top_k(scores, m, sorted=False).indices  # [m]
    return tf.scatter_nd(kept[:, None], tf.ones_like(kept, scores.dtype), tf.shape(scores))


def irregular(kernels, k, floor=0.0):
    """argmin_Z sum_l ||W_l - Z_l||^2  subject to  sum_l ||Z_l||_0 <= k  and  ||Z_l||_0 >= floor * d_l.

    The k largest |w| stay; with a floor, each kernel's largest floor * d_l are reserved first, and the rest of k goes
    to the largest of what is left. Exact in both cases.

    Args:
      kernels: list of tensors W_l of any shapes with d_l weights, N together.
      k: weights to keep, an int in [0, N]; without a floor an int tensor too.
      floor: least fraction of each kernel that stays; rounded up to whole weights, so 0 reserves none.

    Returns:
      list of tensors Z_l with the shapes of W_l. Raises ValueError where the floors exceed k.
    """
    sizes = [w.shape.num_elements() for w in kernels]
    scores = [tf.reshape(tf.abs(w), [-1]) for w in kernels]
    if floor:
        reserved = [math.ceil(floor * size - 1e-9) for size in sizes]
        if sum(reserved) > int(k):
            raise ValueError(f"expected k >= {sum(reserved)}, the sum of the layers' floors; got {int(k)}")
        scores = [tf.where(top(score, m) > 0, float("inf"), score) for score, m in zip(scores, reserved)]
    masks = tf.split(top(tf.concat(scores, 0), k), sizes)
    return [w * tf.reshape(mask, w.shape) for w, mask in zip(kernels, masks)]
