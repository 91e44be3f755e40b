"""Arrays -> tf.data of (x float32 in [0, 1], y), and the split into training and held-out images.

The order of training images is a function of (seed, training step) alone: a resumed run continues in the same order.
"""

import numpy as np
import tensorflow as tf

from robust_tf.data.augment import augment
from robust_tf.data.held_out import held_out
from robust_tf.data.pixels import pixels


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


def stream(images, labels, batch_size, seed, first_step=0, varied=(), num_parts=1, parts=None):
    """Endless batches of training images from training step `first_step` on; N // batch_size full batches per epoch.

    Each epoch has its own order, a pseudo-random permutation that is computed index by index. `varied` is the data
    augmentation, see `augment`. Each batch comes as `num_parts` equal parts, one after the other, or as those of them
    whose numbers are in the range `parts`.
    """
    steps, B = len(images) // batch_size, batch_size // num_parts
    parts = parts or range(num_parts)
    images, labels = tf.constant(images), tf.constant(labels)

    def batch(number):
        step, part = first_step + number // len(parts), parts.start + number % len(parts)
        epoch, position = step // steps, step % steps
        places = position * batch_size + part * B + tf.range(B, dtype=tf.int64)  # [B]
        key = tf.stack([tf.cast(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(places, key, tf.cast(len(images) - 1, tf.int64))
        x, y = with_pixels(tf.gather(images, index), tf.gather(labels, index))
        return augment(x, seed, step, varied, (part, num_parts)), y

    counter = tf.data.Dataset.counter()
    return counter.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def batches(images, labels, batch_size):
    """All images once, in order."""
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)
    return data.map(with_pixels, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
