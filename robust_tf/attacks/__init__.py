"""ATTACKS[name](logits_fn, x, y, *, eps, ...) -> x_adv; pure functions, driven by evaluation."""

from robust_tf.registry import Entry

NORMS = ("linf", "l2")


def default_alpha(eps, steps):
    """min(eps, 2.5 eps / steps): the step size of an attack that names none (thesis)."""
    return min(eps, 2.5 * eps / max(steps, 1))


ATTACKS = {
    "fgsm": Entry("robust_tf.attacks.cleverhans_attacks:fgsm"),
    "pgd": Entry("robust_tf.attacks.cleverhans_attacks:pgd"),
}
