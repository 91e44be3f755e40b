"""run_stage: trains one stage of a run with Keras' fit, and resumes it from its checkpoint."""

from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras

from robust_tf.files import replace
from robust_tf.refusal import Refusal
from robust_tf.terminal import progress_bar
from robust_tf.training import TRAINING_ATTACKS
from robust_tf.training.callbacks.checkpoints import Checkpoints, read, restored
from robust_tf.training.callbacks.constraint_updates import ConstraintUpdates
from robust_tf.training.callbacks.explosion import Explosion
from robust_tf.training.callbacks.extension import ExtendWhileImproving, improves
from robust_tf.training.callbacks.history import History
from robust_tf.training.callbacks.overfitting import CatastrophicOverfitting
from robust_tf.training.callbacks.pacing import AdaptivePacing
from robust_tf.training.callbacks.progress import EpochReport
from robust_tf.training.callbacks.restore import RestoreAfterFit
from robust_tf.training.callbacks.selection import KeepBest
from robust_tf.training.callbacks.shipping import ShipForValidation
from robust_tf.training.callbacks.stopping import StopWhenAsked
from robust_tf.training.callbacks.support import Support
from robust_tf.training.config import TrainConfig
from robust_tf.training.constraints import CONSTRAINTS
from robust_tf.training.distribution import placed, training_data
from robust_tf.training.losses import balanced
from robust_tf.training.projection import budget
from robust_tf.training.rundir import RunDirectory
from robust_tf.training.stage import interval, k_final_epoch, ramps, stage_model, stage_schedule


class TrainingSetup(NamedTuple):
    """What the stages of a run share.

    run: its RunDirectory.
    devices: TensorFlow's strategy.
    data: (images, labels) to train on; images in memory or in files.
    validation: (batches, number of batches), see `distribution.validation_data`.
    N: kernel weights of the dense net.
    asked: function without arguments: whether the run was asked to stop.
    teacher: the net of --teacher, or None.
    """

    config: TrainConfig
    run: RunDirectory
    devices: tf.distribute.Strategy
    data: tuple
    validation: tuple
    N: int
    asked: callable
    teacher: keras.Model | None = None

    @property
    def steps_per_epoch(self):
        return len(self.data[0]) // self.config.batch_size

    def class_weights(self, net):
        """The weights of the classes of `net` in the training loss; None for equal weights."""
        return balanced(self.data[1], net.output_shape[-1]) if self.config.class_weights == "balanced" else None


