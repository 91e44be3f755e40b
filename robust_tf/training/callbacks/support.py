"""Follows which weights would ship, from epoch to epoch."""

import tensorflow as tf
import tf_keras as keras

from robust_tf.compression import atmc
from robust_tf.models.kernels import kernel_layers


class Support(keras.callbacks.Callback):
    """Records how much of the support of the weights that would ship is new, and how ATMC's factors share the budget.

    support_churn: of the non-zero weights of an epoch, the fraction that was zero in the epoch before. nonzero_U,
    nonzero_V, nonzero_C: non-zero entries of the factors of all layers. Must follow `ShipForValidation` in the list of
    callbacks, so that it sees the weights that are validated.

    Args:
      net: the net whose weights ship.
    """

    def __init__(self, net):
        super().__init__()
        self.net, self.figures, self.state = net, {}, tf.Module()
        self.state.seen = tf.Variable(False, trainable=False, name="seen")
        self.state.before = [
            tf.Variable(tf.zeros(w.shape, tf.bool), trainable=False, name="support") for w in atmc.factors(net)
        ]

    def on_test_begin(self, logs=None):
        now = [w != 0 for w in atmc.factors(self.net)]
        self.figures = {f"nonzero_{name}": count(parts) for name, parts in by_factor(self.net).items()}
        if self.state.seen:
            new = count([support & ~before for support, before in zip(now, self.state.before)])
            self.figures["support_churn"] = new / max(count(now), 1)
        for before, support in zip(self.state.before, now):
            before.assign(support)
        self.state.seen.assign(True)

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.figures)


def by_factor(net):
    """{"U": [U of each factorised layer], "V": ..., "C": ...}; empty without such layers."""
    layers = [layer for layer in kernel_layers(net) if atmc.is_factorised(layer)]
    return dict(zip("UVC", zip(*map(atmc.factors_of, layers))))


def count(tensors):
    """The number of entries that are neither zero nor False."""
    return sum(int(tf.math.count_nonzero(each)) for each in tensors)
