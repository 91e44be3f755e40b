"""SPSA (Uesato et al., arXiv 1802.05666): gradients estimated from scores alone, Adam; L-inf."""

import functools

import tensorflow as tf

from robust_tf.attacks.margin import margin
from robust_tf.attacks.seeds import each, rows

BETAS, TINY = (0.9, 0.999), 1e-8  # Adam's
BITS = 32  # of a random integer


def spsa(logits_fn, x, y, *, eps, steps=100, samples=32, delta=0.01, learning_rate=0.01, seed=0):
    """Descends the margin z_y - max_{i != y} z_i along

        g = mean over random signs v in {-1, 1}^D of  (margin(x' + delta v) - margin(x' - delta v)) / (2 delta)  v

    with Adam, and projects onto the ball and [0, 1] after each step, which takes 2 * samples + 1 evaluations. An image
    is not changed any more once it is misclassified. CleverHans' version takes one image at a time.

    Args:
      logits_fn: images [B, H, W, C] -> scores [B, K]; no gradient is taken.
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].
      steps: gradient steps of Adam.
      samples: sign vectors per gradient step.
      delta: step of the finite differences, in pixels.
      learning_rate: Adam's, in pixels.
      seed: one integer or several, or a seed for each image, int32 [B, 2] (`attacks.seeds`).

    Returns:
      x_adv [B, H, W, C]: the point of the smallest margin, x included.
    """
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    if eps == 0:
        return x
    run = _compiled(logits_fn, steps, samples, delta, learning_rate)
    return run(x, y, tf.constant(eps, tf.float32), tf.constant(rows(seed, x)))


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn, steps, samples, delta, learning_rate):
    image, label = tf.TensorSpec((None, None, None, None)), tf.TensorSpec((None,), tf.int32)

    @tf.function(input_signature=(image, label, tf.TensorSpec(()), tf.TensorSpec((None, 2), tf.int32)))
    def run(x, y, eps, seeds):
        wide = lambda a: a[:, None, None, None]
        low, high = tf.maximum(x - eps, 0.0), tf.minimum(x + eps, 1.0)

        def estimate(x_adv, t):
            """One sample after the other: all at once would take `samples` times the memory."""
            # Bit i of an image's numbers is the sign of sample i: an image draws once for BITS samples.
            shape = tf.concat([[-(-samples // BITS)], tf.shape(x)[1:]], 0)
            fold, draw = tf.random.experimental.stateless_fold_in, tf.random.stateless_uniform
            bits = each(lambda seed: draw(shape, fold(seed, t), None, None, tf.int32), seeds, tf.int32)

            def add(i, total):
                h = tf.where(tf.bitwise.right_shift(bits[:, i // BITS], i % BITS) & 1 > 0, delta, -delta)  # delta v
                ahead, behind = tf.split(margin(logits_fn(tf.concat([x_adv + h, x_adv - h], 0)), y2), 2)
                return i + 1, total + wide(ahead - behind) / (2 * h)

            y2 = tf.concat([y, y], 0)
            return tf.while_loop(lambda i, _: i < samples, add, (0, tf.zeros_like(x)))[1] / samples

        def step(t, x_adv, m, v, best, least):
            grad = estimate(x_adv, t)
            m, v = (beta * a + (1 - beta) * b for beta, a, b in zip(BETAS, (m, v), (grad, grad**2)))
            count = tf.cast(t + 1, tf.float32)
            m_hat, v_hat = (a / (1 - beta**count) for beta, a in zip(BETAS, (m, v)))
            x_adv = tf.clip_by_value(x_adv - learning_rate * m_hat / (tf.sqrt(v_hat) + TINY), low, high)
            now = margin(logits_fn(x_adv), y)
            better = (now < least) & (least >= 0)
            return t + 1, x_adv, m, v, tf.where(wide(better), x_adv, best), tf.where(better, now, least)

        zeros, least = tf.zeros_like(x), margin(logits_fn(x), y)
        going = lambda t, *state: (t < steps) & tf.reduce_any(state[-1] >= 0)
        return tf.while_loop(going, step, (0, x, zeros, zeros, x, least))[4]

    return run
