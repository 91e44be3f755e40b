"""What happens during `fit`: schedules, updates of what holds the weights, selection, and a line an epoch."""

from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from robust_tf.rundir import replace
from robust_tf.training.schedules import interpolated, value_at


class Schedule(keras.callbacks.Callback):
    """Sets eps, steps and the learning rate at the start of each epoch; each is a sequence.

    Args:
      eps, steps, learning_rate: sequences, see `training.schedules`.
      paced: None or the `Paced` that may hold eps back.
      smooth: those of eps and learning_rate that move a little at each step, on the line between their values.
      steps_per_epoch: for those.
    """

    def __init__(self, eps, steps, learning_rate, paced=None, smooth=(), steps_per_epoch=1):
        super().__init__()
        self.smooth, self.steps_per_epoch = smooth, steps_per_epoch
        self.sequences = {"eps": eps, "steps": steps, "learning_rate": learning_rate}
        self.paced = paced or Paced("none")

    def on_epoch_begin(self, epoch, logs=None):
        self.now = {name: value_at(sequence, epoch) for name, sequence in self.sequences.items()}
        self.now["eps"] = value_at(self.sequences["eps"], max(epoch - self.paced.stood("eps"), 0))
        self.epoch = epoch
        self.model.steps.assign(self.now["steps"])
        self._assign()

    def on_train_batch_begin(self, batch, logs=None):
        if self.smooth:
            done = self.model.steps_taken % self.steps_per_epoch  # not `batch`, where an epoch goes on
            at = self.epoch + done / self.steps_per_epoch
            self.now |= {name: interpolated(self.sequences[name], at) for name in self.smooth}
            self._assign()

    def _assign(self):
        self.model.eps.assign(self.now["eps"])
        self.model.optimizer.learning_rate.assign(self.now["learning_rate"])

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.now)


class Paced(keras.callbacks.Callback):
    """The adaptive mode: k or eps stands still for an epoch after each that cost too much (thesis, 3.1).

    Too much: the adversarial validation loss exceeds its least value of the stage by more than `tolerance` of it.

    Args:
      moves: what is held back, "k" or "eps"; "none" nothing.
      tolerance: as a fraction of the least loss.
    """

    def __init__(self, moves, tolerance=0.0):
        super().__init__()
        self.moves, self.tolerance = moves, tolerance
        self.state = tf.Module()
        self.state.epochs = tf.Variable(0, trainable=False, dtype=tf.int64, name="epochs_stood")
        self.state.least = tf.Variable(float("inf"), trainable=False, name="least_loss")

    def stood(self, what):
        """Epochs that `what` has stood still."""
        return int(self.state.epochs) if what == self.moves else 0

    def at(self, epoch):
        """The epoch of its schedule that the slowest of all has come to."""
        return epoch - int(self.state.epochs)

    def on_epoch_end(self, epoch, logs=None):
        if self.moves == "none":
            return
        loss = logs["val_adversarial_loss"]
        self.state.least.assign(min(float(self.state.least), loss))
        if loss > (1 + self.tolerance) * float(self.state.least):
            self.state.epochs.assign_add(1)


class Kept(keras.callbacks.Callback):
    """Keeps the net's weights as they are at the end of an epoch, for `restore`."""

    def on_epoch_end(self, epoch, logs=None):
        self.weights = [tf.identity(w) for w in self.model.net.weights]

    def restore(self):
        for w, value in zip(self.model.net.weights, self.weights):
            w.assign(value)


class Updates(keras.callbacks.Callback):
    """Lets `hold` start, and update itself every `interval` steps.

    Args:
      hold: a `training.holds.Hold`.
      interval: steps between updates.
      k_at, rho_at: k and rho as functions of the stage's step.
    """

    def __init__(self, hold, interval, k_at, rho_at):
        super().__init__()
        self.hold, self.interval, self.k_at, self.rho_at = hold, interval, k_at, rho_at
        self.report = {}

    def on_train_begin(self, logs=None):
        if self.model.steps_taken == 0:
            self.hold.start(self.k_at(0))

    def on_train_batch_end(self, batch, logs=None):
        step = self.model.steps_taken
        if step % self.interval == 0:
            self.report = self.hold.update(self.k_at(step), self.rho_at(step))

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: float(value) for name, value in self.report.items()})


class Measured(keras.callbacks.Callback):
    """During validation the net is the one that would ship: averaged, where weights are, and projected.

    Args:
      hold: a `training.holds.Hold`.
      k_at: weights of the net that would ship, as a function of the stage's step.
      averages: whether the optimiser averages weights.
    """

    def __init__(self, hold, k_at, averages=False):
        super().__init__()
        self.hold, self.k_at, self.averages = hold, k_at, averages

    def ship(self):
        if self.averages:
            self.model.take_averages()
        self.validated_at = self.k_at(self.model.steps_taken)
        self.hold.ship(self.validated_at)
        self.hold.before_step()

    def on_test_begin(self, logs=None):
        self.training = [tf.identity(w) for w in self.model.net.weights]
        self.ship()

    def on_test_end(self, logs=None):
        for w, value in zip(self.model.net.weights, self.training):
            w.assign(value)

    def on_epoch_end(self, epoch, logs=None):
        logs["validated_at"] = self.validated_at


class KeepBest(keras.callbacks.Callback):
    """Saves `net`'s weights to `path` whenever validation, in an epoch that competes, beats all before.

    Stands before `Measured` in the list, so that it sees the weights that were measured.

    Args:
      net: the net whose weights are saved.
      path: file ending in .weights.h5.
      monitor: validation figure, the larger the better.
      competes: function of the epoch; false where k or eps was easier than it will be.
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


class Report(keras.callbacks.Callback):
    """Advances `progress` a step at a time, and prints one line an epoch that stays."""

    def __init__(self, progress, stage, steps, last_epoch):
        super().__init__()
        self.progress, self.stage, self.last_epoch = progress, stage, last_epoch
        self.task = progress.add_task(stage, total=steps, unit="steps")

    def on_train_batch_end(self, batch, logs=None):
        self.progress.advance(self.task)

    def on_epoch_end(self, epoch, logs=None):
        proven = f", {logs['val_certified_accuracy']:.1%} certified" if "val_certified_accuracy" in logs else ""
        kept = f", k {int(logs['k']):,}, validated at {logs['validated_at']:,} weights" if "k" in logs else ""
        self.progress.console.print(
            f"{self.stage} epoch {epoch + 1}/{self.last_epoch}: loss {logs['loss']:.3f}, validation accuracy"
            f" {logs['val_accuracy']:.1%} clean, {logs['val_robust_accuracy']:.1%} under PGD{proven}"
            f" (training eps {logs['eps']:.3g}{kept}, {logs['seconds']:.0f} s)",
            highlight=False,
            soft_wrap=True,
        )
