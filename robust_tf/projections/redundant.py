"""Redundant filters: of two similar filters one is dropped (thesis, 3.2.1).

The thesis compares kernels of different layers and moves similar ones apart; here filters of one layer are compared,
and similar ones are dropped [ours].
"""

import numpy as np
import tensorflow as tf

from robust_tf.projections.filters import matrix, within_budget


def redundant(kernels, k, phi=0.0):
    """Keeps filters that are at least `phi` apart within each layer, and at most k weights.

    The distance of filters a and b is ||a - b|| / max(||a||, ||b||). Of each pair closer than phi the smaller filter is
    dropped, the closest pair first. Then, until k is reached, the filters with the smallest mean distance to the others
    of their layer are dropped, as in pruning by the geometric median (He et al., arXiv 1811.00250), the same share of
    each layer, see `filters.within_budget`. A heuristic, not the nearest point.

    Args:
      kernels: list of tensors W_l; the last is the classifier's, whose filters all stay.
      k: weights to keep, an int.
      phi: smallest distance of two filters; 0 drops none for their distance.

    Returns:
      list of tensors Z_l with the shapes of W_l.
    """
    W = [np.array(w) for w in kernels]
    while True:  # zeroing single weights may bring filters closer than phi again
        Z = within_budget([*(apart(w, phi) for w in W[:-1]), W[-1]], k, originality)
        if all(np.array_equal(w, z) for w, z in zip(W, Z)):
            return [tf.constant(z) for z in Z]
        W = Z


def distances(columns):
    """||a - b|| / max(||a||, ||b||) of all pairs of columns, [filters, filters]; 0 for two zeros."""
    norm = np.linalg.norm(columns, axis=0)
    between = np.stack([np.linalg.norm(columns - columns[:, [j]], axis=0) for j in range(columns.shape[1])])
    return between / np.maximum(np.maximum(norm, norm[:, None]), np.finfo(np.float32).tiny)


def apart(w, phi):
    """The kernel with the smaller filter of each pair closer than phi zeroed; of equal ones the later."""
    z = w.copy()
    columns = matrix(z)
    if phi == 0:
        return z
    norm, distance = np.linalg.norm(columns, axis=0), distances(columns)
    pairs = [(distance[i, j], i, j) for i in range(len(norm)) for j in range(i) if distance[i, j] < phi]
    alive = np.ones(len(norm), bool)
    for _, i, j in sorted(pairs):  # j < i
        if alive[i] and alive[j]:
            dropped = j if norm[j] < norm[i] else i
            alive[dropped] = False
            columns[:, dropped] = 0
    return z


def originality(columns):
    """The rank of each non-zero filter of a layer by its mean distance to the others, in [0, 1); 0 for zeros.

    The distances themselves grow with the number of inputs: compared across layers, they would empty the layer with the
    smallest filters first.
    """
    alive = columns.any(axis=0)
    distance = np.add.reduce(distances(columns)[alive][:, alive])  # the mean has the same order
    place = np.argsort(np.argsort(-distance, kind="stable"))  # 0: the most original
    ranks = np.zeros(len(alive))
    ranks[alive] = 1 - (place + 1) / alive.sum()
    return ranks
