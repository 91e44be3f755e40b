"""What the attack of training ascends and what the optimiser descends."""

from typing import NamedTuple

import tensorflow as tf


class Loss(NamedTuple):
    """starts: where its attack begins, None for as configured.
    objective(z): what the attack ascends for logits z of the clean images, as `attacks.pgd` takes it; None for the
    cross-entropy.
    value(ce, y, z, z_adv, adv_weight, beta): the scalar loss, with ce(y, logits) the mean cross-entropy.
    certifies: z_adv are the worst logits that interval bounds allow, in place of those of an attack's images.
    """

    starts: tuple | None
    objective: callable
    value: callable
    certifies: bool = False


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
    """The divergence from fixed clean logits z, which TRADES' attack ascends."""
    return lambda z_adv: divergence(tf.stop_gradient(z), z_adv)


MIX = Loss(starts=None, objective=None, value=mix)
# Gowal et al., arXiv 1810.12715: bounds in place of an attack; the weight of the worst case grows with eps.
IBP = Loss(starts=None, objective=None, value=mix, certifies=True)
TRADES = Loss(starts=("gaussian",), objective=away_from, value=trades)


def cross_entropy(smoothing=0.0):
    """ce(y, logits): the batch's mean cross-entropy with (1 - smoothing) * onehot(y) + smoothing / K."""

    def ce(y, z):  # [B], [B, K]
        target = (1 - smoothing) * tf.one_hot(tf.cast(y, tf.int32), z.shape[-1]) + smoothing / z.shape[-1]
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, z))

    return ce
