"""Ends training where a loss, gradient or weight is not finite, or a loss explodes."""

import math

import tensorflow as tf
import tf_keras as keras

from robust_tf.training.failure import TrainingFailed


class Explosion(keras.callbacks.Callback):
    """Raises TrainingFailed where a loss, gradient or weight is not finite, or the adversarial loss explodes.

    The thesis warns that compression may make the loss explode. With log K the loss of a uniform guess among K classes,
    the training loss has exploded where it exceeds both 2 log K and twice the least loss of the stage's earlier epochs.
    The validation loss has exploded where it exceeds 100 log K: a net may be poor for some epochs after a projection.

    Checkpoints are kept, and the message names the last one.

    Args:
      history: the `History` of the run.
      first_epoch: of the stage.
      adversarial: whether the stage trains on adversarial images; only then is the validation loss checked.
      manager: the CheckpointManager, or None.
      stops: whether a loss that explodes ends training; otherwise only what is not finite does, and history.csv shows
        the explosion (thesis, figures 4.4 and B.4).
    """

    def __init__(self, history, first_epoch, adversarial=True, manager=None, stops=True):
        super().__init__()
        self.history, self.first_epoch, self.adversarial, self.manager = history, first_epoch, adversarial, manager
        self.stops = stops

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        at = f"at step {self.model.steps_taken} of the stage, in epoch {self.epoch + 1}"
        broken = self.model.broken_gradients()
        others = f"; so did the gradients of {', '.join(broken[:3])}" + (" and others" if len(broken) > 3 else "")
        if not math.isfinite(logs["loss"]):
            self._fail(f"the loss became {logs['loss']} {at}{others if broken else ''}")
        if broken:
            self._fail(f"the gradient of {broken[0]} became NaN or infinite {at}")

    def on_epoch_end(self, epoch, logs=None):
        for w in self.model.net.weights:  # the loss may be finite all the same: ReLU turns NaN into 0
            if not bool(tf.reduce_all(tf.math.is_finite(tf.cast(w, tf.float32)))):
                self._fail(f"{w.name.split(':')[0]} became NaN or infinite in epoch {epoch + 1}")
        if self.stops:
            self._check_losses(epoch, logs)

    def _check_losses(self, epoch, logs):
        earlier = [row.adversarial_loss for row in self.history.stage_rows(self.first_epoch, epoch)]
        guess = math.log(self.model.net.output_shape[-1])
        if earlier and logs["adversarial_loss"] > 2 * max(guess, min(earlier)):
            self._fail(f"the adversarial loss exploded to {logs['adversarial_loss']:.3g} in epoch {epoch + 1}")
        if self.adversarial and logs.get("val_adversarial_loss", 0) > 100 * guess:
            loss = logs["val_adversarial_loss"]
            self._fail(f"the adversarial loss of the projected net exploded to {loss:.3g} in epoch {epoch + 1}")

    def _fail(self, what):
        latest = self.manager.latest_checkpoint if self.manager else None
        raise TrainingFailed(
            f"{what}; the stage's last good checkpoint is {latest or 'none'}; try a smaller learning rate, a smaller"
            " first eps or, with admm, a smaller --rho_max"
        )
