"""ATTACKS[name](logits_fn, x, y, *, eps, ...) -> x_adv; pure functions, driven by evaluation."""

from robust_tf.registry import Entry

NORMS = ("linf", "l2")

ATTACKS = {
    "fgsm": Entry("robust_tf.attacks.cleverhans_attacks:fgsm"),
    "pgd": Entry("robust_tf.attacks.cleverhans_attacks:pgd"),
}
