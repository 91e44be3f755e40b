"""Irregular pruning of each kernel by itself: every layer keeps the same fraction (thesis, 3.2.1)."""

import numpy as np
import tensorflow as tf

from robust_tf.projections.irregular import top


def per_layer(kernels, k, exempt=()):
    """argmin_Z sum_l ||W_l - Z_l||^2  subject to  ||Z_l||_0 <= m_l, with m_l proportional to d_l and sum_l m_l = k.

    Each kernel keeps its m_l largest |w|. Exempt kernels stay dense but count towards k: a tenth of a 3x3 depthwise
    kernel would be less than one weight per channel.

    Args:
      kernels: list of tensors W_l with d_l weights.
      k: weights to keep, an int.
      exempt: indices of kernels that stay dense.

    Returns:
      list of tensors Z_l with the shapes of W_l. Raises ValueError if k is too small for that.
    """
    sizes = {i: w.shape.num_elements() for i, w in enumerate(kernels)}
    dense = sum(sizes.pop(i) for i in exempt)
    if k < dense + len(sizes):
        least = dense + len(sizes)
        raise ValueError(f"expected k >= {least}, the exempt weights and one for each other layer; got {int(k)}")
    m = dict(zip(sizes, proportional(list(sizes.values()), int(k) - dense)))
    return [
        w * tf.reshape(top(tf.reshape(tf.abs(w), [-1]), m[i]), w.shape) if i in m else tf.convert_to_tensor(w)
        for i, w in enumerate(kernels)
    ]


def proportional(sizes, k):
    """Shares m_l >= 1 of k, proportional to the sizes up to rounding (largest remainders); their sum is k."""
    sizes = np.asarray(sizes)
    exact = k * sizes / sizes.sum()
    m = np.maximum(np.floor(exact).astype(int), 1)
    missing = k - m.sum()
    for _ in range(missing):  # fewer rounds than layers
        m[np.argmax(np.where(m < sizes, exact - m, -np.inf))] += 1
    for _ in range(-missing):  # layers that were raised to 1
        m[np.argmax(np.where(m > 1, m - exact, -np.inf))] -= 1
    return m.tolist()
