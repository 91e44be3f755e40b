"""Default lengths of training, by the size of the data set: small sets need smaller batches and more epochs."""

from robust_tf.data.held_out import held_out

BATCH_SIZE, SMALLEST = 128, 16
EPOCHS, MOST = 20, 100
STEPS = 10  # least training steps in an epoch, where batches may become smaller
TOTAL = 1000  # least training steps of the main stage, where epochs may become more


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
