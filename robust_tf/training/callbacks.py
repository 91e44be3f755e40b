"""When things happen during `fit`: schedules, updates, selection, checkpoints, records, and what ends it early."""

import csv
import math
import time
from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from robust_tf.rundir import replace
from robust_tf.training.schedules import interpolated, value_at


class TrainingFailed(RuntimeError):
    """Training cannot go on."""


class Stopped(Exception):
    """Training was asked to stop, and has saved what it needs to go on."""


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


class Checkpoints(keras.callbacks.Callback):
    """Saves all that a resumed run needs at every `every`-th epoch, and at the last."""

    def __init__(self, manager, epoch, every, last):
        super().__init__()
        self.manager, self.epoch, self.every, self.last = manager, epoch, every, last

    def on_epoch_end(self, epoch, logs=None):
        if self.model.stop_training:
            return  # the stage ends here; a run that is killed now trains this epoch again, to the same end
        self.epoch.assign(epoch + 1)
        if (epoch + 1) % self.every == 0 or epoch + 1 >= self.last:
            save(self.manager)


def save(manager):
    """Saves a checkpoint; raises OSError where that fails, on a full disk for one."""
    try:
        manager.save()
    except tf.errors.OpError as error:
        raise OSError(f"expected to save a checkpoint in {manager.directory}; got {error.message}") from error


class StopWhenAsked(keras.callbacks.Callback):
    """Once `asked` is set, saves after the step at work, or after the epoch where that validates, and raises Stopped.

    Stands last in the list, so that what is saved is complete.

    Args:
      manager, epoch: as of `Checkpoints`; the optimiser's iterations say how far in the epoch.
      asked: threading.Event.
      stage: name, for the message.
    """

    def __init__(self, manager, epoch, asked, stage):
        super().__init__()
        self.manager, self.epoch, self.asked, self.stage = manager, epoch, asked, stage

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch.assign(epoch)

    def on_train_batch_end(self, batch, logs=None):
        # At an epoch's last step it is the epoch's end that saves.
        if self.asked.is_set() and batch + 1 < self.params["steps"]:
            self._stop(f"after step {batch + 1} of {self.params['steps']} of epoch {int(self.epoch) + 1}")

    def on_epoch_end(self, epoch, logs=None):
        if self.asked.is_set() and not self.model.stop_training:
            self._stop(f"after epoch {epoch + 1}")

    def _stop(self, when):
        save(self.manager)
        raise Stopped(f"asked to stop, saved {when} (stage {self.stage}); the same command goes on")


FIELDS = (
    "epoch", "stage", "seconds", "eps", "steps", "learning_rate", "loss", "clean_loss", "adversarial_loss",
    "accuracy", "robust_accuracy", "val_loss", "val_clean_loss", "val_adversarial_loss", "val_accuracy",
    "val_robust_accuracy", "certified_accuracy", "val_certified_accuracy", "k", "rho", "primal_residual",
    "dual_residual", "nonzero", "churn",
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

    def stage_rows(self, first, end=math.inf):
        """The rows of epochs [first, end)."""
        return [row for row in rows(self.path) if first <= int(row["epoch"]) < end]

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.perf_counter() - self.started, 1)
        row = {"epoch": epoch, "stage": self.stage, **{name: logs[name] for name in FIELDS if name in logs}}
        replace(self.path, lambda partial: self._write(partial, [*rows(self.path), row]))


