"""Redundant filters: of filters that nearly repeat each other one stays (thesis, 3.2.1).

The thesis' set compares kernels of different layers and is met by pushing them apart; here filters of one layer are
compared, and what repeats is dropped [ours].
"""

import numpy as np
import tensorflow as tf

from robust_tf.projections.filters import matrix, within_budget


def redundant(kernels, k, phi=0.0):
    """Filters of each layer at least `phi` apart, and at most k weights.

    The distance of filters a and b is ||a - b|| / max(||a||, ||b||). Pairs below phi lose their smaller member, the
    nearest pair first. Then, until k is reached, the filters go whose mean distance to the others of their layer is
    least, as in pruning by the geometric median (He et al., arXiv 1811.00250), from all layers the same share, see
    `filters.within_budget`. A heuristic, not the nearest point.

    Args:
      kernels: list of tensors W_l; the last is the classifier's, whose filters all stay.
      k: weights to keep, an int.
      phi: least distance of two filters; 0 drops none for being near.

    Returns:
      list of tensors Z_l with the shapes of W_l.
    """
    W = [np.array(w) for w in kernels]
    while True:  # taking single weights away may bring filters nearer than phi again
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
    """The kernel with one filter of each pair nearer than phi zeroed: the smaller, among equals the later."""
    z = w.copy()
    columns = matrix(z)
    if phi == 0:
        return z
    norm, distance = np.linalg.norm(columns, axis=0), distances(columns)
    pairs = [(distance[i, j], i, j) for i in range(len(norm)) for j in range(i) if distance[i, j] < phi]
    alive = norm > 0
    for _, i, j in sorted(pairs):  # j < i
        if alive[i] and alive[j]:
            dropped = j if norm[j] < norm[i] else i
            alive[dropped] = False
            columns[:, dropped] = 0
    return z


def typical_distance(columns):
    """Mean distance of each column to the non-zero others."""
    alive = columns.any(axis=0)
    others = alive.sum() - 1
    return distances(columns)[:, alive].sum(axis=1) / max(others, 1)


def originality(columns):
    """The place of each filter among the non-zero ones of its layer by `typical_distance`, a fraction in [0, 1).

    Distances themselves grow with the number of inputs: across layers they would empty the one with the smallest
    filters first.
    """
    alive = columns.any(axis=0)
    distance = np.where(alive, typical_distance(columns), -1.0)
    place = np.argsort(np.argsort(-distance, kind="stable"), kind="stable")  # 0: the most original
    return 1 - (place + 1) / max(alive.sum(), 1)
