"""Channel pruning: whole output filters (Gui et al., section 2.2: rows of W)."""

import numpy as np
import tensorflow as tf

from robust_tf.projections.filters import within_budget


def channel(kernels, k):
    """argmin_Z sum_l ||W_l - Z_l||^2  subject to  Z made of whole filters of W with at most k weights.

    The filters of largest mean square stay, over all layers but the classifier: the greedy solution of a knapsack,
    exact where the filters are of one size and the budget a multiple of it. What happens where filters alone cannot
    reach k is said in `filters.within_budget`.

    Args:
      kernels: list of tensors W_l; the last is the classifier's.
      k: weights to keep, an int.

    Returns:
      list of tensors Z_l with the shapes of W_l.
    """
    return [tf.constant(z) for z in within_budget(kernels, k, lambda columns: np.mean(columns**2, axis=0))]
