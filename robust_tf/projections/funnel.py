"""Funnel pruning: deeper layers keep a smaller fraction of their weights (thesis, 3.2.1)."""

import numpy as np
import tensorflow as tf

from robust_tf.projections.irregular import top


def funnel(kernels, k, delta=None, exempt=(), pooled=()):
    """argmin_Z sum_l ||W_l - Z_l||^2  s.t.  m_l/d_l - m_{l+1}/d_{l+1} >= delta > 0,  sum_l m_l <= k,  m_l = ||Z_l||_0.

    The numbers m_l come from a Lagrange multiplier for the budget and dynamic programming along the chain of layers;
    the rest of the budget goes to the largest weights that the chain allows. Exact for budgets that some multiplier
    meets, otherwise approximate. Each layer keeps its m_l largest |w|. Kernels that are pooled count as one layer.

    Args:
      kernels: list of tensors W_l with d_l weights, N together, in forward order.
      k: weights to keep, an int; N means dense.
      delta: smallest decrease of the kept fraction from layer to layer; None means k / (2 N L) for L layers.
      exempt: indices of kernels that stay dense, are not part of the chain, and count towards k.
      pooled: tuples of indices of kernels side by side in the net, as a shortcut and its block: one layer of the chain,
        at the place of the last of them.

    Returns:
      list of tensors Z_l with the shapes of W_l. Raises ValueError if no fractions in [0, 1] fit delta and k.
    """
    N = sum(w.shape.num_elements() for w in kernels)
    if k >= N:
        return [tf.convert_to_tensor(w) for w in kernels]
    chain = layers(len(kernels), exempt, pooled)
    dense = sum(kernels[i].shape.num_elements() for i in exempt)
    if delta is None:
        delta = k / N / (2 * len(chain))
    W = [tf.concat([tf.reshape(kernels[i], [-1]) for i in layer], 0) for layer in chain]
    squares = [np.sort(np.square(np.asarray(w, np.float64)))[::-1] for w in W]
    Z = [tf.convert_to_tensor(w) for w in kernels]
    for layer, w, m in zip(chain, W, shares(squares, int(k) - dense, delta, int(k))):
        sizes = [kernels[i].shape.num_elements() for i in layer]
        for i, z in zip(layer, tf.split(w * top(tf.abs(w), m), sizes)):
            Z[i] = tf.reshape(z, kernels[i].shape)
    return Z


def layers(count, exempt, pooled):
    """The chain: tuples of indices of kernels, from the first layer to the last."""
    together = {i: tuple(sorted(set(group) - set(exempt))) for group in pooled for i in group}
    chain = {together.get(i, (i,)) for i in range(count) if i not in exempt}
    return sorted(chain, key=max)


def shares(squares, budget, delta, k=None, grid=4096):
    """The numbers m_l of `funnel`.

    Args:
      squares: for each layer its squared weights, in decreasing order.
      budget: largest sum of the m_l.
      delta: smallest difference of consecutive fractions m_l / d_l.
      k: the budget with the exempt weights, for error messages; None means `budget`.
      grid: largest number of values of m_l that are tried for a layer.
    """
    d = np.array([len(s) for s in squares])
    L = len(d)
    if (L - 1) * delta > 1:
        raise ValueError(f"expected delta <= 1 / {L - 1}, for {L} fractions in [0, 1]; got {delta:g}")
    low = tightest(d, delta)
    if (low > d).any() or low.sum() > budget:
        k = budget if k is None else k
        needed = low.sum() + k - budget
        raise ValueError(f"expected k >= {needed}, the least for fractions that decrease by {delta:g}; got {k}")
    m_of = []
    for size, least in zip(d, low):
        most = min(size, max(budget - (low.sum() - least), least))
        m_of.append(np.unique(np.linspace(least, most, min(grid, most - least + 1)).round().astype(int)))
    lost = [(s[::-1].cumsum()[::-1][np.minimum(m, len(s) - 1)]) * (m < len(s)) for s, m in zip(squares, m_of)]

    def best(multiplier):
        """argmin sum_l F_l(m_l) + multiplier * m_l along the chain, from the last layer to the first."""
        value = [None] * L
        value[-1] = lost[-1] + multiplier * m_of[-1]
        choice = [None] * L
        for i in range(L - 2, -1, -1):
            least = np.minimum.accumulate(value[i + 1])
            # Index of the next layer's largest number whose fraction is smaller by delta.
            allowed = np.searchsorted(m_of[i + 1] / d[i + 1], m_of[i] / d[i] - delta + 1e-12, side="right") - 1
            value[i] = np.where(allowed >= 0, lost[i] + multiplier * m_of[i] + least[allowed], np.inf)  # -1: none
            place = np.zeros(len(least), int)  # of the running minimum
            np.maximum.accumulate(np.where(value[i + 1] <= least, np.arange(len(least)), 0), out=place)
            choice[i] = place[allowed]
        j = int(np.argmin(value[0]))
        m = [m_of[0][j]]
        for i in range(L - 1):
            j = choice[i][j]
            m.append(m_of[i + 1][j])
        return np.array(m)

    below, above = 0.0, 1.0 + sum(s[0] for s in squares) * L
    m = best(below)
    if m.sum() > budget:
        m = low.copy()
        for _ in range(60):
            middle = (below + above) / 2
            tried = best(middle)
            if tried.sum() <= budget:
                above, m = middle, tried
            else:
                below = middle
    return spend(squares, m, budget, delta).tolist()


def tightest(d, delta):
    """The smallest m_l >= 1 whose fractions decrease by delta from layer to layer."""
    low = np.ones(len(d), int)
    for i in range(len(d) - 2, -1, -1):
        low[i] = max(1, int(np.ceil(d[i] * (low[i + 1] / d[i + 1] + delta) - 1e-9)))
    return low


def spend(squares, m, budget, delta):
    """Adds single weights, always the largest that the chain allows, until none fits or the budget is spent."""
    m, d = m.copy(), np.array([len(s) for s in squares])
    for _ in range(budget - m.sum()):
        gains = [-1.0] * len(d)
        for i in range(len(d)):
            fits = m[i] < d[i] and (i == 0 or m[i - 1] / d[i - 1] - (m[i] + 1) / d[i] >= delta - 1e-12)
            if fits:
                gains[i] = squares[i][m[i]]
        if max(gains) < 0:
            break
        m[int(np.argmax(gains))] += 1
    return m
