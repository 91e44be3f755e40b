"""Where an attack of training starts inside the ball: functions (shape, eps, norm, seed) -> delta.

Corners of the ball with structure, stripes and blocks, are where Square (Andriushchenko et al., arXiv 1912.00049)
finds what gradient attacks from uniform starts miss.
"""

import tensorflow as tf

from robust_tf.attacks.balls import BALLS


def _signs(shape, seed):
    """-1 or 1 with equal chance."""
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
    """0.001 * N(0, 1): TRADES' start, as the gradient of its divergence is zero at x itself."""
    return 0.001 * tf.random.stateless_normal(shape, seed)


FUNCTIONS = {"uniform": uniform, "stripes": stripes, "blocks": blocks, "gaussian": gaussian}


def start(x, eps, norm, seed, names, share=(0, 1)):
    """x + delta in [0, 1], where each image draws one of the named starts; x itself for no names.

    Args:
      x: images [B, H, W, C] in [0, 1].
      eps: radius.
      norm: of the ball.
      seed: two integers.
      names: of FUNCTIONS; an image draws each with equal chance.
      share: (which, of): x is this part of a batch `of` times as large, whose draws it gets.
    """
    if not names:
        return x
    which, of = share
    B = tf.shape(x)[0]
    shape = tf.concat([[of * B], tf.shape(x)[1:]], 0)
    if len(names) == 1:
        delta = FUNCTIONS[names[0]](shape, eps, norm, seed)
    else:
        draw_seed, *seeds = tf.unstack(tf.random.split(seed, 1 + len(names)))
        drawn = tf.random.stateless_uniform(shape[:1], draw_seed, 0, len(names), tf.int32)  # [of * B]
        deltas = [FUNCTIONS[name](shape, eps, norm, one) for name, one in zip(names, seeds)]
        delta = sum(tf.cast(drawn == i, x.dtype)[:, None, None, None] * one for i, one in enumerate(deltas))
    return tf.clip_by_value(x + (delta if of == 1 else delta[which * B : (which + 1) * B]), 0.0, 1.0)
