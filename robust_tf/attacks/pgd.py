"""Projected gradient descent (Madry et al., arXiv 1706.06083), in the graph: the training attack."""

import tensorflow as tf

from robust_tf.attacks.balls import BALLS
from robust_tf.attacks.loops import repeated
from robust_tf.attacks.starts import start


def step_size(eps, steps):
    """alpha = min(eps, 2.5 * eps / steps), the thesis' step size; eps if steps = 0."""
    return tf.minimum(eps, 2.5 * eps / tf.cast(tf.maximum(steps, 1), tf.float32))


def pgd(
    logits_fn,
    x,
    y,
    *,
    eps,
    steps,
    alpha=None,
    norm="linf",
    starts=("uniform",),
    seed=(0, 0),
    objective=None,
    share=(0, 1),
):
    """x_adv <- clip_[0,1](x + Pi_eps(x_adv + alpha * ascend(grad L(x_adv)) - x)), `steps` times.

    L is summed over the batch, so that each image's gradient depends on this image only.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K], in inference mode.
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius, in pixels of [0, 1] ("linf") or their Euclidean length ("l2"); may be a variable.
      steps: gradient steps; may be a variable.
      alpha: step size in the unit of eps; None means `step_size`.
      norm: "linf" or "l2".
      starts: names of STARTS, one drawn at random for each image; without names the attack starts at x (IFGSM).
      seed: two integers that determine the start, or [B, 2], two for each image.
      objective: L of each image, logits [B, K] -> [B]; None means the cross-entropy with y.
      share: (part, num_parts) if x is a part of a larger batch, see `starts.start`.

    Returns:
      x_adv [B, H, W, C].
    """
    ball = BALLS[norm]
    eps = tf.convert_to_tensor(eps, tf.float32)
    steps = tf.convert_to_tensor(steps, tf.int32)
    alpha = step_size(eps, steps) if alpha is None else alpha

    def ascend(x_adv):
        moved = x_adv + alpha * ball.ascend(gradient(logits_fn, x_adv, y, objective))
        # A net that was traced for images of any size has gradients of unknown shape, which the loop refuses.
        return tf.ensure_shape(tf.clip_by_value(x + ball.project(moved - x, eps), 0.0, 1.0), x_adv.shape)

    # Keras traces train_step without AutoGraph, hence an explicit loop.
    step = lambda t, x_adv: (t + 1, ascend(x_adv))
    return repeated(lambda t, _: t < steps, step, (0, start(x, eps, norm, seed, starts, share)))[1]


def noisy_step(logits_fn, x, y, noise, *, alpha, seed, objective=None, share=(0, 1)):
    """N-FGSM (de Jorge et al., arXiv 2202.01181): clip_[0,1](x' + alpha sign(grad L(x'))), x' = x + U(-noise, noise).

    Neither x' nor the result is projected onto a ball around x, from which it may be noise + alpha away. Arguments as
    of `pgd`; noise in pixels.
    """
    part, num_parts = share
    B = tf.shape(x)[0]
    shape = tf.concat([[num_parts * B], tf.shape(x)[1:]], 0)
    drawn = tf.random.stateless_uniform(shape, seed, -1.0, 1.0)[part * B : (part + 1) * B]
    start_at = x + noise * drawn
    return tf.clip_by_value(start_at + alpha * tf.sign(gradient(logits_fn, start_at, y, objective)), 0.0, 1.0)


def gradient(logits_fn, x, y, objective=None):
    """grad_x of the sum of L over the batch, by default of the cross-entropy with y."""
    if objective is None:
        objective = lambda z: tf.nn.sparse_softmax_cross_entropy_with_logits(y, z)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        loss = tf.reduce_sum(objective(logits_fn(x)))
    return tape.gradient(loss, x, unconnected_gradients="zero")
