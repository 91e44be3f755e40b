"""Shows a progress bar and prints a line for each epoch."""

import tf_keras as keras


class EpochReport(keras.callbacks.Callback):
    """Advances a task of `progress` at each training step, and prints a line after each epoch."""

    def __init__(self, progress, stage, steps, last_epoch):
        super().__init__()
        self.progress, self.stage, self.last_epoch = progress, stage.name, last_epoch
        self.adversarial = stage.adversarial
        self.task = progress.add_task(stage.name, total=steps, unit="steps")

    def on_train_batch_end(self, batch, logs=None):
        self.progress.advance(self.task)

    def on_epoch_end(self, epoch, logs=None):
        proven = f", {logs['val_certified_accuracy']:.1%} certified" if "val_certified_accuracy" in logs else ""
        kept = f", k {int(logs['k']):,}, validated at {logs['validated_at']:,} weights" if "k" in logs else ""
        self.progress.console.print(
            f"{self.stage} epoch {epoch + 1}/{self.last_epoch}: loss {logs['loss']:.3f}{self.parts(logs)},"
            f" validation accuracy {logs['val_accuracy']:.1%} clean, {logs['val_robust_accuracy']:.1%} under"
            f" PGD{proven} (training eps {logs['eps']:.3g}{kept}, {logs['seconds']:.0f} s)",
            highlight=False,
            soft_wrap=True,
        )

    def parts(self, logs):
        """ " (clean 0.1, adversarial 0.3, penalty 0.02)": the parts of the loss, before their weights, if several."""
        found = {"penalty": logs["penalty"]} if logs["penalty"] else {}
        if self.adversarial:
            worst = "bounds" if self.model.certifies else "adversarial"
            found = {"clean": logs["clean_loss"], worst: logs["adversarial_loss"], **found}
        return f" ({', '.join(f'{name} {value:.3f}' for name, value in found.items())})" if found else ""
