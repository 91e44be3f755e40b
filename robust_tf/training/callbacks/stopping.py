"""Saves a checkpoint and stops when the run is asked to stop."""

import contextlib
import threading

import tf_keras as keras

from robust_tf.signals import on_sigterm
from robust_tf.training.callbacks.checkpoints import save


class Stopped(Exception):
    """Training was asked to stop, and has saved a checkpoint."""


@contextlib.contextmanager
def asked_to_stop():
    """A threading.Event that SIGTERM sets, in place of ending the process."""
    asked = threading.Event()
    with on_sigterm(asked.set):
        yield asked


class StopWhenAsked(keras.callbacks.Callback):
    """Once asked() is true, saves a checkpoint after the current training step and raises Stopped.

    In an epoch's last training step it first waits for validation. Must be last in the list of callbacks, so that the
    checkpoint is complete.

    Args:
      manager, epoch: as in `Checkpoints`; the optimiser's iterations tell the position in the epoch.
      asked: function without arguments; all workers call it at the same training steps.
      stage: its name, for the message.
    """

    def __init__(self, manager, epoch, asked, stage):
        super().__init__()
        self.manager, self.epoch, self.asked, self.stage = manager, epoch, asked, stage

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch.assign(epoch)

    def on_train_batch_end(self, batch, logs=None):
        # In an epoch's last training step, on_epoch_end saves.
        if batch + 1 < self.params["steps"] and self.asked():
            self._stop(f"after step {batch + 1} of {self.params['steps']} of epoch {int(self.epoch) + 1}")

    def on_epoch_end(self, epoch, logs=None):
        if not self.model.stop_training and self.asked():
            self._stop(f"after epoch {epoch + 1}")

    def _stop(self, when):
        save(self.manager)
        saved = f"saved a checkpoint {when} (stage {self.stage})"
        raise Stopped(f"asked to stop; {saved}; the same command resumes training")
