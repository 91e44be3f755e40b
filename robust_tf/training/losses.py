"""The training losses: what the attack maximises and what the optimiser minimises."""

from collections.abc import Callable
from typing import NamedTuple

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
    return ce(y, z) + beta * tf.reduce_mean(divergence(z, z_adv))


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


def cross_entropy(smoothing=0.0):
    """ce(y, logits): the batch's mean cross-entropy with (1 - smoothing) * onehot(y) + smoothing / K."""

    def ce(y, z):  # [B], [B, K]
        target = (1 - smoothing) * tf.one_hot(tf.cast(y, tf.int32), z.shape[-1]) + smoothing / z.shape[-1]
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, z))

    return ce
