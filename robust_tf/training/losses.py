"""The training losses: what the attack maximises and what the optimiser minimises."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Objective(NamedTuple):
    """A training loss.

    value(ce, y, z, z_adv, adv_weight, beta): the scalar loss, with ce(y, logits) the mean cross-entropy. z_adv are the
      logits of the adversarial images, or the worst within interval bounds (see `training.Loss`).
    ascends(z): the objective that the attack maximises (see `attacks.pgd`), for logits z of the clean images; None for
      the cross-entropy.
    """

    value: Callable
    ascends: Callable | None = None


def mix(ce, y, z, z_adv, adv_weight, beta):
    """adv_weight * CE(x_adv) + (1 - adv_weight) * CE(x) (thesis: 0.9; Gui et al.: 1)."""
    return adv_weight * ce(y, z_adv) + (1 - adv_weight) * ce(y, z)


def trades(ce, y, z, z_adv, adv_weight, beta):
    """CE(x) + beta * KL(f(x) || f(x_adv)) (Zhang et al., arXiv 1901.08573)."""
    mean = ce.mean if isinstance(ce, CrossEntropy) else lambda y, values: tf.reduce_mean(values)
    return ce(y, z) + beta * mean(y, divergence(z, z_adv))


def divergence(z, z_adv):
    """KL(softmax(z) || softmax(z_adv)) of each image, [B]."""
    log_p, log_q = tf.nn.log_softmax(z), tf.nn.log_softmax(z_adv)
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), -1)


def away_from(z):
    """The divergence from fixed clean logits z, which TRADES' attack maximises."""
    return lambda z_adv: divergence(tf.stop_gradient(z), z_adv)


MIX = Objective(value=mix)
# Gowal et al., arXiv 1810.12715: the worst logits within interval bounds; their weight grows with eps.
IBP = Objective(value=mix)
TRADES = Objective(value=trades, ascends=away_from)


class CrossEntropy:
    """ce(y, logits): the batch's mean cross-entropy with (1 - smoothing) * onehot(y) + smoothing / K.

    class_weights: w [K], with which each image's part in a mean is multiplied; None for equal weights.
    """

    def __init__(self, smoothing=0.0, class_weights=None):
        self.smoothing, self.class_weights = smoothing, class_weights

    def __call__(self, y, z):  # [B], [B, K]
        target = tf.one_hot(tf.cast(y, tf.int32), z.shape[-1])
        target = (1 - self.smoothing) * target + self.smoothing / z.shape[-1]
        return self.mean(y, tf.nn.softmax_cross_entropy_with_logits(target, z))

    def mean(self, y, values):
        """sum_i w[y_i] values_i / B, for values [B]."""
        if self.class_weights is not None:
            values *= tf.gather(tf.constant(self.class_weights, values.dtype), tf.cast(y, tf.int32))
        return tf.reduce_mean(values)


def balanced(labels, num_classes):
    """Class weights w [num_classes] with mean 1 over the labels: w_c = N / (K N_c), for N_c of N labels, K classes that
    occur; 1 for a class that does not occur."""
    counted = np.bincount(labels, minlength=num_classes)
    occurring = np.count_nonzero(counted)
    return np.where(counted, len(labels) / (occurring * np.maximum(counted, 1)), 1.0)
