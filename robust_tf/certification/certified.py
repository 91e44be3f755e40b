"""Which images interval bounds prove to be classified correctly (Gowal et al., arXiv 1810.12715)."""

import numpy as np
import tensorflow as tf

from robust_tf.certification.bounds import UNIT, check_bounded, worst_logits
from robust_tf.data.pixels import in_batches
from robust_tf.models.fast import training_form
from robust_tf.refusal import Refusal


def certifiable(net, norm):
    """Whether the bounds support the norm and all layers of the net."""
    try:
        check_bounded(net)
    except Refusal:
        return False
    return norm == "linf"


def certified(net, images, labels, eps, norm, batch_size=500):
    """Which images are proven to be classified correctly within eps, bool [N].

    None if the bounds do not support the norm or a layer of the net. They hold for the net and for its faster forms
    (`models.fast`), computed in float32, see `certification.bounds`.

    Args:
      net: Keras net.
      images, labels: uint8 [N, H, W, C] and int [N].
      eps, norm: radius and norm of the ball, eps in pixels of [0, 1].
      batch_size: images at once.
    """
    if not certifiable(net, norm):
        return None
    fast = training_form(net)
    worst = tf.function(lambda x, y: worst_logits(fast, x, y, eps, UNIT))
    proven = []
    for _, x, y in in_batches(images, labels, batch_size):
        y = tf.cast(y, tf.int32)
        own = tf.one_hot(y, net.output_shape[-1]) > 0
        proven.append(tf.reduce_all((worst(x, y) < 0) | own, 1))  # z_j < z_y for all j != y
    return np.concatenate(proven)
