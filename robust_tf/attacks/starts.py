"""Random starts of the training attack inside the ball: functions (shape, eps, norm, seed) -> delta.

Stripes and blocks are structured corners of the ball. There Square (Andriushchenko et al., arXiv 1912.00049) finds
adversarial images that gradient attacks from uniform starts miss.
"""

import tensorflow as tf

from robust_tf.attacks import STARTS
from robust_tf.attacks.balls import BALLS


def _signs(shape, seed):
    """-1 or 1 with equal probability."""
    return 2.0 * tf.cast(tf.random.stateless_uniform(shape, seed) < 0.5, tf.float32) - 1.0


def uniform(shape, eps, norm, seed):
    """A uniform point of the ball."""
    return BALLS[norm].uniform(shape, eps, seed)


def stripes(shape, eps, norm, seed):
    """+-eps, one sign for each column and channel (L-inf)."""
    batch, _, width, channels = tf.unstack(shape)
    return tf.broadcast_to(eps * _signs((batch, 1, width, channels), seed), shape)


def blocks(shape, eps, norm, seed, side=4):
    """+-eps, one sign for each channel of blocks of `side` x `side` pixels (L-inf)."""
    batch, height, width, channels = tf.unstack(shape)
    signs = _signs((batch, -(-height // side), -(-width // side), channels), seed)
    return eps * tf.repeat(tf.repeat(signs, side, 1), side, 2)[:, :height, :width]


def gaussian(shape, eps, norm, seed):
    """0.001 * N(0, 1): the start of TRADES, whose KL divergence has zero gradient at x."""
    return 0.001 * tf.random.stateless_normal(shape, seed)


def start(x, eps, norm, seed, names, share=(0, 1)):
    """x + delta in [0, 1], with one of the named starts drawn for each image; x itself without names.

    Args:
      x: images [B, H, W, C] in [0, 1].
      eps: radius.
      norm: of the ball.
      seed: two integers, or [B, 2], a pair for each image, whose start then depends on no other image.
      names: of STARTS; each is drawn with equal probability.
      share: (part, num_parts): x is part number `part` of a batch of `num_parts` equal parts, and gets the random
        numbers that it would get in the whole batch.
    """
    if not names:
        return x
    seed = tf.convert_to_tensor(seed)
    if seed.shape.rank == 2:
        radii = tf.broadcast_to(eps, tf.stack([tf.shape(x)[0], 1, 1, 1]))
        one = lambda own: start(own[0][None], own[1][None], norm, own[2], names)[0]
        return tf.map_fn(one, (x, radii, seed), fn_output_signature=x.dtype)
    part, num_parts = share
    B = tf.shape(x)[0]
    shape = tf.concat([[num_parts * B], tf.shape(x)[1:]], 0)
    if len(names) == 1:
        delta = STARTS[names[0]](shape, eps, norm, seed)
    else:
        draw_seed, *seeds = tf.unstack(tf.random.split(seed, 1 + len(names)))
        drawn = tf.random.stateless_uniform(shape[:1], draw_seed, 0, len(names), tf.int32)  # [num_parts * B]
        deltas = [STARTS[name](shape, eps, norm, one) for name, one in zip(names, seeds)]
        delta = sum(tf.cast(drawn == i, x.dtype)[:, None, None, None] * one for i, one in enumerate(deltas))
    return tf.clip_by_value(x + delta[part * B : (part + 1) * B], 0.0, 1.0)
