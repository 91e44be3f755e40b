"""Training: RobustModel with its losses, schedules and callbacks, and the papers' methods as lists of stages.

An entry of LOSSES holds the facts of a loss that are needed before its code is imported. METHODS is in methods.py;
LEARNING_RATES and STEPS_SCHEDULES are in schedules.py.
"""

from dataclasses import dataclass

from robust_tf.attacks import NORMS
from robust_tf.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Loss(Entry):
    """A loss on clean and adversarial images; `address` names a `losses.Objective`.

    options: flags of bin/train that apply to it.
    norms: norms of the attack that it supports.
    certifies: whether the adversarial logits are the worst within interval bounds, in place of an attack's. eps and the
      loss's adv_weight then grow linearly from 0.
    attack_for: what the attack's images are for: "logits": the adversarial ones; with bounds "centre": that of boxes,
      "clean": in place of the clean images, or "": there is no attack.
    levels: of the bounds (see `certification.bounds.worst_logits`).
    uses_clean: whether it needs the logits of clean images even where adv_weight = 1.
    starts: random starts of its attack; None for those of --starts.
    """

    norms: tuple = NORMS
    certifies: bool = False
    attack_for: str = "logits"
    levels: int = 0
    uses_clean: bool = False
    starts: tuple | None = None


LOSSES = {
    "mix": Loss(
        address="robust_tf.training.losses:MIX",
        summary="adv_weight CE(x_adv) + (1 - adv_weight) CE(x)",
        options=("attack", "random_start", "adv_weight", "teacher"),
    ),
    "trades": Loss(
        address="robust_tf.training.losses:TRADES",
        summary="CE(x) + beta KL(f(x) || f(x_adv))",
        options=("attack", "beta", "teacher"),
        uses_clean=True,
        starts=("gaussian",),
    ),
    "ibp": Loss(
        address="robust_tf.training.losses:IBP",
        summary="interval bound propagation: mix, with the worst logits within the bounds in place of those under"
        " attack; eps changes linearly between the values of --eps_schedule (default: from 0 to eps at half of the"
        " epochs), and adv_weight grows with it",
        options=("adv_weight",),
        norms=("linf",),
        certifies=True,
        attack_for="",
        uses_clean=True,
    ),
    "ibp_int8": Loss(
        address="robust_tf.training.losses:IBP",
        summary="ibp, with bounds that allow for the rounding of images and activations to 8 bits, for int8 files",
        options=("adv_weight",),
        norms=("linf",),
        certifies=True,
        attack_for="",
        levels=255,
        uses_clean=True,
    ),
    "sabr": Loss(
        address="robust_tf.training.losses:IBP",
        summary="ibp, with bounds over the box of radius lambda eps around an attack's image, moved into the ball",
        options=("attack", "random_start", "adv_weight", "box"),
        norms=("linf",),
        certifies=True,
        attack_for="centre",
        uses_clean=True,
    ),
    "mtl_ibp": Loss(
        address="robust_tf.training.losses:IBP",
        summary="ibp, with an attack's images in place of the clean ones: adv_weight CE(worst) +"
        " (1 - adv_weight) CE(x_adv)",
        options=("attack", "random_start", "adv_weight"),
        norms=("linf",),
        certifies=True,
        attack_for="clean",
    ),
}


@dataclass(frozen=True, kw_only=True)
class TrainingAttack:
    """How training makes adversarial images.

    step: size of a single gradient step as a multiple of eps, in place of PGD's steps; 0: PGD.
    noise: of a single step, half the width of the uniform noise around the image as a multiple of eps, which then is
      not projected; 0: a start and a projection as PGD's.
    """

    summary: str
    options: tuple = ()
    norms: tuple = NORMS
    step: float = 0
    noise: float = 0

    @property
    def single_step(self):
        return self.step > 0


TRAINING_ATTACKS = {
    "pgd": TrainingAttack(summary="projected gradient descent", options=("steps_schedule", "alpha")),
    "fgsm_rs": TrainingAttack(
        summary="FGSM-RS: one gradient step of 1.25 eps from a random start; the stage ends if accuracy under PGD"
        " collapses (Wong et al., 2001.03994)",
        norms=("linf",),
        step=1.25,
    ),
    "n_fgsm": TrainingAttack(
        summary="N-FGSM: one gradient step of eps from noise of up to 2 eps, without projection; the stage ends as with"
        " fgsm_rs (de Jorge et al., 2202.01181)",
        norms=("linf",),
        step=1,
        noise=2,
    ),
}
