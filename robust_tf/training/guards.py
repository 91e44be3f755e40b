"""What ends a stage early, because it has broken, or late, because it still improves."""

import math

import tensorflow as tf
import tf_keras as keras


class TrainingFailed(RuntimeError):
    """Training cannot go on."""


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
