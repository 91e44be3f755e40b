"""Carlini and Wagner's attacks (arXiv 1608.04644): the nearest misclassified image in L2, and their margin in L-inf."""

import functools

import numpy as np
import tensorflow as tf

from robust_tf.attacks import default_alpha
from robust_tf.attacks.margin import margin
from robust_tf.attacks.pgd import pgd
from robust_tf.attacks.seeds import derived

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
        *_, nearest, distance = tf.while_loop(lambda t, *_: t < steps, step, state)
        return nearest, distance

    return search


def cw_linf(logits_fn, x, y, *, eps, steps=100, alpha=None, restarts=1, seed=0):
    """Projected gradient ascent on Carlini and Wagner's margin, max_{i != y} z_i - z_y, in the L-inf ball.

    The margin's gradient does not vanish for confident nets; that of the cross-entropy does.

    Args:
      logits_fn, x, y: as in `cw_l2`.
      eps: radius in pixels of [0, 1].
      steps: gradient steps.
      alpha: step size in pixels; None means min(eps, 2.5 eps / steps).
      restarts: number of uniform random starts; the point of the smallest margin is returned, x included.
      seed: one integer or several.

    Returns:
      x_adv [B, H, W, C].
    """
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    run = _ascent(logits_fn, steps)
    best, least = x, margin(logits_fn(x), y)
    size = tf.constant(default_alpha(eps, steps) if alpha is None else alpha, tf.float32)
    for restart in range(restarts):
        seeds = derived(seed, restart)
        x_adv, now = run(x, y, tf.constant(eps, tf.float32), size, tf.constant(seeds))
        best = tf.where((now < least)[:, None, None, None], x_adv, best)
        least = tf.minimum(now, least)
    return best


@functools.lru_cache(maxsize=8)
def _ascent(logits_fn, steps):
    image, label, scalar = tf.TensorSpec((None, None, None, None)), tf.TensorSpec((None,), tf.int32), tf.TensorSpec(())

    @tf.function(input_signature=(image, label, scalar, scalar, tf.TensorSpec((2,), tf.int32)))
    def run(x, y, eps, alpha, seed):
        x_adv = pgd(
            logits_fn, x, y, eps=eps, steps=steps, alpha=alpha, seed=seed, objective=lambda z: -margin(z, y)
        )  # fmt: skip
        return x_adv, margin(logits_fn(x_adv), y)

    return run
