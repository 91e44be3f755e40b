"""Command line -> frozen configuration: every flag is declared, parsed and checked here, before TensorFlow is imported.

A field says how its flag is read (a `kinds.Kind`), its default as a string (None: see the help) and its help. Bad input
raises `Refusal`, one line that says what was expected and what came.
"""

import dataclasses
import os

from robust_tf.attacks import ATTACKS, NORMS, STARTS
from robust_tf.data import AUGMENTATIONS, DATASETS
from robust_tf.evaluation import MODES
from robust_tf.flags import flag, idle, read
from robust_tf.kinds import (
    EPS,
    MANY,
    RADII,
    RATIO,
    SWITCH,
    TEXT,
    image_size,
    listed,
    net,
    one_of,
    real,
    sequence,
    whole,
)
from robust_tf.models import MODELS
from robust_tf.projections import PROJECTIONS
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES
from robust_tf.training.recipes import RECIPES
from robust_tf.training.schedules import LEARNING_RATES, STEPS

COMPRESSING = ("nap", "ap", "alr", "l0", "admm", "atmc")
PROJECTING = ("nap", "ap", "admm")
ADVERSARIAL = ("da", "ap", "alr", "l0", "admm", "atmc")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """bin/train: trains a net, robust and compressed, into a run directory; the same command resumes it."""

    workdir: str = flag(TEXT, None, "run directory; default: runs/NAME, named after the configuration")
    init_from: str = flag(TEXT, None, "run directory whose net is the start; default: random weights")
    dataset: str = flag(
        one_of(DATASETS),
        "digits",
        "data set; folder: your own images, DATA_DIR/train/CLASS/*.png|jpg and the same of test",
    )
    data_dir: str = flag(TEXT, None, "folder of TensorFlow Datasets, or your own; default: ~/tensorflow_datasets")
    image_size: tuple = flag(
        image_size(8, 2048), "64", "folder: size that the images are scaled to, three channels", dataset=("folder",)
    )
    augment: tuple = flag(
        listed(one_of(AUGMENTATIONS)),
        None,
        "how training images are varied; crop: shifted by up to 4 pixels, flip: mirrored, rotate: turned by up to 15"
        " degrees; default: the data set's",
    )
    model: str = flag(
        net(MODELS),
        "lenet",
        "net; your own: a function(input_shape, num_classes) that returns a tf_keras model of logits, uncompiled",
    )
    width: float = flag(real(0, 32, above=True), "1", "factor on the net's units", model=tuple(MODELS))
    conv_relu: bool = flag(SWITCH, "false", "lenet: ReLU after the convolutions too", model=("lenet",))
    method: str = flag(
        one_of(RECIPES),
        "admm",
        "normal: natural training; da: dense adversarial training; nap, ap: natural, adversarial training, pruning,"
        " training with the zeros fixed; alr: adversarial training of thin layers; l0: adversarial training"
        " that keeps the largest weights after every step; admm: adversarial training under a"
        " constraint on the weights; atmc: adversarial training of (I + U)V + C with few weights",
    )
    projection: str = flag(
        one_of(PROJECTIONS),
        "irregular",
        "constraint of nap, ap, admm; irregular: the k largest of all weights; per_layer: the same fraction of each;"
        " funnel: fractions that fall with depth; redundant: no filters that nearly repeat others; channel: whole"
        " filters; low_rank: thin layers (admm); n_of_m: 2 of 4 consecutive inputs; block: whole blocks of inputs;"
        " codebook: irregular, of few values (admm)",
        PROJECTING,
    )
    floor: float = flag(
        real(0, 1), "0", "irregular: least fraction kept of each kernel", PROJECTING, projection=("irregular",)
    )
    bits: int = flag(
        whole(2, 16), "8", "codebook: bits of a weight; 2^bits values a kernel, zero among them", ("admm", "atmc")
    )
    block_size: int = flag(
        whole(1),
        "4",
        "block: consecutive inputs in one; TFLite wants 4 for float, 16 for int8",
        PROJECTING,
        projection=("block",),
    )
    phi: float = flag(
        real(0, 2),
        "0",
        "redundant: least distance of two filters of a layer, relative to the larger norm",
        PROJECTING,
        projection=("redundant",),
    )
    delta: float = flag(
        real(0, 1, above=True),
        None,
        "funnel: least fall of the kept fraction a layer; default: ratio / (2 layers)",
        PROJECTING,
        projection=("funnel",),
    )
    ratio: float = flag(RATIO, "0.1", "fraction of the kernel weights kept", COMPRESSING)
    ratio_schedule: tuple = flag(
        sequence(RATIO),
        None,
        "l0, admm: kept fraction; default: a cubic fall to --ratio between 10 % and 60 % of the stage",
        ("l0", "admm"),
    )
    adaptive: str = flag(
        one_of(("none", "k", "eps")),
        "none",
        "admm: k or eps moves on after an epoch only if the adversarial validation loss is within --tolerance; with k"
        " the net may end larger than --ratio",
        ("admm",),
    )
    tolerance: float = flag(
        real(0), "0.1", "admm: how far that loss may exceed its least value, as a fraction of it", ("admm",)
    )
    norm: str = flag(one_of(NORMS), "linf", "norm of the attack")
    eps: float = flag(
        EPS, None, "attack radius in pixels of [0, 1], their Euclidean length for l2; default: the data set's"
    )
    eps_schedule: tuple = flag(
        sequence(EPS),
        None,
        "training radius; default: eps/3, 2eps/3, eps over the thirds of the epochs before fine-tuning",
    )
    steps: int = flag(whole(0), "7", "gradient steps of the training attack")
    steps_schedule: tuple = flag(
        sequence(whole(0), STEPS),
        None,
        "gradient steps; thesis: 7, 14, 21 in each third of the epochs; default: --steps throughout",
    )
    alpha: float = flag(real(0), None, "step size in pixels; default: min(eps, 2.5 eps / steps)")
    random_start: bool = flag(SWITCH, "true", "start the attack at a random point of the ball, else at the image")
    starts: tuple = flag(
        listed(one_of(STARTS)),
        "uniform",
        "where random starts lie, one of these drawn for each image; stripes, blocks: corners of the L-inf ball",
        ADVERSARIAL,
        loss=("mix",),
        attack=("pgd", "fgsm_rs"),
    )
    attack: str = flag(
        one_of(("pgd", "fgsm_rs")),
        "pgd",
        "training attack; fgsm_rs: one step of 1.25 eps; training stops where PGD's accuracy collapses under it",
        ADVERSARIAL,
        loss=("mix", "trades"),
    )
    loss: str = flag(
        one_of(LOSSES),
        "mix",
        "mix: see --adv_weight; trades: CE(x) + beta KL(f(x) || f(x_adv));"
        " ibp: mix with the worst logits that interval bounds allow in place of an attack's, eps moving on a line"
        " between the values of --eps_schedule (default: from 0 to eps at half of the epochs), and --adv_weight growing"
        " with it; the history's training figures are then those of the bounds",
        ADVERSARIAL,
    )
    beta: float = flag(real(0), "6", "trades: weight of the divergence", loss=("trades",))
    label_smoothing: float = flag(real(0, 1), "0", "probability spread evenly over all classes")
    adv_weight: float = flag(
        real(0, 1), "0.9", "weight of the adversarial loss; the clean loss has the rest", loss=("mix", "ibp")
    )
    epochs: int = flag(whole(1), "20", "epochs of the method's main stage")
    pretrain_epochs: int = flag(whole(0), "0", "dense epochs before it", COMPRESSING)
    finetune_epochs: int = flag(
        whole(0),
        "0",
        "admm: epochs with the constraint's zeros, codebook assignments or ranks fixed after it",
        ("admm",),
    )
    extend_while_improving: bool = flag(
        SWITCH, "false", "train the last stage on, epoch by epoch, while the adversarial validation loss falls"
    )
    one_shot: bool = flag(SWITCH, "false", "atmc: factorised from the start, while k falls", ("atmc",))
    l0_epochs: int = flag(
        whole(0), "1", "atmc: epochs that go down to the k largest weights before it", ("atmc",), one_shot=(False,)
    )
    codebook_epochs: int = flag(
        whole(0), "0", "atmc: epochs with 2^bits values a factor, assignments fixed, after it", ("atmc",)
    )
    project_every: int = flag(whole(1), "1", "l0, atmc: steps between projections", ("l0", "atmc"))
    thin_layers: bool = flag(
        SWITCH, "false", "atmc: two thin layers in place of a kernel where they take fewer multiply-adds", ("atmc",)
    )
    batch_size: int = flag(whole(1), "128", "images a step")
    optimizer: str = flag(one_of(("sgd", "adam")), "sgd", "sgd has momentum 0.9")
    learning_rate: float = flag(real(0), None, "default: 0.05 for sgd, 0.001 for adam")
    learning_rate_schedule: tuple = flag(
        sequence(real(0), LEARNING_RATES),
        None,
        "learning rate; thesis: 0.05, times 0.8 every 10 epochs; atmc: 0.005, a tenth at 30, 60, 90, 120; atmc_plan_1:"
        " the same over 200 epochs; atmc_plan_3: over 150; one_cycle: step by step from 0 to --learning_rate at 30 % of"
        " the epochs and back; default: --learning_rate, times 0.8 every 10 epochs",
    )
    weight_decay: float = flag(
        real(0),
        None,
        "decay of kernels a step, times the learning rate and apart from momentum: 0.005 does what 5e-4 does in a"
        " gradient with momentum 0.9; default: 5e-4 for sgd, 0 for adam",
    )
    clip_norm: float = flag(real(0, above=True), None, "largest norm of a step's gradient; default: none")
    ema: float = flag(
        real(0, 0.9999999),
        "0",
        "decay a step of the averages (weights, batch statistics) that are validated and shipped; 0: no averages",
    )
    admm_interval: int = flag(
        whole(1),
        None,
        "admm: steps between updates of Z and U; 1 is the literal algorithm; default: an epoch",
        ("admm",),
    )
    rho: float = flag(real(0, above=True), "0.001", "admm: first penalty weight", ("admm",))
    rho_max: float = flag(real(0, above=True), "1", "admm: last penalty weight, reached geometrically", ("admm",))
    checkpoint_every: int = flag(whole(1), "1", "epochs between checkpoints")
    seed: int = flag(whole(0, 2**31 - 1), "0", "seed of everything random")
    distribution: str = flag(
        one_of(("none", "mirrored", "multiworker")),
        "none",
        "mirrored: on all GPUs of this machine, each with its part of every batch; the same steps as on one device;"
        " multiworker: on all machines that TF_CONFIG names",
    )
    mixed_precision: bool = flag(
        SWITCH,
        "false",
        "train with bfloat16 inside the net, for devices that compute it faster; weights, and what ships, are float32",
    )
    dry_run: bool = flag(
        SWITCH,
        "false",
        "train nothing: print the configuration, the net's size, the operations and an estimate of the time",
    )


