"""Training the values of a codebook with fixed assignments (Gui et al., future work)."""

import numpy as np
import tensorflow as tf


class Centroids(tf.Module):
    """Holds kernels W at the few values they have: the weights of one value stay equal, and zeros stay zero.

    Args:
      W: list of kernel variables, each of a codebook.
    """

    def __init__(self, W):
        super().__init__()
        self.W = list(W)
        self.ids, self.counts = [], []
        for w in self.W:
            values, ids = np.unique(w, return_inverse=True)
            ids = np.reshape(ids, w.shape)
            ids = np.where(w.numpy() == 0, -1, ids)  # segments below zero are dropped
            self.ids.append(tf.Variable(ids, trainable=False, dtype=tf.int32, name="ids"))
            self.counts.append(len(values))

    def project(self):
        """argmin_Z ||W - Z||^2 with Z constant on each value's weights and zero on the zeros: their means."""
        for w, ids, count in zip(self.W, self.ids, self.counts):
            means = tf.math.unsorted_segment_mean(w, ids, count)
            w.assign(tf.where(ids < 0, 0.0, tf.gather(means, tf.maximum(ids, 0))))
