"""Sets eps, the attack's gradient steps and the learning rate in each epoch, or in each training step."""

import tf_keras as keras

from robust_tf.training.callbacks.pacing import AdaptivePacing
from robust_tf.training.schedules import interpolated, value_at


class Schedule(keras.callbacks.Callback):
    """Sets eps, steps and the learning rate at the start of each epoch.

    Args:
      eps, steps, learning_rate: sequences, see `training.schedules`; steps are gradient steps.
      pacing: None or the `AdaptivePacing` that may delay eps.
      smooth: those of "eps" and "learning_rate" that are interpolated linearly at each training step.
      steps_per_epoch: training steps, for `smooth`.
    """

    def __init__(self, eps, steps, learning_rate, pacing=None, smooth=(), steps_per_epoch=1):
        super().__init__()
        self.smooth, self.steps_per_epoch = smooth, steps_per_epoch
        self.sequences = {"eps": eps, "steps": steps, "learning_rate": learning_rate}
        self.pacing = pacing or AdaptivePacing("none")

    def on_epoch_begin(self, epoch, logs=None):
        self.now = {name: value_at(sequence, epoch) for name, sequence in self.sequences.items()}
        self.now["eps"] = value_at(self.sequences["eps"], max(epoch - self.pacing.epochs_waited("eps"), 0))
        self.epoch = epoch
        self.model.steps.assign(self.now["steps"])
        self._assign()

    def on_train_batch_begin(self, batch, logs=None):
        if self.smooth:
            done = self.model.steps_taken % self.steps_per_epoch  # `batch` counts from 0 where a resumed epoch begins
            at = self.epoch + done / self.steps_per_epoch
            self.now |= {name: interpolated(self.sequences[name], at) for name in self.smooth}
            self._assign()

    def _assign(self):
        self.model.eps.assign(self.now["eps"])
        self.model.optimizer.learning_rate.assign(self.now["learning_rate"])

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: value for name, value in self.now.items() if name != "steps"} | self._steps_of_attack())

    def _steps_of_attack(self):
        """The gradient steps that the attack takes; none where interval bounds take its place."""
        if not self.model.attack_for:
            return {}
        return {"steps": min(self.now["steps"], 1) if self.model.crafts.single_step else self.now["steps"]}
