"""EvaluateConfig: the flags of bin/evaluate."""

import dataclasses

from robust_tf.attacks import AUTOATTACK, NORMS
from robust_tf.data import DATASETS
from robust_tf.evaluation import ATTACK_NAMES, ATTACKED, MODES
from robust_tf.evaluation.requirements import ESTIMATE, REQUIREMENTS
from robust_tf.evaluation.requirements import check as check_requirements
from robust_tf.evaluation.settings import check_attacks
from robust_tf.flags.declare import flag
from robust_tf.flags.kinds import DURATION, EPS, RADII, SWITCH, TEXT, listed, one_of, real, whole
from robust_tf.flags.meaning import meant
from robust_tf.refusal import Refusal

REQUIRED = ("targets", "natural")  # in the modes that have them


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """bin/evaluate: attacks a trained net on test images; writes WORKDIR/evaluation/*.json and prints a table."""

    workdir: str = flag(TEXT, None, "run directory of bin/train (required)")
    data_dir: str = flag(TEXT, None, "folder of TensorFlow Datasets; default: the one of the training run")
    mode: str = flag(one_of(MODES), "attacks", "what is measured", options=MODES)
    attacks: tuple = flag(listed(one_of(ATTACK_NAMES)), "fgsm,pgd", "attacks, each on all images", options=ATTACK_NAMES)
    version: str = flag(
        one_of(AUTOATTACK),
        "standard",
        "autoattack: "
        + "; ".join(f"{name}: {', '.join(attack for attack, _ in steps)}" for name, steps in AUTOATTACK.items()),
    )
    individual: bool = flag(
        SWITCH, "false", "autoattack: run each attack on all images that are classified correctly without attack"
    )
    norm: str = flag(one_of(NORMS), None, "norm of the attacks; default: the run's")
    eps: float = flag(EPS, None, "attack radius in pixels of [0, 1]; default: the run's")
    radii: tuple = flag(
        RADII,
        None,
        "attack radii in pixels of [0, 1]; default: multiples of a third of the run's: "
        + ", ".join(f"{mode.thirds} ({name})" for name, mode in MODES.items() if mode.thirds),
    )
    steps: int = flag(whole(0), "100", "gradient steps of the attacks")
    alpha: float = flag(real(0), None, "step size in pixels, at most eps; default: min(eps, 2.5 eps / steps)")
    restarts: int = flag(
        whole(1), "1", "random starts; an image counts as robust if it is classified correctly after all of them"
    )
    queries: int = flag(whole(1), "5000", "square: forward passes for each image")
    source: str = flag(TEXT, None, "run directory whose net is attacked, in place of --workdir")
    targets: tuple = flag(listed(TEXT), None, "run directories whose nets classify the adversarial images (required)")
    natural: str = flag(TEXT, None, "run directory of the natural net (required)")
    bisections: int = flag(
        whole(0), "5", "bisection steps between the largest radius that fails and the smallest that fools the net"
    )
    # WRM's defaults are those of Gui et al. (section 3) for grey digits, in pixels.
    loss_weight: float = flag(real(0), "1.3", "wrm: weight of the cross-entropy")
    deviation: float = flag(
        real(0, above=True),
        "1",
        "wrm: standard deviation of the pixels; --loss_weight is multiplied by its square; 1: no scaling",
    )
    wrm_steps: int = flag(whole(1), "3", "wrm: gradient steps")
    file: str = flag(TEXT, None, ".tflite file of this run's net; default: all files in WORKDIR/export")
    num_images: int = flag(
        whole(1),
        None,
        "number of test images, from the first; default: all, "
        + ", ".join(f"{mode.images} ({name})" for name, mode in MODES.items() if mode.images),
    )
    margin: float = flag(
        real(0, 0.5, above=True),
        None,
        "half the width of the 95 % interval of robust accuracy at which the evaluation ends, such as 0.01; test images"
        " are then drawn at random, and a look after 20, 50, 100, 200, ... of them decides",
    )
    time_limit: float = flag(
        DURATION,
        None,
        "time for the attacks, such as 10m: test images are drawn as with --margin, as many as finish all attacks in"
        " this time, but at least 20",
    )
    batch_size: int = flag(whole(1), "500", "images attacked at once; it changes no result")
    require: tuple = flag(
        REQUIREMENTS,
        None,
        "accuracies that the evaluation must reach, otherwise it ends with exit code 1: NAME>=SHARE,... for clean,"
        " robust, certified or an attack, such as autoattack>=0.85,certified>=0.8; the lower end of the 95 % interval"
        f" counts, with SHARE{ESTIMATE} the estimate",
    )
    skip_certified: bool = flag(
        SWITCH,
        "true",
        f"attack no image that interval bounds prove to be classified correctly within eps, but for {ATTACKED} of them,"
        " which no attack may break; it changes no result",
    )
    seed: int = flag(
        whole(0), "0", "seed of all random numbers, which also depend on the image, but not on other images"
    )

    def checked(self):
        """The configuration with its run directory; raises Refusal for invalid ones."""
        if self.source and self.workdir:
            raise Refusal(f"--source: expected no --workdir beside it; got both, {self.source} and {self.workdir}")
        config = dataclasses.replace(self, workdir=self.workdir or self.source)
        if config.workdir is None:
            raise Refusal("--workdir: expected a run directory of bin/train; got none")
        for name in REQUIRED:
            if name in MODES[config.mode].options and getattr(config, name) is None:
                raise Refusal(f"--{name}: expected a value with --mode={config.mode}; got none")
        check_norm(config)
        check_requirements(config)
        if config.steps == 0 and config.alpha is not None:
            raise Refusal("--alpha: expected --steps above 0 with it; got 0")
        return config


def check_norm(config):
    """Raises Refusal where the mode or the attacks do not support the norm, or without --norm any norm of a run."""
    norms, refusals = MODES[config.mode].norms, []
    if config.norm not in (None, *norms):
        raise Refusal(f"--mode={config.mode}: expected --norm={'|'.join(norms)} with it; got {config.norm}")
    if "attacks" not in meant(config):
        return
    for norm in [config.norm] if config.norm else norms:
        try:
            return check_attacks(config, norm)
        except Refusal as refusal:
            refusals.append(refusal)
    raise refusals[0]


def check_data_dir(data_dir, dataset):
    """Raises Refusal where a folder is given for a run on a data set that is not read from one."""
    if data_dir and "data_dir" not in DATASETS[dataset].options:
        named = "|".join(name for name, each in DATASETS.items() if "data_dir" in each.options)
        raise Refusal(f"--data_dir={data_dir}: expected one of the data sets {named} with it; got {dataset}")
