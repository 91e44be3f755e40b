"""TrainConfig: the flags of bin/train."""

import dataclasses
import json
import os
from pathlib import Path

from robust_tf.attacks import NORMS, STARTS
from robust_tf.data import AUGMENTATIONS, DATASETS
from robust_tf.data.folder import TEST_FRACTION
from robust_tf.flags.declare import flag
from robust_tf.flags.kinds import (
    EPS,
    NET_FILES,
    RATIO,
    REGULAR,
    SWITCH,
    TEXT,
    image_size,
    listed,
    names_file,
    net,
    one_of,
    real,
    sequence,
    whole,
)
from robust_tf.flags.meaning import ABOVE_0, UNSET
from robust_tf.flags.suggestions import of_8_bits
from robust_tf.models import KERNEL_STARTS, MODELS
from robust_tf.models.imported.scaling import AUTO, SCALINGS
from robust_tf.projections import PROJECTIONS, RANK_RULES
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES, TRAINING_ATTACKS
from robust_tf.training.lengths import with_lengths
from robust_tf.training.methods import ALIASES, CODEBOOK_STAGES, FACTOR_CONSTRAINTS, FACTOR_STARTS, METHODS
from robust_tf.training.schedules import LEARNING_RATES, STEPS_SCHEDULES

CONFIG = "config.json"  # in a run directory: its TrainConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """bin/train: trains a net, robust and compressed, into a run directory; the same command resumes it."""

    workdir: str = flag(TEXT, None, "run directory; default: runs/NAME, named after the configuration")
    init_from: str = flag(
        TEXT,
        None,
        "run directory whose net gives the initial weights, with other classes all but the last layer's; or a Keras"
        " net, as with --model; default: random weights",
        options={UNSET: ("kernel_start",)},
    )
    dataset: str = flag(
        one_of(DATASETS),
        "digits",
        "data set; folder: your own images (.png, .jpg, .webp, .bmp, .gif), DATA_DIR/CLASS/*, or DATA_DIR/train/CLASS/*"
        " and DATA_DIR/test/CLASS/*",
        options=DATASETS,
    )
    data_dir: str = flag(
        TEXT, None, "folder of TensorFlow Datasets, or of your own images; default: ~/tensorflow_datasets"
    )
    image_size: tuple = flag(image_size(8, 2048), "64", "folder: size to which the images are scaled")
    grey: bool = flag(SWITCH, "false", "folder: one channel, the luminance, in place of three")
    test_fraction: float = flag(
        real(0, 0.9, above=True),
        None,
        "folder without train/ and test/: fraction of the images of each class that are test images; equal images stay"
        f" on one side; default: {TEST_FRACTION:g}",
    )
    split_seed: int = flag(
        whole(0, 2**31 - 1),
        "0",
        "folder without train/ and test/: seed with which the test images are drawn; --seed does not change them, so"
        " that runs of several seeds are tested on the same images",
    )
    group_by: str = flag(
        REGULAR,
        None,
        "folder without train/ and test/: images for which this finds the same text in the file name, or the same first"
        " group, stay on one side of the split, such as the frames of a film",
    )
    skip_unreadable: bool = flag(SWITCH, "false", "folder: leave out unreadable files, which are refused otherwise")
    memory: float = flag(
        real(0),
        None,
        "folder: GiB that the images may take in memory; larger sets are read from their files again and again, with"
        " the same results; bin/evaluate and bin/export_tflite have no such flag and keep to the run's; default: a"
        " third of the free memory",
    )
    augment: tuple = flag(
        listed(one_of(AUGMENTATIONS)),
        None,
        "augmentation of training images; crop: shift by up to 4 pixels; flip: mirror half of the images; rotate: by up"
        " to 15 degrees; default: the data set's",
    )
    model: str = flag(
        net(MODELS),
        "lenet",
        "net, or your own: a function(input_shape, num_classes) that returns an uncompiled tf_keras model whose outputs"
        " are logits; or a trained net, saved by Keras 3 or 2 as .keras, .h5 or SavedModel",
        options=MODELS,
    )
    input_scaling: str = flag(
        one_of((AUTO, *SCALINGS)),
        AUTO,
        "Keras net: pixels that it expects; imagenet: less the mean, divided by the deviation; caffe: 0..255 in BGR,"
        " less the mean; auto: what scores best on training images",
    )
    labels: str = flag(
        TEXT, None, "Keras net: text file with its classes, one in each line; default: the data's, in their order"
    )
    unfreeze: bool = flag(SWITCH, "false", "Keras net: train its frozen layers too, which otherwise stay as they are")
    width: float = flag(real(0, 32, above=True), "1", "width multiplier of the net")
    conv_relu: bool = flag(SWITCH, "false", "lenet: ReLU after the convolutions too")
    kernel_start: str = flag(
        one_of(KERNEL_STARTS), "keras", "random kernels with which training starts", options=KERNEL_STARTS
    )
    method: str = flag(one_of(METHODS, ALIASES), "admm", "training method", options=METHODS)
    projection: str = flag(one_of(PROJECTIONS), "irregular", "constraint on the weights", options=PROJECTIONS)
    floor: float = flag(real(0, 1), "0", "irregular: least fraction of each kernel that is kept")
    bits: int = flag(whole(2, 16), "8", "codebook: 2^bits distinct values in each kernel, zero among them")
    block_size: int = flag(
        whole(1),
        "4",
        "block: number of consecutive inputs in a block; TFLite needs 4 for float, 16 for int8",
    )
    phi: float = flag(
        real(0, 2),
        "0",
        "redundant: least distance between two filters of a layer, relative to the larger norm",
    )
    delta: float = flag(
        real(0, 1, above=True),
        None,
        "funnel: least decrease of the kept fraction from layer to layer; default: ratio / (2 * number of layers)",
    )
    rank_rule: str = flag(
        one_of(RANK_RULES), "relative", "how the ranks of layers follow from the budget", options=RANK_RULES
    )
    ratio: float = flag(RATIO, "0.1", "fraction of the kernel weights that is kept")
    ratio_schedule: tuple = flag(
        sequence(RATIO),
        None,
        "schedule of the kept fraction; default: cubic decrease to --ratio between 10 % and 60 % of the stage",
    )
    adaptive: str = flag(
        one_of(("none", "k", "eps")),
        "none",
        "the schedule of k or eps advances after an epoch only if the adversarial validation loss is within"
        " --tolerance; with k the net may keep more weights than --ratio",
        options={"k": ("tolerance",), "eps": ("tolerance",)},
    )
    tolerance: float = flag(
        real(0),
        "0.1",
        "how far the adversarial validation loss may exceed its least value, as a fraction of that value",
    )
    norm: str = flag(one_of(NORMS), "linf", "norm of the attack")
    eps: float = flag(
        EPS, None, "attack radius in pixels of [0, 1], for l2 as Euclidean length; default: the data set's"
    )
    eps_schedule: tuple = flag(
        sequence(EPS),
        None,
        "schedule of the attack radius; default: eps/3, 2 eps/3, eps in the thirds of the dense epochs before the main"
        " stage, or without those of all epochs before fine-tuning",
    )
    steps: int = flag(whole(0), "7", "gradient steps of the training attack")
    steps_schedule: tuple = flag(
        sequence(whole(0), STEPS_SCHEDULES),
        None,
        "schedule of the gradient steps; thesis: 7, 14, 21 within each third of the epochs in which eps grows;"
        " default: always --steps",
        options={UNSET: ("steps",)},
    )
    alpha: float = flag(real(0), None, "step size in pixels; default: min(eps, 2.5 eps / steps)")
    random_start: bool = flag(
        SWITCH,
        "true",
        "start the attack at a random point of the ball, otherwise at the image",
        options={"true": ("starts",)},
    )
    starts: tuple = flag(
        listed(one_of(STARTS)), "uniform", "kinds of random starts; one is drawn for each image", options=STARTS
    )
    attack: str = flag(one_of(TRAINING_ATTACKS), "pgd", "training attack", options=TRAINING_ATTACKS)
    loss: str = flag(one_of(LOSSES), "mix", "training loss", options=LOSSES)
    beta: float = flag(real(0), "6", "weight of the KL divergence in TRADES")
    box: float = flag(real(0, 1, above=True), "0.4", "lambda of SABR: the radius of its boxes as a fraction of eps")
    teacher: str = flag(
        TEXT,
        None,
        "run directory of a net, usually larger and robust, whose probabilities of the clean images take the labels'"
        " place in the loss and in the training attack",
    )
    label_smoothing: float = flag(real(0, 1), "0", "probability spread evenly over all classes")
    class_weights: str = flag(
        one_of(("none", "balanced")),
        "none",
        "weights of the images in the training loss, clean and adversarial; balanced: all classes have the same weight"
        " in total, and the mean weight of an image is 1",
    )
    adv_weight: float = flag(
        real(0, 1, above=True), "0.9", "weight of the adversarial loss; the clean loss has weight 1 - adv_weight"
    )
    epochs: int = flag(
        whole(1),
        None,
        "epochs of the method's main stage; default: as many as take 1,000 training steps, from 20 to 100",
    )
    pretrain_epochs: int = flag(
        whole(0),
        None,
        "epochs of dense training before the main stage; default: half of --epochs for nap, ap, alr and hydra without"
        " --init_from, otherwise 0",
    )
    finetune_epochs: int = flag(
        whole(0),
        "0",
        "epochs of fine-tuning after the main stage, with fixed zeros, codebook assignments or ranks",
    )
    extend_while_improving: bool = flag(
        SWITCH, "false", "extend the last stage, epoch by epoch, while the adversarial validation loss falls"
    )
    stop_on_explosion: bool = flag(
        SWITCH, "true", "end training where the adversarial loss explodes; NaN and infinity always end it"
    )
    one_shot: bool = flag(
        SWITCH, "false", "atmc: factorise before k falls, without --l0_epochs", options={"false": ("l0_epochs",)}
    )
    l0_epochs: int = flag(
        whole(0),
        "1",
        "atmc: epochs of iterative hard thresholding down to k weights, before the kernels are factorised",
    )
    score_epochs: int = flag(whole(1), "5", "hydra: epochs in which scores choose the weights that stay")
    codebook_epochs: int = flag(
        whole(0),
        "0",
        "atmc: epochs after the main stage with 2^bits values in each factor and fixed assignments",
        options={ABOVE_0: ("bits", "codebook_stage")},
    )
    codebook_stage: str = flag(
        one_of(CODEBOOK_STAGES), "centroids", "atmc: how the factors get 2^bits values", options=CODEBOOK_STAGES
    )
    factor_start: str = flag(one_of(FACTOR_STARTS), "identity", "atmc: first factors", options=FACTOR_STARTS)
    factor_constraint: str = flag(
        one_of(FACTOR_CONSTRAINTS),
        "projection",
        "atmc: what keeps k entries in all factors together",
        options=FACTOR_CONSTRAINTS,
    )
    normalise_layers: bool = flag(
        SWITCH,
        "false",
        "l0, atmc: the k largest weights are those of the largest quotients of a weight and the root mean square of its"
        " layer",
    )
    project_every: int = flag(whole(1), "1", "training steps between projections onto the k largest weights")
    thin_layers: bool = flag(
        SWITCH, "false", "atmc: ship two thin layers in place of a layer where they take fewer multiply-adds"
    )
    batch_size: int = flag(
        whole(1),
        None,
        "images in a training step; default: 128, or for fewer than 1,280 training images a smaller power of two, with"
        " ten training steps an epoch, at least 16",
    )
    optimizer: str = flag(one_of(("sgd", "adam")), "adam", "optimiser; sgd has momentum 0.9")
    learning_rate: float = flag(real(0), None, "learning rate; default: 0.05 for sgd, 0.001 for adam")
    learning_rate_schedule: tuple = flag(
        sequence(real(0), LEARNING_RATES),
        None,
        "learning-rate schedule; default: --learning_rate, times 0.8 every 10 epochs; the default and named schedules,"
        " except one_cycle, begin anew in each stage; epoch:value counts from the start of the run",
        options={UNSET: ("learning_rate",), **LEARNING_RATES},
    )
    weight_decay: float = flag(
        real(0),
        None,
        "decoupled weight decay of kernels: each training step subtracts learning rate * weight_decay * kernel, without"
        " momentum; as an L2 term in the gradient, with momentum 0.9, a tenth of it has the same effect; default: 5e-4"
        " for sgd, 0 for adam",
    )
    clip_norm: float = flag(
        real(0, above=True),
        None,
        "gradient clipping: largest norm of the gradient of all weights together; default: no clipping",
    )
    ema: float = flag(
        real(0, 0.9999999),
        "0",
        "exponential moving averages of weights and batch statistics, which are validated and shipped: decay in each"
        " training step; 0: no averages",
    )
    admm_interval: int = flag(
        whole(1),
        None,
        "training steps between updates of Z and U; 1: the algorithm as printed; default: an epoch",
    )
    rho: float = flag(real(0, above=True), "0.001", "initial penalty weight of ADMM")
    rho_max: float = flag(real(0, above=True), "1", "final penalty weight of ADMM; rho grows geometrically to it")
    checkpoint_every: int = flag(whole(1), "1", "epochs between checkpoints")
    seed: int = flag(whole(0, 2**31 - 1), "0", "seed of all random numbers but those of --split_seed")
    distribution: str = flag(
        one_of(("none", "mirrored", "multiworker")),
        "none",
        "mirrored: train on all GPUs of this machine, each with its share of every batch, in the same training steps as"
        " on one device; multiworker: on all machines that TF_CONFIG names",
    )
    mixed_precision: bool = flag(
        SWITCH,
        "false",
        "compute in bfloat16 inside the net, for devices that do so faster; weights and the shipped net are float32",
    )
    dry_run: bool = flag(
        SWITCH,
        "false",
        "do not train: check everything, and print the configuration, the net's size, an estimate of the time, and the"
        " bytes and milliseconds of the files",
    )

    def checked(self):
        """The configuration with the defaults that depend on other flags; raises Refusal for invalid ones.

        Lengths that depend on the number of the user's own images stay None, see `training.lengths`.
        """
        dataset, adam = DATASETS[self.dataset], self.optimizer == "adam"
        if self.norm != "linf" and self.eps is None:
            raise Refusal(f"--eps: expected a value with --norm={self.norm}, as the data set's is for linf; got none")
        model, init_from = self.model, self.init_from
        if init_from and is_net(init_from) and (model, self.width, self.conv_relu) == ("lenet", 1.0, False):
            model, init_from = init_from, None  # --init_from=FILE alone means the net of the file
        config = dataclasses.replace(
            with_lengths(self, lengths_of(self.workdir), dataset.train_images),
            data_dir=self.data_dir and os.path.abspath(self.data_dir),  # later stages may run elsewhere
            init_from=init_from and os.path.abspath(init_from),
            teacher=self.teacher and os.path.abspath(self.teacher),
            model=os.path.abspath(model) if names_file(model) else model,
            labels=self.labels and os.path.abspath(self.labels),
            eps=dataset.eps if self.eps is None else self.eps,
            augment=self.augment or dataset.augment,
            learning_rate=(0.001 if adam else 0.05) if self.learning_rate is None else self.learning_rate,
            weight_decay=(0.0 if adam else 5e-4) if self.weight_decay is None else self.weight_decay,
        )
        check_net(config)
        check_attack(config)
        check_compression(config)
        if "none" in config.augment and len(config.augment) > 1:
            raise Refusal(f"--augment: expected none without others; got {','.join(config.augment)}")
        return config


