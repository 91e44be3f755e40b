"""Low rank: kernels that are products of two thin matrices (ALR of Gui et al., section 4).

The paper factorises into separable filters (Tai et al.); here, as in the paper's code, it is a plain SVD.
"""

import numpy as np
import tensorflow as tf

from robust_tf.projections.filters import matrix


def low_rank(kernels, k, exempt=()):
    """Z_l of rank r_l near W_l, whose thin factors have at most k weights together.

    Z_l is the truncated SVD of W_l's matrix [inputs, outputs], the nearest matrix of that rank. The ranks r_l >= 1
    follow from keeping the largest singular values of all layers together: a heuristic. A layer stays whole if its
    factors, r_l * (inputs + outputs) weights, are not smaller than its kernel.

    Args:
      kernels: list of tensors W_l.
      k: weights of all factors and of the kernels that stay whole, an int.
      exempt: indices of kernels that stay whole (depthwise ones).

    Returns:
      list of tensors Z_l with the shapes of W_l. Raises ValueError if rank 1 in every layer takes more than k.
    """
    Z = []
    for w, rank in zip(kernels, ranks(kernels, k, exempt)):
        left, right = (None, None) if rank is None else factors(w, rank)
        Z.append(tf.convert_to_tensor(w) if rank is None else tf.constant((left @ right).reshape(w.shape)))
    return Z


def factors(w, rank):
    """P sqrt(S) [inputs, rank] and sqrt(S) Q^T [rank, outputs] of the truncated SVD of a kernel's matrix."""
    P, S, Q = np.linalg.svd(matrix(w), full_matrices=False)
    root = np.sqrt(S[:rank])
    return P[:, :rank] * root, root[:, None] * Q[:rank]


def ranks(kernels, k, exempt=()):
    """The rank of each kernel, None if it stays whole: as many of the largest singular values as k allows."""
    matrices = [matrix(w) for w in kernels]
    spectra = {i: np.linalg.svd(m, compute_uv=False) for i, m in enumerate(matrices) if i not in exempt}
    layer = np.concatenate([np.full(len(s), i) for i, s in spectra.items()] or [[]]).astype(int)
    layer = layer[np.argsort(-np.concatenate([*spectra.values(), []]), kind="stable")]

    def cost(n):
        """Weights with the n largest singular values, and the ranks (None: whole)."""
        kept = {i: max(1, count) for i, count in enumerate(np.bincount(layer[:n], minlength=len(matrices)))}
        thin = {i: kept[i] * sum(m.shape) for i, m in enumerate(matrices) if i in spectra}
        rank = [kept[i] if thin.get(i, m.size) < m.size else None for i, m in enumerate(matrices)]
        return sum(min(thin.get(i, m.size), m.size) for i, m in enumerate(matrices)), rank

    if cost(0)[0] > k:
        raise ValueError(f"expected k >= {cost(0)[0]}, the weights at rank 1 in every layer; got {int(k)}")
    fits, excess = 0, len(layer) + 1
    while excess - fits > 1:
        middle = (fits + excess) // 2
        fits, excess = (middle, excess) if cost(middle)[0] <= k else (fits, middle)
    return cost(fits)[1]
