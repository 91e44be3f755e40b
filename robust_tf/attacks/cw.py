"""Carlini and Wagner's attack (arXiv 1608.04644): the nearest misclassified image in L2."""

import functools

import numpy as np
import tensorflow as tf

from robust_tf.attacks.loops import repeated
from robust_tf.attacks.margin import margin

INSIDE = 1 - 1e-6  # fraction of tanh's range that is used, so that pixels 0 and 1 have a finite w
BETAS, TINY = (0.9, 0.999), 1e-8  # Adam's


def cw_l2(logits_fn, x, y, *, eps, steps=100, searches=9, initial_c=1.0, learning_rate=0.05):
    """Searches for the nearest misclassified image in L2; succeeds if it is within eps.

        min over w  ||x' - x||_2^2 + c max(z_y - max_{i != y} z_i, 0),   x' = (tanh(w) + 1) / 2

    minimised by Adam from x, with a learning rate that decreases to 0. Each image has its own c: the midpoint of the
    largest c that failed and the smallest that succeeded, or ten times the last c while none has succeeded. CleverHans'
    version takes y for the target class.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: L2 length, of pixels in [0, 1].
      steps: gradient steps of Adam for each c.
      searches: number of values of c.
      initial_c: the first value of c.
      learning_rate: Adam's initial learning rate, in units of w.

    Returns:
      x_adv [B, H, W, C]: the nearest misclassified image if it is within eps, else x.
    """
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    if eps == 0:
        return x
    search = _compiled(logits_fn, steps, learning_rate)
    nearest, distance = x, tf.where(margin(logits_fn(x), y) < 0, 0.0, np.inf)
    c, low, high = (tf.fill(y.shape, float(value)) for value in (initial_c, 0.0, np.inf))
    for _ in range(searches):
        found, length = search(x, y, c)
        closer = length < distance
        nearest = tf.where(closer[:, None, None, None], found, nearest)
        distance = tf.minimum(length, distance)
        broken = length < np.inf
        low, high = tf.where(broken, low, c), tf.where(broken, c, high)
        c = tf.where(high < np.inf, (low + high) / 2, 10 * c)
    return tf.where((distance <= eps)[:, None, None, None], nearest, x)


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn, steps, learning_rate):
    """(x, y, c [B]) -> the nearest misclassified image that Adam visits, and its distance, inf if there is none."""
    image = tf.TensorSpec((None, None, None, None))

    @tf.function(input_signature=(image, tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,))))
    def search(x, y, c):
        start = tf.atanh(INSIDE * (2 * x - 1))

        def step(t, w, m, v, nearest, distance):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(w)
                moved = (tf.tanh(w) + 1) / 2
                squares = tf.reduce_sum((moved - x) ** 2, (1, 2, 3))
                ahead = margin(logits_fn(moved), y)
                loss = tf.reduce_sum(squares + c * tf.maximum(ahead, 0.0))
            grad = tape.gradient(loss, w, unconnected_gradients="zero")
            length = tf.where(ahead < 0, tf.sqrt(squares), np.inf)
            nearest = tf.where((length < distance)[:, None, None, None], moved, nearest)
            m, v = (beta * a + (1 - beta) * b for beta, a, b in zip(BETAS, (m, v), (grad, grad**2)))
            m_hat, v_hat = (a / (1 - beta ** (t + 1)) for beta, a in zip(BETAS, (m, v)))
            w -= (1 - t / steps) * learning_rate * m_hat / (tf.sqrt(v_hat) + TINY)
            return t + 1, w, m, v, nearest, tf.minimum(length, distance)

        zeros = tf.zeros_like(x)
        state = (0.0, start, zeros, zeros, x, tf.fill(tf.shape(y), np.inf))
        *_, nearest, distance = repeated(lambda t, *_: t < steps, step, state)
        return nearest, distance

    return search
