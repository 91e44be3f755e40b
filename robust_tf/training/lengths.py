"""Lengths of training: batch size, epochs of the main stage, epochs of dense training before it.

Their defaults depend on the number of training images: small sets need smaller batches and more epochs. Of the user's
own images it is known only once they are read and split; until then lengths that were not given are None.
"""

import dataclasses

from robust_tf.data.held_out import held_out
from robust_tf.training.methods import METHODS

BATCH_SIZE, SMALLEST = 128, 16
EPOCHS, MOST = 20, 100
STEPS = 10  # least training steps in an epoch, where batches may become smaller
TOTAL = 1000  # least training steps of the main stage, where epochs may become more


def with_lengths(config, recorded, train_images):
    """The TrainConfig with the lengths that were not given: those `recorded`, otherwise the defaults.

    Args:
      recorded: {flag: value} of the run that `config` resumes, whose folder may have grown since; {} for a new run.
      train_images: number of training images, validation images included; None where it is not known: lengths that
        depend on it then stay None.
    """
    given = {name: getattr(config, name) for name in ("batch_size", "epochs", "pretrain_epochs")}
    found = recorded | {name: value for name, value in given.items() if value is not None}
    if train_images is not None:
        found.setdefault("batch_size", default_batch_size(train_images))
        found.setdefault("epochs", default_epochs(train_images, found["batch_size"]))
        starts_dense = METHODS[config.method].needs_start and not config.init_from
        found.setdefault("pretrain_epochs", -(-found["epochs"] // 2) if starts_dense else 0)
    return dataclasses.replace(config, **found)


def default_batch_size(train_images):
    """The largest power of two, 16 to 128, with at least 10 training steps an epoch; at most all images."""
    images = train_images - held_out(train_images)
    sizes = [size for size in powers(SMALLEST, BATCH_SIZE) if size * STEPS <= images]
    return max(min(max(sizes, default=SMALLEST), images), 1)


def powers(least, most):
    return [2**n for n in range(least.bit_length() - 1, most.bit_length())]


def default_epochs(train_images, batch_size):
    """Epochs of the main stage: at least 1,000 training steps; from 20 to 100."""
    steps = max((train_images - held_out(train_images)) // batch_size, 1)
    return min(max(-(-TOTAL // steps), EPOCHS), MOST)
