"""Low rank: kernels that are products of two thin matrices (ALR of Gui et al., section 3).

The paper factorises into separable filters (Tai et al.); here, as in the paper's code, it is a plain SVD.
"""

import numpy as np
import tensorflow as tf

from robust_tf.projections import RANK_RULES
from robust_tf.projections.filters import matrix

RESOLUTION = 20_000  # units of the budget in `relative`; up to so many weights it is exact


def low_rank(kernels, k, rank_rule="relative", exempt=()):
    """Z_l of rank r_l near W_l, whose thin factors have at most k weights together.

    Z_l is the truncated SVD of W_l's matrix [inputs, outputs], the nearest matrix of that rank. A layer stays whole if
    its factors, r_l * (inputs + outputs) weights, are not smaller than its kernel.

    Args:
      kernels: list of tensors W_l.
      k: weights of all factors and of the kernels that stay whole, an int.
      rank_rule: name in `projections.RANK_RULES`, which chooses the ranks r_l >= 1.
      exempt: indices of kernels that stay whole (depthwise ones).

    Returns:
      list of tensors Z_l with the shapes of W_l. Raises ValueError if rank 1 in every layer takes more than k.
    """
    Z = []
    for w, rank in zip(kernels, ranks(kernels, k, rank_rule, exempt)):
        left, right = (None, None) if rank is None else factors(w, rank)
        Z.append(tf.convert_to_tensor(w) if rank is None else tf.constant((left @ right).reshape(w.shape)))
    return Z


def factors(w, rank):
    """P sqrt(S) [inputs, rank] and sqrt(S) Q^T [rank, outputs] of the truncated SVD of a kernel's matrix."""
    P, S, Q = np.linalg.svd(matrix(w), full_matrices=False)
    root = np.sqrt(S[:rank])
    return P[:, :rank] * root, root[:, None] * Q[:rank]


def ranks(kernels, k, rank_rule="relative", exempt=()):
    """The rank of each kernel, None if it stays whole; raises ValueError if rank 1 in every layer takes more than k."""
    layers = [Spectrum(matrix(w), i in exempt) for i, w in enumerate(kernels)]
    least = sum(layer.costs[0] for layer in layers)
    if least > k:
        raise ValueError(f"expected k >= {least}, the weights at rank 1 in every layer; got {int(k)}")
    chosen = RANK_RULES[rank_rule](layers, int(k))
    return [layer.rank(choice) for layer, choice in zip(layers, chosen)]


class Spectrum:
    """The choices for a layer, from rank 1 upwards; the last one is the whole kernel.

    costs: weights of each choice.
    energies: ||Z_l||^2 / ||W_l||^2 of each choice, the part of the squared singular values that it keeps.
    values: the singular values; none if the layer is exempt.
    """

    def __init__(self, M, exempt):
        self.values = np.zeros(0) if exempt else np.linalg.svd(M, compute_uv=False).astype(float)
        thin = np.arange(1, len(self.values) + 1) * sum(M.shape)
        self.thin = int((thin < M.size).sum())  # choices that are smaller than the kernel
        self.costs = np.append(thin[: self.thin], M.size)
        whole = np.sum(M.astype(float) ** 2)
        self.energies = np.append(np.cumsum(self.values**2)[: self.thin], whole) / max(whole, 1e-30)

    def rank(self, choice):
        return choice + 1 if choice < self.thin else None


def relative(layers, k):
    """The choices with the least sum of relative errors, sum_l ||W_l - Z_l||^2 / ||W_l||^2 [ours].

    A dynamic programme over the budget. Absolute errors would spend all on the largest kernels: a batch norm or the
    next layer undoes the scale of a kernel, not its rank. Beyond RESOLUTION weights the budget is divided into as many
    units, costs are rounded up to whole units, and what that leaves is spent on the choices that keep most.
    """
    left = k - sum(layer.costs[0] for layer in layers)
    unit = left // RESOLUTION + 1
    kept, picks = np.zeros(left // unit + 1), []
    for layer in layers:
        best, pick = np.full(len(kept), -np.inf), np.zeros(len(kept), int)
        for choice, energy in enumerate(layer.energies):
            units = -(-(layer.costs[choice] - layer.costs[0]) // unit)
            if units < len(kept):
                gain = kept[: len(kept) - units] + energy
                better = gain > best[units:]
                best[units:][better], pick[units:][better] = gain[better], choice
        kept = best
        picks.append(pick)
    chosen, at = [0] * len(layers), int(kept.argmax())
    for i in reversed(range(len(layers))):
        chosen[i] = int(picks[i][at])
        at += (layers[i].costs[0] - layers[i].costs[chosen[i]]) // unit  # rounds the units up
    return spent(layers, k, chosen)


def spent(layers, k, chosen):
    """`chosen` with the next choice of a layer, of those that still fit the one that keeps most, again and again."""
    while True:
        left = k - sum(layer.costs[choice] for layer, choice in zip(layers, chosen))
        gains = {
            i: layer.energies[choice + 1] - layer.energies[choice]
            for i, (layer, choice) in enumerate(zip(layers, chosen))
            if choice < layer.thin and layer.costs[choice + 1] - layer.costs[choice] <= left
        }
        if not gains:
            return chosen
        chosen[max(gains, key=gains.get)] += 1


def largest(layers, k):
    """The largest singular values of all layers together, as many as k allows, at least one a layer; the rule of Gui et
    al.'s published code. It ends at the first value that does not fit, and may leave much of k."""
    owner = np.concatenate([np.full(len(layer.values), i) for i, layer in enumerate(layers)]).astype(int)
    owner = owner[np.argsort(-np.concatenate([layer.values for layer in layers]), kind="stable")]

    def choices(n):
        counts = np.bincount(owner[:n], minlength=len(layers))
        return [int(min(max(count - 1, 0), layer.thin)) for count, layer in zip(counts, layers)]

    def fits(n):
        return sum(layer.costs[choice] for layer, choice in zip(layers, choices(n))) <= k

    low, high = 0, len(owner) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return choices(low)
