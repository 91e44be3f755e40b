"""Arrays -> tf.data of (x float32 in [0, 1], y), and the validation split.

The order of training images is a function of (seed, step) alone, so that a resumed run sees what it would have seen.
"""

import numpy as np
import tensorflow as tf

from robust_tf.data.augment import augment

VALIDATION = 2000


def held_out(train_images):
    """How many of them validate."""
    return min(VALIDATION, train_images // 5)


def split_validation(images, labels, seed):
    """Holds out min(2000, N // 5) of N training images, drawn without replacement by `seed`.

    Returns:
      (images, labels) to train on and (images, labels) to validate on.
    """
    order = np.random.default_rng(seed).permutation(len(images))
    n = held_out(len(images))
    validation, train = np.sort(order[:n]), np.sort(order[n:])
    return (images[train], labels[train]), (images[validation], labels[validation])


def to_pixels(images, labels):
    """uint8 -> float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255, labels


def stream(images, labels, batch_size, seed, first_step=0, varied=(), of=1, parts=None):
    """Endless batches of training images from `first_step` on; an epoch is N // batch_size full batches.

    Each epoch visits the images in an order of its own, a pseudo-random permutation computed index by index; `varied`
    says how they are augmented. A batch comes in `of` equal parts, one after the other; `parts`, a range, are those
    that come, by default all.
    """
    steps, B = len(images) // batch_size, batch_size // of
    parts = parts or range(of)
    images, labels = tf.constant(images), tf.constant(labels)

    def batch(number):
        step, which = first_step + number // len(parts), parts.start + number % len(parts)
        epoch, position = step // steps, step % steps
        places = position * batch_size + which * B + tf.range(B, dtype=tf.int64)  # [B]
        key = tf.stack([tf.cast(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(places, key, tf.cast(len(images) - 1, tf.int64))
        x, y = to_pixels(tf.gather(images, index), tf.gather(labels, index))
        return augment(x, seed, step, varied, (which, of)), y

    counter = tf.data.Dataset.counter()
    return counter.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def batches(images, labels, batch_size):
    """All images once, in order."""
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)
    return data.map(to_pixels, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