ONE_RADIUS = ("attacks", "ensemble", "generalise", "quantised", "tflite")


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """bin/evaluate: attacks a trained net on test images; writes WORKDIR/evaluation/*.json and prints a table."""

    workdir: str = flag(TEXT, None, "run directory of bin/train (required)")
    data_dir: str = flag(TEXT, None, "folder of TensorFlow Datasets; default: the one of the training run")
    mode: str = flag(
        one_of(MODES),
        "attacks",
        "attacks: accuracy under each, and under the worst of them for each image; curve: accuracy under PGD at growing"
        " radii, until it is below chance; transfer: images crafted on one run, judged by others; ensemble: the mean"
        " of a natural and a robust net's probabilities; minimal: the least radius that fools the net, for each image;"
        " generalise: fgsm, ifgsm and wrm side by side; quantised: attacks after rounding the kernels to 8 bits;"
        " tflite: the files of bin/export_tflite themselves",
    )
    attacks: tuple = flag(
        listed(one_of((*ATTACKS, "autoattack"))),
        "fgsm,pgd",
        "attacks, each on all images; or autoattack, an ensemble in which each attack sees what is left",
        mode=("attacks", "quantised"),
    )
    version: str = flag(
        one_of(("standard", "thesis")),
        None,
        "autoattack: standard (apgd_ce, apgd_t, fab_t, square) or the thesis' (apgd_ce, apgd_dlr, fab, square);"
        " default: standard",
        mode=("attacks",),
    )
    individual: bool = flag(
        SWITCH, "false", "autoattack: each attack sees all correctly classified images", mode=("attacks",)
    )
    norm: str = flag(one_of(NORMS), None, "norm of the attacks; default: the run's")
    eps: float = flag(EPS, None, "attack radius in pixels of [0, 1]; default: the run's", mode=ONE_RADIUS)
    radii: tuple = flag(
        RADII,
        None,
        "attack radii in pixels of [0, 1]; default: multiples of a third of the run's, up to 8 times it (curve), to it"
        " (transfer) and to twice it (minimal)",
        mode=("curve", "transfer", "minimal"),
    )
    steps: int = flag(whole(0), None, "gradient steps; default: 100")
    alpha: float = flag(
        real(0), None, "step size in pixels, at most eps; default: min(eps, 2.5 eps / steps)", mode=ONE_RADIUS
    )
    restarts: int = flag(
        whole(1),
        None,
        "random starts; an image counts as robust if it survives all; default: 1",
        mode=tuple(name for name in MODES if name != "generalise"),
    )
    queries: int = flag(
        whole(1), None, "square: evaluations of each image; default: 5000", mode=("attacks", "quantised", "tflite")
    )
    source: str = flag(TEXT, None, "run whose net the images are crafted on, in place of --workdir", mode=("transfer",))
    targets: tuple = flag(listed(TEXT), None, "runs whose nets judge them (required there)", mode=("transfer",))
    natural: str = flag(TEXT, None, "run of the natural net (required there)", mode=("ensemble",))
    bisections: int = flag(whole(0), "5", "halvings of the interval that the radii leave", mode=("minimal",))
    loss_weight: float = flag(real(0), None, "wrm: weight of the cross-entropy; default: 1.3", mode=("generalise",))
    deviation: float = flag(
        real(0, above=True),
        None,
        "wrm: the pixels' standard deviation that --loss_weight is in units of (its square counts); default: 1, pixels",
        mode=("generalise",),
    )
    wrm_steps: int = flag(whole(1), None, "wrm: gradient steps; default: 3", mode=("generalise",))
    file: str = flag(TEXT, None, ".tflite file of this run's net; default: all of WORKDIR/export", mode=("tflite",))
    num_images: int = flag(whole(1), None, "first test images to use; default: all")
    batch_size: int = flag(whole(1), "500", "images attacked at once; with it the random starts change")
    seed: int = flag(whole(0), "0", "seed of the random starts")


