"""Seeds of an attack's random numbers, one for each image: batches and their order do not change the numbers."""

import numpy as np
import tensorflow as tf


def of_images(seed, numbers):
    """int32 [B, 2], a seed for each image: a function of `seed`, one integer or several, and of the image's number.

    Nearby seeds give unrelated random numbers (NumPy's SeedSequence; TensorFlow scrambles the pairs).
    """
    return np.stack(np.broadcast_arrays(_key(*np.atleast_1d(seed)), np.asarray(numbers, np.int32)), 1)


def rows(seed, x):
    """The argument `seed` of an attack on images x, int32 [B, 2]; integers are a seed of images number 0 to B - 1."""
    return np.asarray(seed, np.int32) if np.ndim(seed) == 2 else of_images(seed, range(len(x)))


def derived(seeds, *parts):
    """Other seeds [B, 2] of the same images, a function of `parts` too, such as the numbers of a restart and target."""
    return seeds ^ np.array([_key(*parts), 0], np.int32)


def each(draw, seeds, dtype=tf.float32):
    """draw(seed [2]) of each row of seeds [B, 2], stacked; draw returns a tensor of dtype."""
    return tf.map_fn(draw, seeds, fn_output_signature=dtype)


def _key(*parts):
    (key,) = np.random.SeedSequence(parts).generate_state(1).astype(np.int32)
    return key
