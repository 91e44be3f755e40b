"""Dropping whole output filters: the columns of a kernel's matrix [inputs, outputs]."""

import numpy as np
import tensorflow as tf

from robust_tf.projections.irregular import irregular


def matrix(w):
    """A kernel as a NumPy matrix [inputs, outputs]: [h * w * in, out] for convolutions."""
    w = np.asarray(w)
    return w.reshape(-1, w.shape[-1])


def within_budget(kernels, k, score):
    """Zeroes the filters of least score until at most k weights are left; then single weights if that is not enough.

    Every layer keeps at least one filter; the last layer, the classifier, keeps all. If one filter per layer is more
    than k weights (LeNet's classifier alone has 5,000), filters are dropped down to N (k / N)^(1/4) weights, and the k
    largest of those stay [ours]: a layer with a share s of its inputs and of its filters has s^2 of its work, and with
    s^2 = (k / N)^(1/2) both steps reduce the work equally.

    Args:
      kernels: list of tensors W_l, N weights together.
      k: weights to keep, an int.
      score: function (matrix [inputs, filters]) -> [filters]; of equal scores the lower index stays.

    Returns:
      list of NumPy arrays Z_l with the shapes of W_l.
    """
    Z = [np.array(w) for w in kernels]
    columns = [matrix(z) for z in Z]  # views into Z
    alive = [column.any(axis=0) for column in columns]
    size = [len(column) for column in columns]
    last = len(Z) - 1
    target = int(k)
    least = sum(size[:last]) + Z[last].size
    if least > k:
        N = sum(z.size for z in Z)
        target = max(least, int(N * (k / N) ** 0.25))

    kept = sum(size[i] * int(alive[i].sum()) for i in range(last)) + Z[last].size
    scores = [score(column) for column in columns[:last]]
    filters = [(i, j) for i in range(last) for j in reversed(np.flatnonzero(alive[i]))]
    left = [int(a.sum()) for a in alive]
    for i, j in sorted(filters, key=lambda filter: scores[filter[0]][filter[1]]):
        if kept <= target:
            break
        if left[i] > 1:
            columns[i][:, j] = 0
            kept -= size[i]
            left[i] -= 1
    return Z if least <= k else [z.numpy() for z in irregular([tf.constant(z) for z in Z], k)]
