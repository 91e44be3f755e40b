"""ATTACKS[name](logits_fn, x, y, *, eps, ...) -> x_adv, driven by evaluation."""

from robust_tf.registry import Entry

NORMS = ("linf", "l2")


def default_alpha(eps, steps):
    """min(eps, 2.5 eps / steps): the step size of an attack that names none (thesis)."""
    return min(eps, 2.5 * eps / max(steps, 1))


# Where random starts of training's attack lie: keys of `attacks.starts.FUNCTIONS`.
STARTS = ("uniform", "stripes", "blocks", "gaussian")

ATTACKS = {
    "fgsm": Entry("robust_tf.attacks.cleverhans_attacks:fgsm"),
    "ifgsm": Entry("robust_tf.attacks.cleverhans_attacks:ifgsm"),
    "pgd": Entry("robust_tf.attacks.cleverhans_attacks:pgd"),
    "mim": Entry("robust_tf.attacks.cleverhans_attacks:mim"),
    "cw_l2": Entry("robust_tf.attacks.cw:cw_l2"),
    "cw_linf": Entry("robust_tf.attacks.cw:cw_linf"),
    "wrm": Entry("robust_tf.attacks.wrm:wrm"),
    "spsa": Entry("robust_tf.attacks.spsa:spsa"),
    "apgd_ce": Entry("robust_tf.attacks.apgd:apgd_ce"),
    "apgd_dlr": Entry("robust_tf.attacks.apgd:apgd_dlr"),
    "apgd_t": Entry("robust_tf.attacks.apgd:apgd_t"),
    "fab": Entry("robust_tf.attacks.fab:fab"),
    "fab_t": Entry("robust_tf.attacks.fab:fab_t"),
    "square": Entry("robust_tf.attacks.square:square"),
}

# The norms of the balls that each knows; none bounds WRM.
ATTACK_NORMS = dict.fromkeys(ATTACKS, ("linf",))
ATTACK_NORMS |= dict.fromkeys(("fgsm", "ifgsm", "pgd", "mim"), NORMS) | {"cw_l2": ("l2",), "wrm": ()}

# Those that need scores alone.
BLACK_BOX = ("spsa", "square")

# Those that look for the nearest adversarial image, and leave the image as it is where they find none within eps.
NEAREST = ("cw_l2", "fab", "fab_t")
