"""Starts the weight constraint, and updates it every few training steps."""

import tf_keras as keras


class ConstraintUpdates(keras.callbacks.Callback):
    """Starts `constraint` before the stage's first training step and updates it every `interval` training steps.

    Args:
      constraint: a `training.constraints.WeightConstraint`.
      interval: training steps between updates.
      k_at, rho_at: k and rho as functions of the stage's training step.
    """

    def __init__(self, constraint, interval, k_at, rho_at):
        super().__init__()
        self.constraint, self.interval, self.k_at, self.rho_at = constraint, interval, k_at, rho_at
        self.report = {}

    def on_train_begin(self, logs=None):
        if self.model.steps_taken == 0:
            self.constraint.start(self.k_at(0))

    def on_train_batch_end(self, batch, logs=None):
        step = self.model.steps_taken
        if step % self.interval == 0:
            self.report = self.constraint.update(self.k_at(step), self.rho_at(step))

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: float(value) for name, value in self.report.items()})
