"""Extends the last stage while it improves (thesis: carry on for longer)."""

import tf_keras as keras


def improves(rows):
    """Whether the adversarial validation loss of the last row is below that of all earlier rows."""
    *earlier, last = [float("inf"), *(row.val_adversarial_loss for row in rows)]
    return not earlier or last < min(earlier)


class ExtendWhileImproving(keras.callbacks.Callback):
    """Ends training after the first epoch, from number end_epoch - 1 on, that does not improve."""

    def __init__(self, history, first_epoch, end_epoch):
        super().__init__()
        self.history, self.first_epoch, self.end_epoch = history, first_epoch, end_epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 >= self.end_epoch and not improves(self.history.stage_rows(self.first_epoch)):
            self.model.stop_training = True
