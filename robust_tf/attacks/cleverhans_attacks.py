"""FGSM, IFGSM, MIM and PGD of CleverHans 4.0 (TensorFlow 2), with restarts added: attacks of evaluation.

CleverHans needs the labels, both clip bounds and `rand_init` as arguments, and its own checks off (they assert on
tensors). Call it outside a `tf.function`, with one `logits_fn` object for all batches: its gradient is compiled
once per object. Its random starts come from TensorFlow's global generator, which is seeded here.
"""

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from robust_tf.attacks import default_alpha
from robust_tf.attacks.margin import margin
from robust_tf.attacks.seeds import derived

ORDERS = {"linf": np.inf, "l2": 2}


def fgsm(logits_fn, x, y, *, eps, norm="linf"):
    """x_adv = clip_[0,1](x + eps * ascend(grad CE(x, y))) (Goodfellow et al., arXiv 1412.6572).

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].
      norm: "linf" or "l2".

    Returns:
      x_adv [B, H, W, C].
    """
    return fast_gradient_method(logits_fn, x, eps, ORDERS[norm], y=y, clip_min=0.0, clip_max=1.0, sanity_checks=False)


def ifgsm(logits_fn, x, y, *, eps, steps=100, alpha=None, norm="linf"):
    """Iterated FGSM, also called BIM (Kurakin et al., arXiv 1607.02533): as `pgd`, from x itself."""
    return pgd(logits_fn, x, y, eps=eps, steps=steps, alpha=alpha, norm=norm, random_start=False)


def mim(logits_fn, x, y, *, eps, steps=100, alpha=None, norm="linf"):
    """IFGSM along a sum of gradients, each divided by its mean absolute value (Dong et al., arXiv 1710.06081).

    Returns the better of x and the last point. Parameters as in `pgd`; the decay factor of the sum is 1.
    """
    alpha = default_alpha(eps, steps) if alpha is None else alpha
    x_adv = momentum_iterative_method(
        logits_fn, x, eps, alpha, steps, ORDERS[norm], clip_min=0.0, clip_max=1.0, y=y, sanity_checks=False
    )
    better = margin(logits_fn(x_adv), y) < margin(logits_fn(x), y)
    return tf.where(better[:, None, None, None], x_adv, x)


def pgd(logits_fn, x, y, *, eps, steps=100, alpha=None, norm="linf", random_start=True, restarts=1, seed=0):
    """Projected gradient descent (Madry et al., arXiv 1706.06083), the best of all restarts for each image.

    The best point has the smallest margin z_y - max_{i != y} z_i, which is negative for a misclassified image; x itself
    is a candidate, so that the attack never raises the accuracy.

    Args:
      logits_fn, x, y, eps, norm: as in `fgsm`.
      steps: gradient steps.
      alpha: step size in pixels, at most eps; None means min(eps, 2.5 eps / steps).
      random_start: whether to start at a random point of the ball; if not, at x.
      restarts: number of random starts.
      seed: seed of the random starts, one integer or several.

    Returns:
      x_adv [B, H, W, C].
    """
    alpha = default_alpha(eps, steps) if alpha is None else alpha
    best, least = x, margin(logits_fn(x), y)
    for restart in range(restarts):
        tf.random.set_seed(int(derived(seed, restart, count=1).view(np.uint32)[0]))
        x_adv = projected_gradient_descent(
            logits_fn, x, eps, alpha, steps, ORDERS[norm], y=y, clip_min=0.0, clip_max=1.0,
            rand_init=random_start, sanity_checks=False,
        )  # fmt: skip
        now = margin(logits_fn(x_adv), y)
        best = tf.where((now < least)[:, None, None, None], x_adv, best)
        least = tf.minimum(now, least)
    return best