FORMATS = ("float32", "float16", "dynamic", "int8", "sparse", "compact", "compact-int8", "compact-sparse")


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """bin/export_tflite: writes WORKDIR/export/*.tflite, each loaded back and compared, and manifest.json."""

    workdir: str = flag(TEXT, None, "run directory of bin/train (required)")
    data_dir: str = flag(TEXT, None, "folder of TensorFlow Datasets; default: the one of the training run")
    formats: tuple = flag(listed(one_of(FORMATS)), ",".join(FORMATS), "formats, comma-separated")
    num_images: int = flag(whole(1), None, "first test images to compare on; default: all")
    attack_images: int = flag(whole(1), "500", "of these, the first that are also attacked through the float net")
    steps: int = flag(whole(1), "20", "gradient steps of that attack")
    seed: int = flag(whole(0), "0", "seed of its random starts")
    lint: bool = flag(
        SWITCH,
        False,
        "print, for each file, which layers run in sparse kernels on an ARM device, which not, and why; files that are"
        " there already, of this very net, are not written again",
    )
    bundle: bool = flag(
        SWITCH,
        False,
        "also write WORKDIR/export/bundle.tar.gz for a device: all files, labels, sample images, manifest, benchmark",
    )


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """bin/report: writes report.html, one page that needs no network, and its figures as PNG and SVG in report/."""

    workdir: tuple = flag(MANY, None, "run directory; give it once for each run to compare (required)")
    benchmarks: tuple = flag(
        listed(TEXT), None, "JSON files of the benchmark script on further devices, comma-separated, of the first run"
    )
    out: str = flag(TEXT, None, "folder for the page; default: the first run directory")


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """bin/sweep: trains, evaluates and exports a grid of runs; the same command goes on where it was stopped.

    It also takes every flag of bin/train but --workdir and --seed, for all runs; a run leaves out those that mean
    nothing to it. With --pretrain_epochs the runs that differ in compression only start from one dense net, which is
    trained once, as a run of its own: schedules that are spelled out are cut where it ends, default and named ones
    begin anew after it, and eps, once led up to, stays what it is.
    """

    workdir: str = flag(TEXT, None, "folder of the sweep; default: runs/sweep-NAME, named after the flags")
    grid: tuple = flag(
        MANY,
        None,
        "FLAG=VALUE,VALUE,...: values of a flag of bin/train, with ; in place of , where values have commas; given more"
        " than once, all combinations",
    )
    seeds: tuple = flag(
        listed(whole(0, 2**31 - 1)), "0", "seeds, comma-separated: each combination is trained with each"
    )
    evaluate: tuple = flag(
        MANY, None, "flags of bin/evaluate, in quotes; once for each evaluation; default: one with its defaults"
    )
    export: str = flag(TEXT, None, "flags of bin/export_tflite, in quotes; default: its defaults")
    jobs: int = flag(whole(1, 10_000), "1", "runs at once; they share the processors evenly")
    ray_address: str = flag(
        TEXT,
        None,
        "Ray cluster that does the work, HOST:PORT, auto, or local for a new one on this machine; its machines see this"
        " folder under the same path and have robust_tf[ray] installed; default: processes of this machine",
    )


