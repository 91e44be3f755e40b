"""Irregular global pruning: the k largest weights of all kernels together (thesis, eq. 6)."""

import tensorflow as tf


def irregular(kernels, k):
    """argmin_Z sum_l ||W_l - Z_l||^2  subject to  sum_l ||Z_l||_0 <= k.

    The k largest |w| stay. They are chosen by index, so ties still leave exactly k.

    Args:
      kernels: list of tensors W_l of any shapes, N weights together.
      k: weights to keep, an int or int tensor in [0, N].

    Returns:
      list of tensors Z_l with the shapes of W_l.
    """
    flat = tf.concat([tf.reshape(w, [-1]) for w in kernels], 0)  # [N]
    kept = tf.math.top_k(tf.abs(flat), k, sorted=False).indices  # [k]
    flat = tf.scatter_nd(kept[:, None], tf.gather(flat, kept), tf.shape(flat))
    pieces = tf.split(flat, [w.shape.num_elements() for w in kernels])
    return [tf.reshape(piece, w.shape) for piece, w in zip(pieces, kernels)]
