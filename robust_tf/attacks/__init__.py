"""ATTACKS[name](logits_fn, x, y, *, eps, ...) -> x_adv, driven by evaluation.

STARTS[name](shape, eps, norm, seed) -> delta: where the attack of training begins.
"""

from robust_tf.registry import Entry

NORMS = ("linf", "l2")


def default_alpha(eps, steps):
    """min(eps, 2.5 eps / steps): the step size of an attack that names none (thesis)."""
    return min(eps, 2.5 * eps / max(steps, 1))


STARTS = {
    "uniform": Entry("robust_tf.attacks.starts:uniform"),
    "stripes": Entry("robust_tf.attacks.starts:stripes"),
    "blocks": Entry("robust_tf.attacks.starts:blocks"),
    "gaussian": Entry("robust_tf.attacks.starts:gaussian"),
}

ATTACKS = {
    "fgsm": Entry("robust_tf.attacks.cleverhans_attacks:fgsm"),
    "pgd": Entry("robust_tf.attacks.cleverhans_attacks:pgd"),
}