def parse(Config, argv):
    """Flags -> Config; raises Refusal with one line. argv excludes the command's name."""
    config, given = read(Config, argv)
    for name, other, allowed in idle(config, given):
        raise Refusal(
            f"--{name}: expected --{other}={'|'.join(map(str, allowed))} with it; got {getattr(config, other)}"
        )
    return CHECKS[Config](config)


def _check_train(config):
    """Fills the defaults that depend on other flags and refuses what fits no run."""
    adam = config.optimizer == "adam"
    filled = {
        "data_dir": config.data_dir and os.path.abspath(config.data_dir),  # later stages may run elsewhere
        "init_from": config.init_from and os.path.abspath(config.init_from),
        "eps": DATASETS[config.dataset].eps if config.eps is None else config.eps,
        "augment": config.augment or DATASETS[config.dataset].augment,
        "learning_rate": (0.001 if adam else 0.05) if config.learning_rate is None else config.learning_rate,
        "weight_decay": (0.0 if adam else 5e-4) if config.weight_decay is None else config.weight_decay,
    }
    if config.mixed_precision and config.loss == "ibp":
        raise Refusal("--mixed_precision: expected another loss than ibp, whose bounds hold in float32; got ibp")
    if config.norm != "linf" and config.eps is None:
        raise Refusal(f"--eps: expected one with --norm={config.norm}, the data set's is for linf; got none")
    config = dataclasses.replace(config, **filled)
    if "none" in config.augment and len(config.augment) > 1:
        raise Refusal(f"--augment: expected none alone; got {','.join(config.augment)}")
    check_radius(config, [config.eps, *(eps for _, eps in config.eps_schedule or ())])
    falling = [ratio for _, ratio in config.ratio_schedule or ()]
    if falling != sorted(falling, reverse=True):
        raise Refusal(f"--ratio_schedule: expected fractions that fall; got {', '.join(f'{r:g}' for r in falling)}")
    if config.loss == "ibp" and config.eps == 0:
        raise Refusal("--loss=ibp: expected --eps above 0 with it; got 0")
    if config.projection in ("codebook", "low_rank") and config.method in ("nap", "ap"):
        raise Refusal(f"--projection={config.projection}: expected --method=admm with it; got {config.method}")
    if config.loss == "ibp" and config.norm != "linf":
        raise Refusal(f"--loss=ibp: expected --norm=linf with it; got {config.norm}")
    if config.loss == "ibp" and config.adaptive == "eps":
        raise Refusal("--loss=ibp: expected --adaptive=none|k with it; got eps")
    if config.norm != "linf" and set(config.starts) & {"stripes", "blocks"}:
        raise Refusal(f"--starts={','.join(config.starts)}: expected --norm=linf with it; got {config.norm}")
    if config.attack == "fgsm_rs" and config.norm != "linf":
        raise Refusal(f"--attack=fgsm_rs: expected --norm=linf with it; got {config.norm}")
    if config.rho_max < config.rho:
        raise Refusal(f"--rho_max: expected at least --rho ({config.rho:g}); got {config.rho_max:g}")
    if config.ratio_schedule and config.ratio_schedule[-1][1] != config.ratio:
        raise Refusal(
            f"--ratio_schedule: expected to end at --ratio ({config.ratio:g}); got {config.ratio_schedule[-1][1]:g}"
        )
    return config


