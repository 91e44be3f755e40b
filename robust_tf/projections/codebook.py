"""Quantisation as a constraint: few distinct values per kernel, one of them zero (Gui et al., future work)."""

import numpy as np
import tensorflow as tf

from robust_tf.projections.irregular import irregular


def codebook(kernels, k, bits=8, rounds=100):
    """Z_l of at most 2^bits values, zero among them, near W_l, with sum_l ||Z_l||_0 <= k.

    First the k largest weights of all kernels are kept. Then Lloyd's algorithm replaces the non-zeros of each kernel by
    2^bits - 1 centres; zeros stay zero. A heuristic: the two steps are independent, and Lloyd's algorithm finds a local
    optimum.

    Args:
      kernels: list of tensors W_l.
      k: weights to keep, an int.
      bits: bits of an index into the codebook.
      rounds: largest number of iterations of Lloyd's algorithm.

    Returns:
      list of tensors Z_l with the shapes of W_l.
    """
    return [
        tf.reshape(tf.constant(clustered(z.numpy().ravel(), 2**bits - 1, rounds)), z.shape)
        for z in irregular(kernels, k)
    ]


def clustered(values, centres, rounds):
    """Replaces the non-zeros of a vector by the nearest of `centres` values fitted to them (Lloyd, 1982)."""
    kept = values[values != 0]
    if len(np.unique(kept)) <= centres:
        return values
    centre = np.quantile(kept, np.linspace(0, 1, centres))
    for _ in range(rounds):
        nearest = np.searchsorted((centre[1:] + centre[:-1]) / 2, kept)  # [non-zeros]
        count = np.bincount(nearest, minlength=centres)
        total = np.bincount(nearest, kept, minlength=centres)
        moved = np.sort(np.where(count > 0, total / np.maximum(count, 1), centre))
        if np.array_equal(moved, centre):
            break
        centre = moved
    out = np.zeros_like(values)
    out[values != 0] = centre[np.searchsorted((centre[1:] + centre[:-1]) / 2, kept)]
    return out
