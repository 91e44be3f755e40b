"""Ends a stage of single-step training after catastrophic overfitting."""

import tf_keras as keras

from robust_tf.training.failure import TrainingFailed


class CatastrophicOverfitting(keras.callbacks.Callback):
    """Ends the stage after catastrophic overfitting (Wong et al., arXiv 2001.03994).

    The sign: validation accuracy under PGD is below half of its best value, and training accuracy under the single-step
    attack is above its value in that best epoch. The stage ends with the best weights that `best`, a `KeepBest`, has
    saved; raises TrainingFailed where there are none.
    """

    def __init__(self, history, first_epoch, best, console):
        super().__init__()
        self.history, self.first_epoch, self.best, self.console = history, first_epoch, best, console

    def on_epoch_end(self, epoch, logs=None):
        earlier = self.history.stage_rows(self.first_epoch, epoch)
        if not earlier:
            return
        peak = max(earlier, key=lambda row: row.val_robust_accuracy)
        collapsed = logs["val_robust_accuracy"] < 0.5 * peak.val_robust_accuracy
        if collapsed and logs["robust_accuracy"] > peak.robust_accuracy:
            message = (
                f"catastrophic overfitting in epoch {epoch + 1}: validation accuracy under PGD fell from"
                f" {peak.val_robust_accuracy:.1%} to {logs['val_robust_accuracy']:.1%}, while training accuracy"
                " under the single-step attack rose"
            )
            if not self.best.path.exists():
                raise TrainingFailed(f"{message}; try a smaller learning rate, a smaller first eps or --attack=pgd")
            self.console.print(f"{message}; the stage ends with its best weights", highlight=False, soft_wrap=True)
            self.model.stop_training = True