def run_stage(setup, net, stage, first_epoch, extends):
    """Trains `net` for the epochs [first_epoch, first_epoch + stage.epochs) of the run; gives it the stage's weights.

    extends: whether the stage is extended while it improves.

    Raises Refusal where the files of an earlier process are damaged, or of more epochs.
    """
    config, end_epoch = setup.config, first_epoch + stage.epochs
    folder = setup.run.path / "checkpoints" / f"{stage.name}-from-{first_epoch}"
    final = folder / f"final-{end_epoch}.weights.h5"
    if final.exists():
        read(final, net.load_weights)
        return
    folder.mkdir(parents=True, exist_ok=True)
    twin = placed(net, setup.devices, config.mixed_precision)
    with setup.devices.scope():
        constraint = CONSTRAINTS[stage.constraint](config, twin)
        first_step, class_weights = first_epoch * setup.steps_per_epoch, setup.class_weights(twin)
        teacher = setup.teacher and placed(setup.teacher, setup.devices)
        model = stage_model(config, twin, stage, constraint, first_step, class_weights, teacher)
    pacing = AdaptivePacing(config.adaptive if stage.adapts else "none", config.tolerance)
    schedule = stage_schedule(config, stage, first_epoch, pacing, setup.steps_per_epoch)
    k_at, rho_at = ramps(config, stage, first_epoch, setup.N, setup.steps_per_epoch, pacing)
    shipping = ShipForValidation(
        constraint, k_at if pacing.moves == "k" else lambda step: budget(config.ratio, setup.N), config.ema
    )
    last_epoch = end_epoch - 1
    selects_from = min(max(schedule.sequences["eps"][-1][0], k_final_epoch(config, stage, first_epoch)), last_epoch)
    monitor = model.strictest if stage.adversarial else "accuracy"
    best = KeepBest(
        twin, folder / "best.weights.h5", monitor, lambda epoch: pacing.at(epoch) >= selects_from or epoch >= last_epoch
    )

    epoch = tf.Variable(first_epoch, trainable=False, dtype=tf.int64)
    support = Support(twin) if stage.constraint else None
    states = {"support": support.state} if support else {}
    state = tf.train.Checkpoint(model=model, epoch=epoch, best=best.best, pacing=pacing.state, **states)
    manager = read(folder, lambda _: restored(state, folder))
    start, steps_done = int(epoch), model.steps_taken % setup.steps_per_epoch  # of an interrupted epoch
    if start > end_epoch and not extends:
        raise Refusal(f"{folder}: expected --epochs >= {start - first_epoch}, as trained; got {stage.epochs}")
    history = History(setup.run.path / "history.csv", stage.name, start)
    may_extend = extends and (start < end_epoch or improves(history.stage_rows(first_epoch)))
    with progress_bar() as progress:
        callbacks = [
            schedule,
            best,  # before `shipping`, so that it sees the weights that were validated
            shipping,
            *([support] if support else []),
            ConstraintUpdates(constraint, interval(config, stage, setup.steps_per_epoch), k_at, rho_at),
            pacing,
            *constraint.callbacks,
            history,
            EpochReport(progress, stage, (end_epoch - start) * setup.steps_per_epoch - steps_done, end_epoch),
            keras.callbacks.TensorBoard(setup.run.path / "tensorboard" / folder.name, write_graph=False),
            *ending(config, stage, first_epoch, end_epoch, may_extend, history, best, progress, manager),
            Checkpoints(manager, epoch, config.checkpoint_every, end_epoch),
            StopWhenAsked(manager, epoch, setup.asked, stage.name),
        ]
        fit(setup, model, start, steps_done, end_epoch if not may_extend else end_epoch + 10**6, callbacks)
    if best.path.exists():
        read(best.path, twin.load_weights)
    else:
        shipping.ship()
    if twin is not net:
        net.set_weights(twin.get_weights())
    replace(final, net.save_weights)


def fit(setup, model, start, steps_done, end, callbacks):
    """Trains the epochs [start, end) with Keras' fit; epoch `start` continues after `steps_done` training steps."""
    if steps_done:  # fit takes one number of steps for all its epochs, so the rest of this epoch needs its own call
        kept = RestoreAfterFit()
        fit_epochs(setup, model, start, steps_done, start + 1, [*callbacks, kept])
        kept.restore()
        start += 1
    if not model.stop_training:
        fit_epochs(setup, model, start, 0, end, callbacks)


def fit_epochs(setup, model, start, steps_done, end, callbacks):
    config, first_step = setup.config, start * setup.steps_per_epoch + steps_done
    validation, validation_steps = setup.validation
    model.fit(
        training_data(setup.devices, setup.data, config.batch_size, config.seed, first_step, config.augment),
        steps_per_epoch=setup.steps_per_epoch - steps_done,
        initial_epoch=start,
        epochs=end,
        validation_data=validation,
        validation_steps=validation_steps,
        verbose=0,
        callbacks=callbacks,
    )


def ending(config, stage, first_epoch, end_epoch, extends, history, best, progress, manager):
    """The callbacks that may end a stage early or extend it; before `Checkpoints`, so that it saves no exploded net."""
    callbacks = [Explosion(history, first_epoch, stage.adversarial, manager, config.stop_on_explosion)]
    if stage.adversarial and TRAINING_ATTACKS[config.attack].single_step:
        callbacks.append(CatastrophicOverfitting(history, first_epoch, best, progress.console))
    if extends:
        callbacks.append(ExtendWhileImproving(history, first_epoch, end_epoch))
    return callbacks
