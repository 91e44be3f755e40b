"""Saves the best weights."""

from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from robust_tf.files import replace


class KeepBest(keras.callbacks.Callback):
    """Saves the weights of `net` to `path` whenever an epoch that competes has the best validation figure so far.

    Must precede `ShipForValidation` in the list of callbacks, so that it sees the weights that were validated.

    Args:
      net: the net whose weights are saved.
      path: file ending in .weights.h5.
      monitor: name of the validation figure; larger is better.
      competes: function of the epoch; false while k or eps is easier than its final value.
    """

    def __init__(self, net, path, monitor, competes):
        super().__init__()
        self.net, self.path, self.monitor, self.competes = net, Path(path), monitor, competes
        self.best = tf.Variable(-1.0, trainable=False, name="best")
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_test_end(self, logs=None):
        if self.competes(self.epoch) and logs[self.monitor] > self.best:
            self.best.assign(logs[self.monitor])
            replace(self.path, self.net.save_weights)
