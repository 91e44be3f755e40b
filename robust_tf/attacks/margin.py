"""The margin of a classification, which attacks minimise."""

import tensorflow as tf


def margin(z, y):
    """z_y - max_{i != y} z_i of each image, [B], negative if it is misclassified; logits z [B, K]."""
    own = tf.one_hot(y, z.shape[-1], dtype=z.dtype)
    return tf.reduce_sum(z * own, 1) - tf.reduce_max(z - own * z.dtype.max, 1)
