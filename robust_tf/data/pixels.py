"""Stored images -> pixels in [0, 1], and iteration over batches of images."""

import numpy as np
import tensorflow as tf


def pixels(images):
    """uint8 -> float32 in [0, 1], a tensor."""
    return tf.cast(images, tf.float32) / 255


def in_batches(images, labels, batch_size):
    """Yields (index of the first image, x float32 [B, H, W, C] in [0, 1], y [B]) for batches of uint8 images."""
    for start in range(0, len(images), batch_size):
        chosen = slice(start, start + batch_size)
        yield start, pixels(images[chosen]), labels[chosen]


def mapped(function, x, batch_size=500):
    """function(x) of images x [N, ...], computed in batches, as one array."""
    return np.concatenate([function(x[start : start + batch_size]) for start in range(0, len(x), batch_size)])