def lengths_of(workdir):
    """{flag: value} of the lengths of the run in `workdir`; {} without a run."""
    try:
        values = json.loads((Path(workdir) / CONFIG).read_text()) if workdir else {}
    except (OSError, ValueError):  # there is none, or it is damaged, which is refused later
        return {}
    least = {"batch_size": 1, "epochs": 1, "pretrain_epochs": 0}
    found = {name: values.get(name) for name in least} if isinstance(values, dict) else {}
    return {name: value for name, value in found.items() if isinstance(value, int) and value >= least[name]}


def is_net(path):
    """Whether a path of --init_from is that of a Keras net, not of a run directory."""
    if os.path.isfile(os.path.join(path, CONFIG)):
        return False
    return path.endswith(NET_FILES) or os.path.isfile(os.path.join(path, "saved_model.pb"))


def check_net(config):
    """Raises Refusal where flags of a Keras net are given for another."""
    if names_file(config.model):
        if config.kernel_start != "keras":
            raise Refusal(f"--kernel_start: expected a net without trained weights with it; got --model={config.model}")
        return
    for name, default in (("input_scaling", AUTO), ("labels", None), ("unfreeze", False)):
        if getattr(config, name) != default:
            raise Refusal(
                f"--{name}: expected --model=FILE with it, a Keras net of your own; got --model={config.model}"
            )


