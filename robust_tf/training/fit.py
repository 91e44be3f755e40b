"""run_stage: one stage of a run through Keras' fit, from where an earlier process left it."""

from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras

from robust_tf import rundir
from robust_tf.config import TrainConfig
from robust_tf.refusal import Refusal
from robust_tf.terminal import progress_bar
from robust_tf.training import callbacks, guards
from robust_tf.training.checkpoints import Checkpoints, StopWhenAsked, read, restored
from robust_tf.training.constraint import budget
from robust_tf.training.distribution import placed, training_data
from robust_tf.training.history import History
from robust_tf.training.holds import HOLDS
from robust_tf.training.stage import interval, k_final_epoch, ramps, stage_model, stage_schedule


class Run(NamedTuple):
    """What the stages of a run share.

    devices: TensorFlow's strategy.
    data: (images, labels) to train on.
    validation: (batches, their number), see `distribution.validation_data`.
    N: kernel weights of the dense net.
    asked: function of nothing: whether the run is to stop.
    """

    config: TrainConfig
    workdir: Path
    devices: tf.distribute.Strategy
    data: tuple
    validation: tuple
    N: int
    asked: callable

    @property
    def steps_per_epoch(self):
        return len(self.data[0]) // self.config.batch_size


def run_stage(run, net, stage, first, extends):
    """Trains `net` for the epochs [first, first + stage.epochs) of the run, and leaves in it what the stage ships.

    Raises Refusal where what an earlier process left is damaged, or went further.
    """
    config, last = run.config, first + stage.epochs
    folder = run.workdir / "checkpoints" / f"{stage.name}-from-{first}"
    final = folder / f"final-{last}.weights.h5"
    if final.exists():
        read(final, net.load_weights)
        return
    folder.mkdir(parents=True, exist_ok=True)
    twin = placed(net, run.devices, config.mixed_precision)
    with run.devices.scope():
        hold = HOLDS[stage.held_by](config, twin)
        model = stage_model(config, twin, stage, hold, first * run.steps_per_epoch)
    paced = callbacks.Paced(config.adaptive if stage.held_by == "admm" else "none", config.tolerance)
    schedule = stage_schedule(config, stage, last, paced, run.steps_per_epoch)
    k_at, rho_at = ramps(config, stage, first, run.N, run.steps_per_epoch, paced)
    measured = callbacks.Measured(
        hold, k_at if paced.moves == "k" else lambda step: budget(config.ratio, run.N), config.ema
    )
    selects_from = min(max(schedule.sequences["eps"][-1][0], k_final_epoch(config, stage, first)), last - 1)
    monitor = model.strictest if stage.adversarial else "accuracy"
    best = callbacks.KeepBest(
        twin, folder / "best.weights.h5", monitor, lambda epoch: paced.at(epoch) >= selects_from or epoch >= last - 1
    )

    epoch = tf.Variable(first, trainable=False, dtype=tf.int64)
    state = tf.train.Checkpoint(model=model, epoch=epoch, best=best.best, paced=paced.state)
    manager = read(folder, lambda _: restored(state, folder))
    start, done = int(epoch), model.steps_taken % run.steps_per_epoch  # of an epoch that was broken off
    if start > last and not extends:
        raise Refusal(f"{folder}: expected --epochs of at least {start - first}, as trained; got {stage.epochs}")
    history = History(run.workdir / "history.csv", stage.name, start)
    goes_on = extends and (start < last or guards.improves(history.stage_rows(first)))
    with progress_bar() as progress:
        watched = [
            schedule,
            best,  # before `measured`, so that it sees the weights that were measured
            measured,
            callbacks.Updates(hold, interval(config, stage, run.steps_per_epoch), k_at, rho_at),
            paced,
            *hold.callbacks,
            history,
            callbacks.Report(progress, stage.name, (last - start) * run.steps_per_epoch - done, last),
            keras.callbacks.TensorBoard(run.workdir / "tensorboard" / folder.name, write_graph=False),
            *watchers(config, stage, first, last, goes_on, history, best, progress, manager),
            Checkpoints(manager, epoch, config.checkpoint_every, last),
            StopWhenAsked(manager, epoch, run.asked, stage.name),
        ]
        fit(run, model, start, done, last if not goes_on else last + 10**6, watched)
    if best.path.exists():
        read(best.path, twin.load_weights)
    else:
        measured.ship()
    if twin is not net:
        net.set_weights(twin.get_weights())
    rundir.replace(final, net.save_weights)


def fit(run, model, start, done, end, watched):
    """Keras' fit over the epochs [start, end), of the first of which `done` steps were taken before."""
    if done:  # the rest of an epoch has fewer steps, so that it takes a call of its own, after which
        kept = callbacks.Kept()  # Keras would leave the averages in the place of the weights
        fit_epochs(run, model, start, done, start + 1, [*watched, kept])
        kept.restore()
        start += 1
    if not model.stop_training:
        fit_epochs(run, model, start, 0, end, watched)


def fit_epochs(run, model, start, done, end, watched):
    config, first_step = run.config, start * run.steps_per_epoch + done
    validation, validation_steps = run.validation
    model.fit(
        training_data(run.devices, run.data, config.batch_size, config.seed, first_step, config.augment),
        steps_per_epoch=run.steps_per_epoch - done,
        initial_epoch=start,
        epochs=end,
        validation_data=validation,
        validation_steps=validation_steps,
        verbose=0,
        callbacks=watched,
    )


def watchers(config, stage, first, last, extends, history, best, progress, manager):
    """The callbacks that may end a stage early, or late; before the checkpoints, so that those hold no exploded net."""
    watched = [guards.Explosion(history, first, stage.adversarial, manager)]
    if stage.adversarial and config.attack == "fgsm_rs":
        watched.append(guards.CatastrophicOverfitting(history, first, best, progress.console))
    if extends:
        watched.append(guards.ExtendWhileImproving(history, first, last))
    return watched
