"""history.csv: one row for each epoch."""

import math
import time
from pathlib import Path

import tf_keras as keras

from robust_tf.records.history import FIELDS, HistoryRow, read_history, write_history


class History(keras.callbacks.Callback):
    """Appends one row for each epoch to history.csv; first removes the rows of epochs that a resumed run repeats."""

    def __init__(self, path, stage, first_epoch):
        super().__init__()
        self.path, self.stage = Path(path), stage
        write_history(self.path, [row for row in read_history(self.path) if row.epoch < first_epoch])

    def stage_rows(self, first, end=math.inf):
        """The rows of epochs [first, end)."""
        return [row for row in read_history(self.path) if first <= row.epoch < end]

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.perf_counter() - self.started, 1)
        figures = {name: float(logs[name]) for name in FIELDS if name in logs}
        row = HistoryRow(epoch=epoch, stage=self.stage, **figures)
        write_history(self.path, [*read_history(self.path), row])