class Explosion(keras.callbacks.Callback):
    """Raises TrainingFailed where a loss, gradient or weight is not finite, or the adversarial loss explodes.

    Checkpoints stay, and the last of them is named.

    The thesis warns that compression may do that. Exploded: more than twice what a guess costs, log K for K classes,
    and more than twice the least of the stage's earlier epochs; or, in validation, where a net that has just been
    projected may be poor for a while, a hundred guesses.

    Args:
      history: the `History` of the run.
      first: first epoch of the stage.
      adversarial: whether the stage trains on adversarial images; else those of validation may cost anything.
      manager: of the checkpoints, or None.
    """

    def __init__(self, history, first, adversarial=True, manager=None):
        super().__init__()
        self.history, self.first, self.adversarial, self.manager = history, first, adversarial, manager

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        at = f"at step {self.model.steps_taken} of the stage, in epoch {self.epoch + 1}"
        broken = self.model.broken_gradients()
        said = f"; so did the gradients of {', '.join(broken[:3])}" + (" and others" if len(broken) > 3 else "")
        if not math.isfinite(logs["loss"]):
            self._fail(f"the loss became {logs['loss']} {at}{said if broken else ''}")
        if broken:
            self._fail(f"the gradient of {broken[0]} became NaN or infinite {at}")

    def on_epoch_end(self, epoch, logs=None):
        for w in self.model.net.weights:  # the loss may stay finite: ReLU turns NaN into 0
            if not bool(tf.reduce_all(tf.math.is_finite(tf.cast(w, tf.float32)))):
                self._fail(f"{w.name.split(':')[0]} became NaN or infinite in epoch {epoch + 1}")
        earlier = [row["adversarial_loss"] for row in self.history.stage_rows(self.first, epoch)]
        guess = math.log(self.model.net.output_shape[-1])
        if earlier and logs["adversarial_loss"] > 2 * max(guess, min(map(float, earlier))):
            self._fail(f"the adversarial loss exploded to {logs['adversarial_loss']:.3g} in epoch {epoch + 1}")
        if self.adversarial and logs.get("val_adversarial_loss", 0) > 100 * guess:
            loss = logs["val_adversarial_loss"]
            self._fail(f"the adversarial loss of the projected net exploded to {loss:.3g} in epoch {epoch + 1}")

    def _fail(self, what):
        latest = self.manager.latest_checkpoint if self.manager else None
        raise TrainingFailed(
            f"{what}; the stage's last good checkpoint is {latest or 'its start'}; try a smaller learning rate or first"
            " eps, or, with admm, a smaller --rho_max"
        )


class CatastrophicOverfitting(keras.callbacks.Callback):
    """Ends a stage of single-step training that PGD breaks all at once (Wong et al., arXiv 2001.03994).

    The sign: accuracy under PGD, held out, falls below half its best, while accuracy under the training attack is
    above what it was then. The best weights are kept; TrainingFailed where there are none.
    """

    def __init__(self, history, first, best, console):
        super().__init__()
        self.history, self.first, self.best, self.console = history, first, best, console

    def on_epoch_end(self, epoch, logs=None):
        earlier = self.history.stage_rows(self.first, epoch)
        if not earlier:
            return
        peak = max(earlier, key=lambda row: float(row["val_robust_accuracy"]))
        collapsed = logs["val_robust_accuracy"] < 0.5 * float(peak["val_robust_accuracy"])
        if collapsed and logs["robust_accuracy"] > float(peak["robust_accuracy"]):
            message = (
                f"catastrophic overfitting in epoch {epoch + 1}: accuracy under PGD fell from"
                f" {float(peak['val_robust_accuracy']):.1%} to {logs['val_robust_accuracy']:.1%} while it rose under"
                " the single-step attack of training"
            )
            if not self.best.path.exists():
                raise TrainingFailed(f"{message}; try a smaller first eps or learning rate, or --attack=pgd")
            self.console.print(f"{message}; the best epoch before it is kept", highlight=False, soft_wrap=True)
            self.model.stop_training = True


def improves(rows):
    """Whether the adversarial validation loss of the last epoch is below all before."""
    *earlier, last = [float("inf"), *(float(row["val_adversarial_loss"]) for row in rows)]
    return not earlier or last < min(earlier)


class ExtendWhileImproving(keras.callbacks.Callback):
    """Ends training at the first epoch from `last` on that does not improve (thesis: carry on for longer)."""

    def __init__(self, history, first, last):
        super().__init__()
        self.history, self.first, self.last = history, first, last

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 >= self.last and not improves(self.history.stage_rows(self.first)):
            self.model.stop_training = True


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
