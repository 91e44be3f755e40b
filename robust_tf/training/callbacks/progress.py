"""Shows a progress bar and prints a line for each epoch."""

import tf_keras as keras


class EpochReport(keras.callbacks.Callback):
    """Advances a task of `progress` at each training step, and prints a line after each epoch."""

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
