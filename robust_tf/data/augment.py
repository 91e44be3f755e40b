"""Training images varied at random: shifted by up to 4 pixels, mirrored, turned by up to 15 degrees.

What an image gets is a function of (seed, step, its place in the batch).
"""

import math

import tensorflow as tf

SHIFT, ANGLE = 4, math.radians(15)


def augment(x, seed, step, kinds, share=(0, 1)):
    """The images x [B, H, W, C], varied; black comes in at the edges.

    One affine map an image, interpolated bilinearly: a point of the result is looked up at
    c + t + R(angle) diag(f, 1) (point - c), with c the centre, t the shift and f = -1 for a mirrored image.

    Args:
      x: images [B, H, W, C] in [0, 1].
      seed, step: integers or scalars.
      kinds: of "crop" (t whole, uniform in [-4, 4] on both axes: a random crop of the image padded by 4), "flip"
        (f = -1 for half of the images) and "rotate" (angle uniform within 15 degrees).
      share: (which, of): x is this part of a batch `of` times as large.
    """
    if set(kinds) <= {"none"}:
        return x
    B, H, W = tf.shape(x)[0], x.shape[1], x.shape[2]
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    key = tf.random.experimental.stateless_fold_in(key, 1)  # apart from the attack's draws at this step
    which, of = share
    drawn = tf.random.stateless_uniform([of * B, 4], key)[tf.cast(which, tf.int32) * B :][:B]
    shift, side, turn = tf.split(drawn, [2, 1, 1], axis=1)
    zero = tf.zeros([B, 1])
    t = tf.floor(shift * (2 * SHIFT + 1)) - SHIFT if "crop" in kinds else tf.zeros([B, 2])
    f = tf.where(side < 0.5, -1.0, 1.0) if "flip" in kinds else zero + 1
    angle = (2 * turn - 1) * ANGLE if "rotate" in kinds else zero
    cos, sin = tf.cos(angle), tf.sin(angle)
    cx, cy = (W - 1) / 2, (H - 1) / 2
    rows = [f * cos, -sin, cx + t[:, :1] - f * cos * cx + sin * cy]
    rows += [f * sin, cos, cy + t[:, 1:] - f * sin * cx - cos * cy]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x, transforms=tf.concat([*rows, zero, zero], axis=1), output_shape=[H, W], fill_value=0.0,
        interpolation="BILINEAR", fill_mode="CONSTANT",
    )  # fmt: skip
