"""Stored images -> pixels in [0, 1], and iteration over batches of images."""

import numpy as np
import tensorflow as tf


def pixels(images):
    """uint8 -> float32 in [0, 1], a tensor; images in files are read; floats, pixels already, only become float32."""
    x = images if tf.is_tensor(images) else np.asarray(images)
    return tf.cast(x, tf.float32) if tf.as_dtype(x.dtype).is_floating else tf.cast(x, tf.float32) / 255


def in_batches(images, labels, batch_size):
    """Yields (index of the first image, x float32 [B, H, W, C] in [0, 1], y [B]) for batches of images.

    Of images in files only a batch is in memory.
    """
    for start in range(0, len(images), batch_size):
        chosen = slice(start, start + batch_size)
        yield start, pixels(images[chosen]), labels[chosen]


def mapped(function, images, batch_size=500):
    """function(x) of images [N, ...], stored ones or float32 x, computed in batches, as one array."""
    parts = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    return np.concatenate([function(pixels(part).numpy() if part.dtype == np.uint8 else part) for part in parts])
