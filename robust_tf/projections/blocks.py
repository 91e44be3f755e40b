"""Pruning in the patterns of sparse matrix kernels: n of m, and blocks along the inputs.

A kernel is seen as a matrix [inputs, outputs]: [h * w * in, out] for convolutions, [in, out] for dense layers.
"""

import tensorflow as tf

from robust_tf.projections.irregular import top


def grouped(w, size):
    """Runs of `size` consecutive inputs of each output, [groups, size, out]; the last run is padded with zeros."""
    matrix = tf.reshape(w, (-1, w.shape[-1]))
    padding = -matrix.shape[0] % size
    return tf.reshape(tf.pad(matrix, [(0, padding), (0, 0)]), (-1, size, w.shape[-1]))


def ungrouped(groups, shape):
    """The inverse of `grouped`."""
    matrix = tf.reshape(groups, (-1, shape[-1]))
    return tf.reshape(matrix[: tf.reduce_prod(shape[:-1])], shape)


def n_of_m(kernels, k, n=2, m=4):
    """argmin_Z sum_l ||W_l - Z_l||^2  subject to  at most n non-zeros among m consecutive inputs of an output.

    Args:
      kernels: list of tensors W_l.
      k: largest number of weights, an int; the pattern alone decides how many stay.
      n, m: the pattern.

    Returns:
      list of tensors Z_l with the shapes of W_l. Raises ValueError if the pattern may keep more than k weights.
    """
    # Computed from the shapes: the pattern must fit into k for any weights.
    most = 0
    for w in kernels:
        inputs = w.shape.num_elements() // w.shape[-1]
        most += w.shape[-1] * (inputs // m * n + min(inputs % m, n))
    if most > k:
        raise ValueError(f"expected k >= {most}, the weights that {n} of {m} may keep; got {int(k)}")
    Z = []
    for w in kernels:
        groups = tf.transpose(grouped(w, m), (0, 2, 1))  # [groups, out, m]
        order = tf.argsort(tf.argsort(-tf.abs(groups), stable=True))  # rank within the group
        groups = tf.where(order < n, groups, tf.zeros_like(groups))
        Z.append(ungrouped(tf.transpose(groups, (0, 2, 1)), w.shape))
    return Z


def block(kernels, k, block_size=4):
    """argmin_Z sum_l ||W_l - Z_l||^2  subject to  at most k // block_size blocks of block_size consecutive
    inputs being non-zero.

    The blocks with the largest norms of all kernels stay; a shorter block at the end of a column counts as a whole one.

    Args:
      kernels: list of tensors W_l.
      k: weights to keep, an int.
      block_size: inputs in a block; TFLite's sparse dense kernels need 4 (float) or 16 (int8).

    Returns:
      list of tensors Z_l with the shapes of W_l; W itself if k is the number of all weights. Raises ValueError if k
      is less than a block.
    """
    if k >= sum(w.shape.num_elements() for w in kernels):
        return [tf.convert_to_tensor(w) for w in kernels]
    if k < block_size:
        raise ValueError(f"expected k >= {block_size}, one block; got {int(k)}")
    groups = [grouped(w, block_size) for w in kernels]
    norms = [tf.reshape(tf.norm(g, axis=1), [-1]) for g in groups]  # [groups * out]
    kept = top(tf.concat(norms, 0), min(int(k) // block_size, sum(len(n) for n in norms)))
    masks = tf.split(kept, [len(n) for n in norms])
    return [
        ungrouped(g * tf.reshape(mask, (g.shape[0], 1, g.shape[2])), w.shape)
        for g, mask, w in zip(groups, masks, kernels)
    ]
