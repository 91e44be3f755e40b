"""Checkpoints: what a run needs to resume."""

import tensorflow as tf
import tf_keras as keras

from robust_tf.refusal import Refusal
from robust_tf.training.workers import LOST


class Checkpoints(keras.callbacks.Callback):
    """Saves a checkpoint after every `every`-th epoch and after the stage's last one, number end_epoch - 1."""

    def __init__(self, manager, epoch, every, end_epoch):
        super().__init__()
        self.manager, self.epoch, self.every, self.end_epoch = manager, epoch, every, end_epoch

    def on_epoch_end(self, epoch, logs=None):
        if self.model.stop_training:
            return  # the stage ends with this epoch; a run that is killed now trains it again, with the same result
        self.epoch.assign(epoch + 1)
        if (epoch + 1) % self.every == 0 or epoch + 1 >= self.end_epoch:
            save(self.manager)


def save(manager):
    """Saves a checkpoint; raises OSError where that fails, for example on a full disk."""
    try:
        manager.save()
    except LOST:  # another worker is lost
        raise
    except tf.errors.OpError as error:
        raise OSError(f"expected to save a checkpoint in {manager.directory}; got {error.message}") from error


def restored(state, folder):
    """Restores `state` from the latest checkpoint in `folder`, if there is one; returns the folder's CheckpointManager.

    Raises an exception where the checkpoint is of another model.
    """
    manager = tf.train.CheckpointManager(state, folder, max_to_keep=1)
    if manager.latest_checkpoint:
        status = state.restore(manager.latest_checkpoint)
        try:
            status.assert_existing_objects_matched()
        except AssertionError:
            status.expect_partial()  # else `status` logs a long warning when it is deleted
            raise
    return manager


def read(path, load):
    """Calls load(path); raises Refusal where the file of an earlier run is damaged or of another net."""
    try:
        return load(path)
    except Exception as error:  # h5py and TensorFlow raise many types
        reason = [*str(error).splitlines(), ""][0]
        raise Refusal(
            f"expected a readable checkpoint in {path}; got {reason}; delete it to train that stage again"
        ) from error