def check_radius(config, radii):
    """Raises Refusal for an L-inf radius beyond the width of [0, 1]."""
    if config.norm == "linf" and max(radii) > 1:
        raise Refusal(f"--eps: expected a number or fraction in [0, 1] with --norm=linf; got {max(radii):g}")


def _check_workdir(config):
    if config.workdir is None:
        raise Refusal("--workdir: expected a run directory of bin/train; got none")
    return config


def _check_evaluate(config):
    if config.source and config.workdir:
        raise Refusal(f"--source: expected it in place of --workdir; got both, {config.source} and {config.workdir}")
    config = _check_workdir(dataclasses.replace(config, workdir=config.workdir or config.source))
    for mode, name in (("transfer", "targets"), ("ensemble", "natural")):
        if config.mode == mode and getattr(config, name) is None:
            raise Refusal(f"--{name}: expected one with --mode={mode}; got none")
    for name in ("steps", "alpha", "restarts", "queries"):
        if "autoattack" in config.attacks and getattr(config, name) is not None:
            raise Refusal(f"--{name}: expected none with --attacks=autoattack; got {getattr(config, name):g}")
    steps, restarts = (100 if config.steps is None else config.steps), config.restarts or 1
    return dataclasses.replace(config, steps=steps, restarts=restarts)


CHECKS = {
    TrainConfig: _check_train,
    EvaluateConfig: _check_evaluate,
    ExportConfig: _check_workdir,
    ReportConfig: _check_workdir,
    SweepConfig: lambda config: config,
}
