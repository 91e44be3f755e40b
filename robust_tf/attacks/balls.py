"""For each norm ball: projection onto it, direction of steepest ascent, uniform sample.

Each function takes a batch of perturbations [B, ...] and treats every image separately.
"""

from typing import NamedTuple

import tensorflow as tf


class Ball(NamedTuple):
    """project(delta, eps); ascend(grad), of unit norm; uniform(shape, eps, seed [2])."""

    project: callable
    ascend: callable
    uniform: callable


def l2_norm(delta):
    """||delta||_2 of each image, [B, 1, ..., 1]; the floor 1e-12 keeps a zero gradient at zero."""
    axes = list(range(1, delta.shape.rank))
    return tf.maximum(tf.sqrt(tf.reduce_sum(delta**2, axes, keepdims=True)), 1e-12)


def _l2_uniform(shape, eps, seed):
    """Uniform in the ball: a uniform direction times eps * u^(1/d), u ~ U(0, 1)."""
    direction_seed, radius_seed = tf.unstack(tf.random.split(seed, 2))
    direction = tf.random.stateless_normal(shape, direction_seed)
    dimensions = tf.cast(tf.reduce_prod(tf.shape(direction)[1:]), tf.float32)
    u = tf.random.stateless_uniform(tf.shape(l2_norm(direction)), radius_seed)
    return eps * u ** (1 / dimensions) * direction / l2_norm(direction)


BALLS = {
    "linf": Ball(
        project=lambda delta, eps: tf.clip_by_value(delta, -eps, eps),
        ascend=tf.sign,
        uniform=lambda shape, eps, seed: eps * tf.random.stateless_uniform(shape, seed, -1.0, 1.0),
    ),
    "l2": Ball(
        project=lambda delta, eps: delta * tf.minimum(1.0, eps / l2_norm(delta)),
        ascend=lambda grad: grad / l2_norm(grad),
        uniform=_l2_uniform,
    ),
}
