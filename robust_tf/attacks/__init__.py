"""ATTACKS[name](logits_fn, x, y, *, eps, ...) -> x_adv, for evaluation; STARTS, random starts of the training attack.

An `Attack` holds the facts of an attack that are needed before its code is imported. Its function takes the keyword
arguments `options`, and

    eps    if it stays in a ball
    norm   if it supports several norms
    seed   if it uses random numbers: an integer, or a seed for each image (`attacks.seeds`)
"""

from dataclasses import dataclass

from robust_tf.registry import Entry

NORMS = ("linf", "l2")


def default_alpha(eps, steps):
    """min(eps, 2.5 eps / steps): the default step size of an attack (thesis)."""
    return min(eps, 2.5 * eps / max(steps, 1))


@dataclass(frozen=True, kw_only=True)
class Attack(Entry):
    """An attack of bin/evaluate.

    options: flags of bin/evaluate that it takes, as keyword arguments of the same names.
    norms: of the balls that it supports; empty if no ball bounds it.
    gradients: whether it needs gradients; if not, scores are enough (black box).
    random: whether it uses random numbers.
    nearest: whether it searches for the nearest adversarial image, and does not change an image if that is beyond eps.
    least_classes: the smallest number of classes for which its ratio of logits is defined; below, the margin
      max_{i != y} z_i - z_y, or that of the target class, takes its place.
    stops: whether it leaves misclassified images as they are and ends at the first adversarial image it finds.
    keeps_best: whether it returns the image of the smallest margin that it saw, the clean image among them.
    """

    norms: tuple = ("linf",)
    gradients: bool = True
    random: bool = True
    nearest: bool = False
    least_classes: int = 2
    stops: bool = False
    keeps_best: bool = False

    def keywords(self, settings, eps, norm, seed):
        """The function's keyword arguments; settings: an object with the options as attributes."""
        given = {name: getattr(settings, name) for name in self.options}
        given |= {"eps": eps} if self.norms else {}
        given |= {"norm": norm} if len(self.norms) > 1 else {}
        return given | ({"seed": seed} if self.random else {})


ATTACKS = {
    "fgsm": Attack(
        address="robust_tf.attacks.cleverhans_attacks:fgsm",
        summary="one gradient step of eps",
        norms=NORMS,
        random=False,
    ),
    "ifgsm": Attack(
        address="robust_tf.attacks.cleverhans_attacks:ifgsm",
        summary="gradient steps of alpha from the image itself",
        options=("steps", "alpha"),
        norms=NORMS,
        random=False,
        keeps_best=True,
    ),
    "pgd": Attack(
        address="robust_tf.attacks.restarts:pgd",
        summary="gradient steps of alpha from random starts",
        options=("steps", "alpha", "restarts"),
        norms=NORMS,
        keeps_best=True,
    ),
    "mim": Attack(
        address="robust_tf.attacks.cleverhans_attacks:mim",
        summary="ifgsm with momentum",
        options=("steps", "alpha"),
        norms=NORMS,
        random=False,
        keeps_best=True,
    ),
    "cw_l2": Attack(
        address="robust_tf.attacks.cw:cw_l2",
        summary="Carlini and Wagner's nearest adversarial image in L2",
        options=("steps",),
        norms=("l2",),
        random=False,
        nearest=True,
        stops=True,
    ),
    "cw_linf": Attack(
        address="robust_tf.attacks.restarts:cw_linf",
        summary="pgd on Carlini and Wagner's margin",
        options=("steps", "alpha", "restarts"),
        keeps_best=True,
    ),
    "wrm": Attack(
        address="robust_tf.attacks.wrm:wrm",
        summary="a penalty on the distance in place of a ball (--mode=generalise)",
        options=("loss_weight", "wrm_steps", "deviation"),
        norms=(),
        random=False,
    ),
    "spsa": Attack(
        address="robust_tf.attacks.spsa:spsa",
        summary="gradients estimated from scores",
        options=("steps",),
        gradients=False,
        stops=True,
        keeps_best=True,
    ),
    "apgd_ce": Attack(
        address="robust_tf.attacks.apgd:apgd_ce",
        summary="Auto-PGD on the cross-entropy",
        options=("steps", "restarts"),
        stops=True,
    ),
    "apgd_dlr": Attack(
        address="robust_tf.attacks.apgd:apgd_dlr",
        summary="Auto-PGD on the difference of logits ratio",
        options=("steps", "restarts"),
        least_classes=3,
        stops=True,
    ),
    "apgd_t": Attack(
        address="robust_tf.attacks.apgd:apgd_t",
        summary="Auto-PGD towards each of the 9 most likely wrong classes",
        options=("steps", "restarts"),
        least_classes=4,
        stops=True,
    ),
    "fab": Attack(
        address="robust_tf.attacks.fab:fab",
        summary="steps to the nearest decision boundary",
        options=("steps", "restarts"),
        nearest=True,
        stops=True,
    ),
    "fab_t": Attack(
        address="robust_tf.attacks.fab:fab_t",
        summary="fab towards each of the 9 most likely wrong classes",
        options=("steps", "restarts"),
        nearest=True,
        stops=True,
    ),
    "square": Attack(
        address="robust_tf.attacks.square:square",
        summary="random squares, from scores alone",
        options=("queries", "restarts"),
        gradients=False,
        stops=True,
        keeps_best=True,
    ),
}

# AutoAttack (Croce and Hein, arXiv 2003.01690): the published version, and the thesis' (section 4.2.2).
AUTOATTACK = {
    "standard": (
        ("apgd_ce", {"steps": 100, "restarts": 1}),
        ("apgd_t", {"steps": 100, "restarts": 1}),
        ("fab_t", {"steps": 100, "restarts": 1}),
        ("square", {"queries": 5000, "restarts": 1}),
    ),
    "thesis": (
        ("apgd_ce", {"steps": 100, "restarts": 5}),
        ("apgd_dlr", {"steps": 100, "restarts": 5}),
        ("fab", {"steps": 100, "restarts": 5}),
        ("square", {"queries": 5000, "restarts": 1}),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Start(Entry):
    """A kind of random starts of the training attack; norms: of the balls that it supports."""

    norms: tuple = NORMS


STARTS = {
    "uniform": Start(address="robust_tf.attacks.starts:uniform", summary="anywhere in the ball"),
    "stripes": Start(
        address="robust_tf.attacks.starts:stripes",
        summary="corners of the ball, one sign for each column",
        norms=("linf",),
    ),
    "blocks": Start(
        address="robust_tf.attacks.starts:blocks",
        summary="corners of the ball, one sign for each 4x4 block",
        norms=("linf",),
    ),
    "gaussian": Start(address="robust_tf.attacks.starts:gaussian", summary="Gaussian noise near the image"),
}
