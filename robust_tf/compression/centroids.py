"""Training the values of a codebook with fixed assignments (Gui et al., future work)."""

import numpy as np
import tensorflow as tf


class Centroids(tf.Module):
    """Keeps the assignments of a codebook: equal weights of a kernel stay equal, and zeros stay zero.

    Args:
      W: list of kernel variables with few distinct values.
    """

    def __init__(self, W):
        super().__init__()
        self.W = list(W)
        self.ids, self.counts = [], []
        for w in self.W:
            values, ids = np.unique(w, return_inverse=True)
            ids = np.reshape(ids, w.shape)
            ids = np.where(w.numpy() == 0, -1, ids)  # negative ids are left out of the means
            self.ids.append(tf.Variable(ids, trainable=False, dtype=tf.int32, name="ids"))
            self.counts.append(len(values))

    def project(self):
        """argmin_Z ||W - Z||^2 with one value for each id, the mean of its weights, and zero for the zeros."""
        for w, ids, count in zip(self.W, self.ids, self.counts):
            means = tf.math.unsorted_segment_mean(w, ids, count)
            w.assign(tf.where(ids < 0, 0.0, tf.gather(means, tf.maximum(ids, 0))))
