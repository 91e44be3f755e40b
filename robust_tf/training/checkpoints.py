"""What a run needs to go on where it stopped: saved when it is due, and when the run is asked to stop."""

import contextlib
import threading

import tensorflow as tf
import tf_keras as keras

from robust_tf.refusal import Refusal
from robust_tf.signals import on_sigterm
from robust_tf.training.workers import LOST


class Stopped(Exception):
    """Training was asked to stop, and has saved what it needs to go on."""


@contextlib.contextmanager
def asked_to_stop():
    """A threading.Event that SIGTERM sets, in place of ending the process."""
    asked = threading.Event()
    with on_sigterm(asked.set):
        yield asked


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
    except LOST:  # of several workers one has gone
        raise
    except tf.errors.OpError as error:
        raise OSError(f"expected to save a checkpoint in {manager.directory}; got {error.message}") from error


class StopWhenAsked(keras.callbacks.Callback):
    """Once asked() is true, saves after the step at work, or after the epoch where that validates, and raises Stopped.

    Stands last in the list, so that what is saved is complete.

    Args:
      manager, epoch: as of `Checkpoints`; the optimiser's iterations say how far in the epoch.
      asked: function of nothing; of several workers all call it at the same steps.
      stage: name, for the message.
    """

    def __init__(self, manager, epoch, asked, stage):
        super().__init__()
        self.manager, self.epoch, self.asked, self.stage = manager, epoch, asked, stage

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch.assign(epoch)

    def on_train_batch_end(self, batch, logs=None):
        # At an epoch's last step it is the epoch's end that saves.
        if batch + 1 < self.params["steps"] and self.asked():
            self._stop(f"after step {batch + 1} of {self.params['steps']} of epoch {int(self.epoch) + 1}")

    def on_epoch_end(self, epoch, logs=None):
        if not self.model.stop_training and self.asked():
            self._stop(f"after epoch {epoch + 1}")

    def _stop(self, when):
        save(self.manager)
        raise Stopped(f"asked to stop, saved {when} (stage {self.stage}); the same command goes on")


def restored(state, folder):
    """The CheckpointManager of `folder`, once `state` has been restored from its latest checkpoint, if there is one.

    Raises where that is not of this very model.
    """
    manager = tf.train.CheckpointManager(state, folder, max_to_keep=1)
    if manager.latest_checkpoint:
        status = state.restore(manager.latest_checkpoint)
        try:
            status.assert_existing_objects_matched()
        except AssertionError:
            status.expect_partial()  # else it warns of the same, at length, when it is deleted
            raise
    return manager


def read(path, load):
    """load(path); raises Refusal where what an earlier run left there is damaged or of another net."""
    try:
        return load(path)
    except Exception as error:  # h5py and TensorFlow raise many types
        reason = [*str(error).splitlines(), ""][0]
        raise Refusal(
            f"expected a readable checkpoint in {path}; got {reason}; delete it to train that stage anew"
        ) from error
