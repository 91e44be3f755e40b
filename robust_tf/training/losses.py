"""The training losses: what the attack maximises and what the optimiser minimises."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras


class Objective(NamedTuple):
    """A training loss.

    value(ce, y, z, z_adv, adv_weight, beta): the scalar loss, with ce(y, logits) the mean cross-entropy. z_adv are the
      logits of the adversarial images, or the worst within interval bounds (see `training.Loss`). If images have
      weights, ce weights them, and value also gets the keyword `weights` [B], for means of its own.
    ascends(z): the objective that the attack maximises (see `attacks.pgd`), for logits z of the clean images; None for
      the cross-entropy.
    """

    value: Callable
    ascends: Callable | None = None


def mix(ce, y, z, z_adv, adv_weight, beta, weights=None):
    """adv_weight * CE(x_adv) + (1 - adv_weight) * CE(x) (thesis: 0.9; Gui et al.: 1)."""
    return adv_weight * ce(y, z_adv) + (1 - adv_weight) * ce(y, z)


def trades(ce, y, z, z_adv, adv_weight, beta, weights=None):
    """CE(x) + beta * KL(f(x) || f(x_adv)) (Zhang et al., arXiv 1901.08573)."""
    return ce(y, z) + beta * mean(divergence(z, z_adv), weights)


def small_box(x, x_adv, eps, part):
    """(centre, radius) of SABR's box (Müller et al., arXiv 2210.04871).

    The radius is part eps, the centre the image nearest to x_adv for which the box is inside the L-inf ball of radius
    eps around x.
    """
    moved = (1 - part) * eps
    return tf.clip_by_value(x_adv, x - moved, x + moved), part * eps


def mean(values, weights=None):
    """sum_i w_i v_i / B of the values v [B], as Keras weights images; w = 1 without weights."""
    return tf.reduce_mean(values if weights is None else tf.cast(weights, values.dtype) * values)


def divergence(z, z_adv):
    """KL(softmax(z) || softmax(z_adv)) of each image, [B]."""
    log_p, log_q = tf.nn.log_softmax(z), tf.nn.log_softmax(z_adv)
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), 1)


def away_from(z):
    """The divergence from fixed clean logits z, which TRADES' attack maximises."""
    return lambda z_adv: divergence(tf.stop_gradient(z), z_adv)


MIX = Objective(value=mix)
# Gowal et al., arXiv 1810.12715: the worst logits within interval bounds; their weight grows with eps. SABR (Müller et
# al., 2210.04871) bounds small boxes around an attack's images, MTL-IBP (De Palma et al., 2305.13991) mixes the bounds'
# loss with the attack's.
IBP = Objective(value=mix)
TRADES = Objective(value=trades, ascends=away_from)


@keras.saving.register_keras_serializable("robust_tf")
class CrossEntropy:
    """ce(y, logits, weights=None): the batch's mean cross-entropy with (1 - smoothing) * onehot(y) + smoothing / K.

    `weighted` takes probabilities [B, K] too in place of the labels y [B], as a teacher gives them. It is called as a
    Keras loss is, and Keras saves it with a model.

    class_weights: w [K], with which each image's part in a mean is multiplied; None for equal weights.
    """

    def __init__(self, smoothing=0.0, class_weights=None):
        self.smoothing, self.class_weights = smoothing, class_weights

    def __call__(self, y, z, weights=None):  # [B], [B, K], [B]
        return self.weighted(y, z, self.weights(y, weights))

    def weighted(self, y, z, weights=None):  # [B] or [B, K], [B, K], [B]
        """With `weights` as they are, without those of the classes."""
        sure = y if len(y.shape) == 2 else tf.one_hot(tf.cast(y, tf.int32), z.shape[-1])
        target = (1 - self.smoothing) * sure + self.smoothing / z.shape[-1]
        return mean(tf.nn.softmax_cross_entropy_with_logits(target, z), weights)

    def weights(self, y, weights=None):
        """`weights` [B] times the class weights of y; None if there are neither."""
        if self.class_weights is None:
            return weights
        by_class = tf.gather(tf.constant(self.class_weights, tf.float32), tf.cast(y, tf.int32))
        return by_class if weights is None else by_class * tf.cast(weights, tf.float32)

    def get_config(self):
        class_weights = None if self.class_weights is None else [float(w) for w in self.class_weights]
        return {"smoothing": self.smoothing, "class_weights": class_weights}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def balanced(labels, num_classes):
    """Class weights w [num_classes] with mean 1 over the labels: w_c = N / (K N_c), for N_c of N labels, K classes that
    occur; 1 for a class that does not occur."""
    counted = np.bincount(labels, minlength=num_classes)
    occurs, weights = counted.astype(bool), np.ones(num_classes)
    weights[occurs] = len(labels) / (occurs.sum() * counted[occurs])
    return weights
