"""Data augmentation: random shifts by up to 4 pixels, mirroring, rotation by up to 15 degrees.

The augmentation of an image is a function of (seed, training step, its position in the batch).
"""

import math

import tensorflow as tf

SHIFT, ANGLE = 4, math.radians(15)


def augment(x, seed, step, kinds, share=(0, 1)):
    """The augmented images x [B, H, W, C]; pixels from outside an image are black.

    One affine map per image, interpolated bilinearly: a point of the result has the value of x at
    c + t + R(angle) diag(f, 1) (point - c), with c the centre, t the shift and f = -1 for a mirrored image.

    Args:
      x: images [B, H, W, C] in [0, 1].
      seed, step: integers or scalars.
      kinds: some of "crop" (integer t, uniform in [-4, 4] on both axes: a random crop of the image padded by 4),
        "flip" (f = -1 with probability 1/2), "rotate" (angle uniform within 15 degrees) and "none".
      share: (part, num_parts): x is part number `part` of a batch of `num_parts` equal parts.
    """
    if set(kinds) <= {"none"}:
        return x
    B, H, W = tf.shape(x)[0], x.shape[1], x.shape[2]
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    key = tf.random.experimental.stateless_fold_in(key, 1)  # independent of the attack's random numbers at this step
    part, num_parts = share
    drawn = tf.random.stateless_uniform([num_parts * B, 4], key)[tf.cast(part, tf.int32) * B :][:B]
    shift, mirror, turn = tf.split(drawn, [2, 1, 1], axis=1)
    zero = tf.zeros([B, 1])
    t = tf.floor(shift * (2 * SHIFT + 1)) - SHIFT if "crop" in kinds else tf.zeros([B, 2])
    f = tf.where(mirror < 0.5, -1.0, 1.0) if "flip" in kinds else zero + 1
    angle = (2 * turn - 1) * ANGLE if "rotate" in kinds else zero
    cos, sin = tf.cos(angle), tf.sin(angle)
    cx, cy = (W - 1) / 2, (H - 1) / 2
    rows = [f * cos, -sin, cx + t[:, :1] - f * cos * cx + sin * cy]
    rows += [f * sin, cos, cy + t[:, 1:] - f * sin * cx - cos * cy]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x, transforms=tf.concat([*rows, zero, zero], axis=1), output_shape=[H, W], fill_value=0.0,
        interpolation="BILINEAR", fill_mode="CONSTANT",
    )  # fmt: skip
