"""When things happen during `fit`: schedules, ADMM's boundaries, selection, checkpoints, records."""

import csv
import math
import time
from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from robust_tf.rundir import replace
from robust_tf.training.schedules import value_at


class TrainingFailed(RuntimeError):
    """Training cannot go on: the loss is not finite."""


class Schedule(keras.callbacks.Callback):
    """Sets eps, steps and the learning rate at the start of each epoch; each is a step-wise sequence."""

    def __init__(self, eps, steps, learning_rate):
        super().__init__()
        self.sequences = {"eps": eps, "steps": steps, "learning_rate": learning_rate}

    def on_epoch_begin(self, epoch, logs=None):
        self.now = {name: value_at(sequence, epoch) for name, sequence in self.sequences.items()}
        self.model.eps.assign(self.now["eps"])
        self.model.steps.assign(self.now["steps"])
        self.model.optimizer.learning_rate.assign(self.now["learning_rate"])

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.now)


class AdmmUpdates(keras.callbacks.Callback):
    """Updates Z, U and rho of `admm` every `interval` steps, and validates the net that would ship.

    During validation the kernels are Pi_k(W + U) for the final k; training goes on from W.

    Args:
      admm: `compression.admm.Admm` of the model's kernels.
      interval: steps between boundaries.
      k: the final number of weights.
      k_at, rho_at: functions of the stage's step; None keeps `k`, and the rho that `admm` has.
    """

    def __init__(self, admm, interval, k, k_at=None, rho_at=None):
        super().__init__()
        self.admm, self.interval, self.k = admm, interval, k
        self.k_at = k_at or (lambda step: k)
        self.rho_at = rho_at or (lambda step: float(admm.rho))
        self.report = {}

    def on_train_begin(self, logs=None):
        if self._step() == 0:
            self.admm.start(self.k_at(0))

    def on_train_batch_end(self, batch, logs=None):
        step = self._step()
        if step % self.interval == 0:
            k, rho = self.k_at(step), self.rho_at(step)
            self.report = {"k": k, "rho": rho, **self.admm.update(k, rho)}

    def on_test_begin(self, logs=None):
        self.dense = [tf.identity(w) for w in self.admm.W]
        self.admm.project_hard(self.k)

    def on_test_end(self, logs=None):
        for w, dense in zip(self.admm.W, self.dense):
            w.assign(dense)

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: float(value) for name, value in self.report.items()}, validated_at=self.k)

    def _step(self):
        return int(self.model.optimizer.iterations)


class KeepBest(keras.callbacks.Callback):
    """Saves `net`'s weights to `path` whenever validation, from `first_epoch` on, beats all before.

    Stands before `AdmmUpdates` in the list, so that it sees the weights that were measured.

    Args:
      net: the net whose weights are saved.
      path: file ending in .weights.h5.
      monitor: validation figure, the larger the better.
      first_epoch: earlier epochs do not compete; their k or eps was easier.
    """

    def __init__(self, net, path, monitor, first_epoch):
        super().__init__()
        self.net, self.path, self.monitor, self.first_epoch = net, Path(path), monitor, first_epoch
        self.best = tf.Variable(-1.0, trainable=False, name="best")
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_test_end(self, logs=None):
        if self.epoch >= self.first_epoch and logs[self.monitor] > self.best:
            self.best.assign(logs[self.monitor])
            replace(self.path, self.net.save_weights)


class Checkpoints(keras.callbacks.Callback):
    """Saves all that a resumed run needs at every `every`-th epoch, and at the last."""

    def __init__(self, manager, epoch, every, last):
        super().__init__()
        self.manager, self.epoch, self.every, self.last = manager, epoch, every, last

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.assign(epoch + 1)
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.last:
            self.manager.save()


FIELDS = (
    "epoch", "stage", "seconds", "eps", "steps", "learning_rate", "loss", "clean_loss", "adversarial_loss",
    "accuracy", "robust_accuracy", "val_loss", "val_clean_loss", "val_adversarial_loss", "val_accuracy",
    "val_robust_accuracy", "k", "rho", "primal_residual", "dual_residual", "nonzero", "churn",
)  # fmt: skip


def rows(path):
    """The rows of history.csv as dicts; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class History(keras.callbacks.Callback):
    """Appends one row an epoch to history.csv; rows of epochs that a resumed run repeats are dropped first."""

    def __init__(self, path, stage, first_epoch):
        super().__init__()
        self.path, self.stage = Path(path), stage
        kept = [row for row in rows(self.path) if int(row["epoch"]) < first_epoch]
        replace(self.path, lambda partial: self._write(partial, kept))

    def _write(self, path, kept):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(kept)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.perf_counter() - self.started, 1)
        row = {"epoch": epoch, "stage": self.stage, **{name: logs[name] for name in FIELDS if name in logs}}
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, FIELDS).writerow(row)


class StopOnNan(keras.callbacks.Callback):
    """Raises TrainingFailed at the first loss that is not finite; checkpoints hold the epochs before it."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise TrainingFailed(
                f"the loss became {logs['loss']} at step {int(self.model.optimizer.iterations)} of the stage;"
                " try a smaller learning rate, --rho_max or first eps"
            )


class Report(keras.callbacks.Callback):
    """Advances `progress` a step at a time, and prints one line an epoch that stays."""

    def __init__(self, progress, stage, first_epoch, last_epoch, steps_per_epoch):
        super().__init__()
        self.progress, self.stage, self.last_epoch = progress, stage, last_epoch
        self.task = progress.add_task(stage, total=(last_epoch - first_epoch) * steps_per_epoch, unit="steps")

    def on_train_batch_end(self, batch, logs=None):
        self.progress.advance(self.task)

    def on_epoch_end(self, epoch, logs=None):
        kept = f", k {int(logs['k']):,}, validated at {logs['validated_at']:,} weights" if "k" in logs else ""
        self.progress.console.print(
            f"{self.stage} epoch {epoch + 1}/{self.last_epoch}: loss {logs['loss']:.3f}, validation accuracy"
            f" {logs['val_accuracy']:.1%} clean, {logs['val_robust_accuracy']:.1%} under PGD"
            f" (training eps {logs['eps']:.3g}{kept}, {logs['seconds']:.0f} s)",
            highlight=False,
            soft_wrap=True,
        )
