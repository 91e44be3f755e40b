"""Images in memory or in files -> tf.data of (x float32 in [0, 1], y), and the split into training and held-out images.

The order of training images is a function of (seed, training step) alone: a resumed run continues in the same order.
"""

import contextlib
import re

import numpy as np
import tensorflow as tf

from robust_tf.data.augment import augment
from robust_tf.data.held_out import held_out
from robust_tf.data.pixels import pixels
from robust_tf.refusal import Refusal

SMALL = 2**28  # bytes; TensorFlow indexes a constant faster than NumPy an array, but takes four times its memory


def split_validation(images, labels, seed):
    """Holds out min(2000, N // 5) of N training images, drawn with `seed` without replacement.

    Returns:
      (images, labels) to train on and (images, labels) held out.
    """
    order = np.random.default_rng(seed).permutation(len(images))
    n = held_out(len(images))
    validation, train = np.sort(order[:n]), np.sort(order[n:])
    return (images[train], labels[train]), (images[validation], labels[validation])


def with_pixels(images, labels):
    """(pixels, labels) of stored images."""
    return pixels(images), labels


def reader(images):
    """indices [B] -> images uint8 [B, H, W, C], as a function for tf.data.

    images: an array or `image_files.ImageFiles`.
    """
    if isinstance(images, np.ndarray) and images.nbytes <= SMALL:
        stored = tf.constant(images)
        return lambda index: tf.gather(stored, index)

    def read(index):
        found = tf.numpy_function(lambda index: np.asarray(images[index]), [index], tf.uint8, stateful=False)
        return tf.ensure_shape(found, (index.shape[0], *images.shape[1:]))

    return read


@contextlib.contextmanager
def refusals():
    """Raises the Refusal of `reader` where TensorFlow raises an error of its own that quotes it."""
    try:
        yield
    except tf.errors.OpError as error:
        quoted = re.search(r"\bRefusal: (.*)", str(error.message))
        if quoted is None:
            raise
        raise Refusal(quoted[1]) from None


def stream(images, labels, batch_size, seed, first_step=0, varied=(), num_parts=1, parts=None):
    """Endless batches of training images from training step `first_step` on; N // batch_size full batches per epoch.

    Each epoch has its own order, a pseudo-random permutation that is computed index by index. `varied` is the data
    augmentation, see `augment`. Each batch comes as `num_parts` equal parts, one after the other, or as those of them
    whose numbers are in the range `parts`.
    """
    steps, B = len(images) // batch_size, batch_size // num_parts
    parts = parts or range(num_parts)
    read, labels = reader(images), tf.constant(labels)

    def batch(number):
        step, part = first_step + number // len(parts), parts.start + number % len(parts)
        epoch, position = step // steps, step % steps
        places = position * batch_size + part * B + tf.range(B, dtype=tf.int64)  # [B]
        key = tf.stack([tf.cast(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(places, key, tf.cast(len(images) - 1, tf.int64))
        x, y = with_pixels(read(index), tf.gather(labels, index))
        return augment(x, seed, step, varied, (part, num_parts)), y

    counter = tf.data.Dataset.counter()
    return counter.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def batches(images, labels, batch_size):
    """All images once, in order."""
    starts = np.arange(0, len(images), batch_size)
    return sections(images, labels, starts, np.minimum(starts + batch_size, len(images)))


def sections(images, labels, begin, end):
    """The images from begin[i] up to, but without, end[i], as one batch for each i."""
    read, labels = reader(images), tf.constant(labels)
    data = tf.data.Dataset.from_tensor_slices((begin, end))
    data = data.map(lambda a, b: with_pixels(read(tf.range(a, b)), labels[a:b]), num_parallel_calls=tf.data.AUTOTUNE)
    return data.prefetch(tf.data.AUTOTUNE)
