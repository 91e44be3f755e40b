"""Adaptive mode: k or eps waits for an epoch after each epoch whose loss is too high (thesis, 3.1)."""

import tensorflow as tf
import tf_keras as keras


class AdaptivePacing(keras.callbacks.Callback):
    """Delays the schedule of k or eps by an epoch after each epoch with a loss above (1 + tolerance) * least loss.

    The loss is the adversarial validation loss; its least value is that of the stage so far.

    Args:
      moves: what is delayed: "k", "eps" or "none".
      tolerance: a fraction of the least loss.
    """

    def __init__(self, moves, tolerance=0.0):
        super().__init__()
        self.moves, self.tolerance = moves, tolerance
        self.state = tf.Module()
        self.state.epochs = tf.Variable(0, trainable=False, dtype=tf.int64, name="epochs_stood")
        self.state.least = tf.Variable(float("inf"), trainable=False, name="least_loss")

    def epochs_waited(self, what):
        """Epochs by which `what`, "k" or "eps", has been delayed."""
        return int(self.state.epochs) if what == self.moves else 0

    def at(self, epoch):
        """The epoch that the delayed schedule has reached in `epoch`."""
        return epoch - int(self.state.epochs)

    def on_epoch_end(self, epoch, logs=None):
        if self.moves == "none":
            return
        loss = logs["val_adversarial_loss"]
        self.state.least.assign(min(float(self.state.least), loss))
        if loss > (1 + self.tolerance) * float(self.state.least):
            self.state.epochs.assign_add(1)
