"""history.csv: one row an epoch."""

import csv
import math
import time
from pathlib import Path

import tf_keras as keras

from robust_tf.rundir import replace

FIELDS = (
    "epoch", "stage", "seconds", "eps", "steps", "learning_rate", "loss", "clean_loss", "adversarial_loss",
    "accuracy", "robust_accuracy", "val_loss", "val_clean_loss", "val_adversarial_loss", "val_accuracy",
    "val_robust_accuracy", "certified_accuracy", "val_certified_accuracy", "k", "rho", "primal_residual",
    "dual_residual", "nonzero", "churn",
)  # fmt: skip


def rows(path):
    """The rows of history.csv as dicts; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class History(keras.callbacks.Callback):
    """Appends one row an epoch to history.csv; rows of epochs that a resumed run repeats are dropped first."""

    def __init__(self, path, stage, first_epoch):
        super().__init__()
        self.path, self.stage = Path(path), stage
        kept = [row for row in rows(self.path) if int(row["epoch"]) < first_epoch]
        replace(self.path, lambda partial: self._write(partial, kept))

    def _write(self, path, kept):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(kept)

    def stage_rows(self, first, end=math.inf):
        """The rows of epochs [first, end)."""
        return [row for row in rows(self.path) if first <= int(row["epoch"]) < end]

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.perf_counter() - self.started, 1)
        row = {"epoch": epoch, "stage": self.stage, **{name: logs[name] for name in FIELDS if name in logs}}
        replace(self.path, lambda partial: self._write(partial, [*rows(self.path), row]))