def check_attack(config):
    """Raises Refusal where flags of the training attack, or of the bounds in its place, do not fit together."""
    if config.steps == 0 and config.steps_schedule is None and config.alpha is not None:
        raise Refusal("--alpha: expected --steps above 0 with it; got 0")
    if TRAINING_ATTACKS[config.attack].noise:
        for name, default in (("starts", ("uniform",)), ("random_start", True)):
            if getattr(config, name) != default:
                others = "|".join(each for each, attack in TRAINING_ATTACKS.items() if not attack.noise)
                raise Refusal(f"--{name}: expected --attack={others} with it; got {config.attack}")
    if config.alpha is not None and config.alpha > config.eps:
        raise Refusal(f"--alpha: expected at most eps ({config.eps:g}); got {config.alpha:g}{of_8_bits(config.alpha)}")
    radii = [("eps", config.eps), *(("eps_schedule", eps) for _, eps in config.eps_schedule or ())]
    for name, eps in radii:
        if config.norm == "linf" and eps > 1:
            raise Refusal(
                f"--{name}: expected a number or fraction in [0, 1] with --norm=linf; got {eps:g}{of_8_bits(eps)}"
            )
    for name, registry in (("loss", LOSSES), ("attack", TRAINING_ATTACKS), ("starts", STARTS)):
        value = getattr(config, name)
        for each in value if isinstance(value, tuple) else (value,):
            if config.norm not in registry[each].norms:
                given, needed = ",".join(value) if isinstance(value, tuple) else value, "|".join(registry[each].norms)
                raise Refusal(f"--{name}={given}: expected --norm={needed} with it; got {config.norm}")
    if LOSSES[config.loss].certifies:
        if config.mixed_precision:
            raise Refusal(
                "--mixed_precision: expected a loss without interval bounds, which need float32; got"
                f" --loss={config.loss}"
            )
        if config.eps == 0:
            raise Refusal(f"--loss={config.loss}: expected --eps above 0 with it; got 0")
        if config.adaptive == "eps":
            raise Refusal(f"--loss={config.loss}: expected --adaptive=none|k with it; got eps")


def check_compression(config):
    """Raises Refusal where flags of the constraint do not fit together."""
    kept_by = PROJECTIONS[config.projection].kept_by
    if METHODS[config.method].projects and kept_by not in METHODS[config.method].kept_by:
        needed = "|".join(name for name, method in METHODS.items() if kept_by in method.kept_by)
        raise Refusal(f"--projection={config.projection}: expected --method={needed} with it; got {config.method}")
    if config.rho_max < config.rho:
        raise Refusal(f"--rho_max: expected at least --rho ({config.rho:g}); got {config.rho_max:g}")
    ratios = [ratio for _, ratio in config.ratio_schedule or ()]
    if ratios != sorted(ratios, reverse=True):
        raise Refusal(
            f"--ratio_schedule: expected fractions that never rise; got {', '.join(f'{r:g}' for r in ratios)}"
        )
    if ratios and ratios[-1] != config.ratio:
        raise Refusal(f"--ratio_schedule: expected to end at --ratio ({config.ratio:g}); got {ratios[-1]:g}")
