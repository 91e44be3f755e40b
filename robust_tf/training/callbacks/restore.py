"""Restores the weights after fit."""

import tensorflow as tf
import tf_keras as keras


class RestoreAfterFit(keras.callbacks.Callback):
    """Remembers the net's weights at the end of an epoch; `restore` assigns them after fit.

    Keras' fit replaces the weights by the optimiser's averages when it ends.
    """

    def on_epoch_end(self, epoch, logs=None):
        self.weights = [tf.identity(w) for w in self.model.net.weights]

    def restore(self):
        for w, value in zip(self.model.net.weights, self.weights):
            w.assign(value)
