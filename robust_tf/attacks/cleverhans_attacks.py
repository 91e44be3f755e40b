"""FGSM, IFGSM and MIM of CleverHans 4.0 (TensorFlow 2): attacks of evaluation without random starts.

CleverHans needs the labels, both clip bounds and `rand_init` as arguments, and its own checks off (they assert on
tensors). Call it outside a `tf.function`, with one `logits_fn` object for all batches: its gradient is compiled
once per object.
"""

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from robust_tf.attacks import default_alpha
from robust_tf.attacks.margin import margin

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
    """Iterated FGSM, also called BIM (Kurakin et al., arXiv 1607.02533): projected gradient ascent from x itself.

    Returns the better of x and the last point.

    Args:
      logits_fn, x, y, eps, norm: as in `fgsm`.
      steps: gradient steps.
      alpha: step size in pixels, at most eps; None means min(eps, 2.5 eps / steps).
    """
    alpha = default_alpha(eps, steps) if alpha is None else alpha
    x_adv = projected_gradient_descent(
        logits_fn, x, eps, alpha, steps, ORDERS[norm], y=y, clip_min=0.0, clip_max=1.0, rand_init=False,
        sanity_checks=False,
    )  # fmt: skip
    return better(logits_fn, x, x_adv, y)


def mim(logits_fn, x, y, *, eps, steps=100, alpha=None, norm="linf"):
    """IFGSM along a sum of gradients, each divided by its mean absolute value (Dong et al., arXiv 1710.06081).

    Returns the better of x and the last point. Parameters as in `ifgsm`; the decay factor of the sum is 1.
    """
    alpha = default_alpha(eps, steps) if alpha is None else alpha
    x_adv = momentum_iterative_method(
        logits_fn, x, eps, alpha, steps, ORDERS[norm], clip_min=0.0, clip_max=1.0, y=y, sanity_checks=False
    )
    return better(logits_fn, x, x_adv, y)


def better(logits_fn, x, x_adv, y):
    """Of each image the point of the smaller margin, x where they are equal."""
    moved = margin(logits_fn(x_adv), y) < margin(logits_fn(x), y)
    return tf.where(moved[:, None, None, None], x_adv, x)
