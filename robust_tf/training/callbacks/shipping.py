"""Validates the net that would ship."""

import tensorflow as tf
import tf_keras as keras


class ShipForValidation(keras.callbacks.Callback):
    """Gives the net the weights that would ship during validation: averaged, if the optimiser averages, and projected.

    Args:
      constraint: a `training.constraints.WeightConstraint`.
      k_at: k of the net that would ship, as a function of the stage's training step.
      averages: whether the optimiser averages weights.
    """

    def __init__(self, constraint, k_at, averages=False):
        super().__init__()
        self.constraint, self.k_at, self.averages = constraint, k_at, averages

    def ship(self):
        if self.averages:
            self.model.take_averages()
        self.validated_at = self.k_at(self.model.steps_taken)
        self.constraint.ship(self.validated_at)
        self.constraint.before_step()

    def on_test_begin(self, logs=None):
        self.training = [tf.identity(w) for w in self.model.net.weights]
        self.ship()

    def on_test_end(self, logs=None):
        for w, value in zip(self.model.net.weights, self.training):
            w.assign(value)

    def on_epoch_end(self, epoch, logs=None):
        logs["validated_at"] = self.validated_at
