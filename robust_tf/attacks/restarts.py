"""Projected gradient ascent from random starts, the best of all restarts for each image: attacks of evaluation."""

import functools

import tensorflow as tf

from robust_tf.attacks import default_alpha
from robust_tf.attacks import pgd as training
from robust_tf.attacks.margin import margin
from robust_tf.attacks.seeds import derived, rows


def pgd(logits_fn, x, y, *, eps, steps=100, alpha=None, norm="linf", restarts=1, seed=0):
    """Projected gradient descent (Madry et al., arXiv 1706.06083): ascent of the cross-entropy, see `attacks.pgd`.

    The best point has the smallest margin z_y - max_{i != y} z_i, which is negative for a misclassified image; x itself
    is a candidate, so that the attack never raises the accuracy.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1], or their Euclidean length.
      steps: gradient steps.
      alpha: step size in pixels, at most eps; None means min(eps, 2.5 eps / steps).
      norm: "linf" or "l2".
      restarts: number of uniform random starts.
      seed: one integer or several, or a seed for each image, int32 [B, 2] (`attacks.seeds`).

    Returns:
      x_adv [B, H, W, C].
    """
    return _best(_compiled(logits_fn, None, steps, norm), logits_fn, x, y, eps, steps, alpha, restarts, seed)


def cw_linf(logits_fn, x, y, *, eps, steps=100, alpha=None, restarts=1, seed=0):
    """As `pgd` in L-inf, on Carlini and Wagner's margin max_{i != y} z_i - z_y (arXiv 1608.04644).

    The margin's gradient does not vanish for confident nets; that of the cross-entropy does.
    """
    return _best(_compiled(logits_fn, margin, steps, "linf"), logits_fn, x, y, eps, steps, alpha, restarts, seed)


def _best(ascend, logits_fn, x, y, eps, steps, alpha, restarts, seed):
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    best, least, seeds = x, margin(logits_fn(x), y), rows(seed, x)
    radius = tf.constant(eps, tf.float32)
    size = tf.constant(default_alpha(eps, steps) if alpha is None else alpha, tf.float32)
    for restart in range(restarts):
        x_adv, now = ascend(x, y, radius, size, tf.constant(derived(seeds, restart)))
        best = tf.where((now < least)[:, None, None, None], x_adv, best)
        least = tf.minimum(now, least)
    return best


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn, descends, steps, norm):
    """One restart as a graph, (x, y, eps, alpha, seeds [B, 2]) -> x_adv, its margin [B]; None is the cross-entropy."""
    image, label, scalar = tf.TensorSpec((None,) * 4), tf.TensorSpec((None,), tf.int32), tf.TensorSpec(())

    signature = (image, label, scalar, scalar, tf.TensorSpec((None, 2), tf.int32))

    # AutoGraph would warn of the import of the starts.
    @tf.function(input_signature=signature, autograph=False)
    def ascend(x, y, eps, alpha, seeds):
        objective = descends and (lambda z: -descends(z, y))
        x_adv = training.pgd(
            logits_fn, x, y, eps=eps, steps=steps, alpha=alpha, norm=norm, seed=seeds, objective=objective
        )
        return x_adv, margin(logits_fn(x_adv), y)

    return ascend
