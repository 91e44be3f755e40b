"""Channel pruning: whole output filters (Gui et al., section 2.2: rows of W)."""

import numpy as np
import tensorflow as tf

from robust_tf.projections.filters import within_budget


def channel(kernels, k):
    """argmin_Z sum_l ||W_l - Z_l||^2  subject to  Z made of whole filters of W with at most k weights.

    The filters with the largest mean squares stay, over all layers but the classifier: the greedy solution of a
    knapsack problem, exact if all filters have one size and the budget is a multiple of it. See `filters.within_budget`
    for budgets that dropping filters cannot meet.

    Args:
      kernels: list of tensors W_l; the last is the classifier's.
      k: weights to keep, an int.

    Returns:
      list of tensors Z_l with the shapes of W_l.
    """
    return [tf.constant(z) for z in within_budget(kernels, k, lambda columns: np.mean(columns**2, axis=0))]
