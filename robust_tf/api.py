"""What `import robust_tf` offers a program beside `RobustModel`: train, compress, attack, certify, export, benchmark.

Images are uint8 or floats in [0, 1], [N, H, W, C]; labels are class numbers [N] or one-hot rows [N, K]. `net` is a
tf_keras net of logits, or a `RobustModel`, whose net is taken. Each function does what a command does, with the same
checks: it raises `Refusal`, one line, before it changes or writes anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import ArrayLike

from robust_tf.certification.bounds import check_bounded
from robust_tf.certification.certified import certified
from robust_tf.data.given import given
from robust_tf.data.pixels import mapped, pixels
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.autoattack import autoattack as attacks_of
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.sanity import probe, sequence_flags
from robust_tf.evaluation.sequence import broken_by, in_sequence
from robust_tf.evaluation.settings import radius
from robust_tf.evaluation.sparing import spared
from robust_tf.export import FORMATS, benchmark_tflite
from robust_tf.export.tflite import export_net
from robust_tf.flags.kinds import offered, one_of
from robust_tf.flags.suggestions import did_you_mean
from robust_tf.flags.text import from_keywords
from robust_tf.models.guess import guess
from robust_tf.models.own import are_probabilities, check, check_flat, check_logits, refusing
from robust_tf.records.benchmark import Timing
from robust_tf.records.manifest import Compared
from robust_tf.records.record import convert
from robust_tf.refusal import Refusal
from robust_tf.terminal import progress_bar, sequence_progress
from robust_tf.training.arrays import train_net
from robust_tf.training.config import TrainConfig
from robust_tf.training.lengths import default_batch_size, default_epochs
from robust_tf.training.methods import ALIASES, METHODS
from robust_tf.training.model import RobustModel

# Flags of bin/train that the arguments net, x and y replace, or that only commands have.
REPLACED = (
    "dataset", "data_dir", "image_size", "grey", "test_fraction", "split_seed", "group_by", "skip_unreadable", "memory",
    "model", "width", "conv_relu", "input_scaling", "labels", "init_from", "dry_run", "flagfile",
)  # fmt: skip
FAR = 0.5  # every pixel can become 0.5, so that no net can be more accurate than chance at this radius


def train(
    net: keras.Model,
    x: ArrayLike,
    y: ArrayLike,
    *,
    eps: float | str,
    method: str = "da",
    workdir: str | PathLike | None = None,
    **flags: Any,
) -> keras.Model:
    """A trained copy of `net`; `net` keeps its weights, from which training starts.

    Args:
      eps: radius of the attack in pixels of [0, 1]; a number, or text such as "8/255".
      method: "da", adversarial training, or "natural".
      workdir: folder for history.csv and checkpoints, from which the same call, with the same images and initial
        weights, resumes, and one with more epochs goes on; None: a temporary one.
      flags: any other flag of bin/train (`bin/train --help`) as a keyword, such as epochs, steps, loss, optimizer,
        learning_rate, batch_size or seed; with the same defaults, but without augmentation.

    A fifth of the images, at most 2000, are held out for validation; a net that is no better than a guess on them is
    named in a warning. All random numbers of the process get `seed`.
    Raises Refusal, or TrainingFailed if a loss explodes.
    """
    return _trained(net, x, y, False, eps=eps, method=method, workdir=workdir, **flags)


def compress(
    net: keras.Model,
    x: ArrayLike,
    y: ArrayLike,
    *,
    ratio: float | str,
    eps: float | str,
    method: str = "admm",
    workdir: str | PathLike | None = None,
    **flags: Any,
) -> keras.Model:
    """A copy of `net` that is trained down to the fraction `ratio` of its kernel weights.

    Args:
      ratio: kernel weights that are kept, in (0, 1].
      eps: radius of the attack in pixels of [0, 1]. By default it grows over the epochs; for a net that is robust
        already, eps_schedule="0:EPS" keeps it.
      method: a method of bin/train that compresses: "nap", "ap", "alr", "l0", "hydra", "admm" or "atmc".
      workdir, flags: as in `train`; projection, finetune_epochs, rho and rho_max among them.

    Raises Refusal, or TrainingFailed if a loss explodes.
    """
    return _trained(net, x, y, True, ratio=ratio, eps=eps, method=method, workdir=workdir, **flags)


def _trained(net, x, y, compresses, method, workdir=None, **flags):
    fitting = [name for name in offered(METHODS) if METHODS[name].compresses == compresses]
    if ALIASES.get(str(method), method) not in fitting:
        other = "; did you mean compress?", "; did you mean train?"
        hint = other[compresses] if method in offered(METHODS) else did_you_mean(str(method), fitting)
        raise Refusal(f"method: expected one of {', '.join(fitting)}; got {method!r}{hint}")
    for name in REPLACED:
        if name in flags:
            raise Refusal(f"{name}: expected net, x and y in place of this flag; got {flags[name]!r}")
    net, images, labels = _checked(net, x, y)
    lengths = {"batch_size": default_batch_size(len(images))}
    lengths["epochs"] = default_epochs(len(images), lengths["batch_size"])
    config = from_keywords(TrainConfig, method=method, workdir=workdir and str(workdir), **{**lengths, **flags})
    if config.distribution == "multiworker":
        raise Refusal("distribution: expected none or mirrored; got multiworker, which bin/train supports")
    return train_net(config, net, images, labels)


@dataclass(frozen=True)
class UnderAttack:
    """Results of AutoAttack on N images.

    clean_accuracy, robust_accuracy: fractions of all images, without attack and after all attacks.
    robust: bool [N], classified correctly after all attacks.
    adversarial: float32 [N, H, W, C]; a misclassified image where an attack found one, otherwise the image itself.
    per_attack: accuracy after each attack of the sequence, by its name.
    broken_by: for each image the attack that broke it, "clean" if none was needed, None if none did.
    not_attacked: number of images that no attack saw, as interval bounds prove that none can break them; None if the
      bounds do not support the net.
    flags: one sentence for each sign that the net is no better than a guess, or that it misleads attacks, so that
      robust_accuracy is too high.
    """

    clean_accuracy: float
    robust_accuracy: float
    robust: np.ndarray
    adversarial: np.ndarray
    per_attack: dict[str, float]
    broken_by: tuple[str | None, ...]
    not_attacked: int | None
    flags: tuple[str, ...]


def autoattack(
    net: keras.Model | Callable[[tf.Tensor], tf.Tensor],
    x: ArrayLike,
    y: ArrayLike,
    eps: float | str,
    *,
    version: str = "standard",
    seed: int = 0,
    batch_size: int = 500,
) -> UnderAttack:
    """AutoAttack in the L-inf ball of radius `eps`, in pixels of [0, 1] (bin/evaluate --attacks=autoattack).

    Args:
      net: any Keras net, or any function in TensorFlow, images [B, H, W, C] float32 in [0, 1] -> logits [B, K]. Of two
        or three classes, where the ratio of logits is not defined, attacks ascend the margin. A function without a
        gradient is refused.
      version: "standard" or "thesis".
      seed: of all random numbers, which also depend on an image's place in x.
      batch_size: images attacked at once; it changes no result.

    Raises Refusal for images, labels or a radius that do not fit, outputs that are no logits [B, K], and probabilities.
    """
    config = from_keywords(
        EvaluateConfig, workdir=".", attacks="autoattack", version=version, eps=eps, seed=seed, batch_size=batch_size
    )
    eps = _radius(config)
    logits_fn, image_shape, classes = _logits_of(net, x)
    images, labels = given(x, y, image_shape, classes)
    attacks, adversarial = attacks_of(logits_fn, config), pixels(images).numpy().copy()
    left = spared(_proven(net, images, labels, eps), config)
    with progress_bar() as progress:
        found = in_sequence(
            logits_fn, attacks, images, labels, seed=config.seed, batch_size=config.batch_size, spared=left,
            progress=sequence_progress(progress), adversarial=adversarial,
        )  # fmt: skip
    signs = probe(logits_fn, images, labels, eps=eps, norm="linf", far=FAR, seed=config.seed)
    guessing = guess(mapped(logits_fn, images).argmax(-1), labels)
    names, robust = [attack.name for attack in attacks], found.robust
    return UnderAttack(
        clean_accuracy=float(found.survived[0].mean()),
        robust_accuracy=float(robust.mean()),
        robust=robust,
        adversarial=adversarial,
        per_attack={name: float(kept.mean()) for name, kept in zip(names, found.survived[1:])},
        broken_by=tuple(None if i < 0 else ["clean", *names][i] for i in broken_by(found.survived)),
        not_attacked=left and left.count,
        flags=(*([guessing] if guessing else []), *sequence_flags(attacks, found), *signs),
    )


@dataclass(frozen=True)
class Certified:
    """accuracy: fraction of all images that are proven to be classified correctly; certified: which, bool [N]."""

    accuracy: float
    certified: np.ndarray


def certify(net: keras.Model, x: ArrayLike, y: ArrayLike, eps: float | str) -> Certified:
    """Interval bounds: which images no attack in the L-inf ball of radius `eps`, in pixels of [0, 1], can break.

    An image is certified if the least z_y - z_j that the bounds allow, over all x' in [x - eps, x + eps] and [0, 1], is
    above 0 for every class j other than y.

    Raises Refusal for a net with layers that the bounds do not support, and for images, labels or a radius that do not
    fit.
    """
    eps = _radius(from_keywords(EvaluateConfig, workdir=".", eps=eps))
    net, images, labels = _checked(net, x, y, trains=False)
    check_bounded(net)
    proven = certified(net, images, labels, eps, "linf")
    return Certified(float(proven.mean()), proven)


def export_tflite(
    net: keras.Model, path: str | PathLike, *, images: ArrayLike, format: str = "float32"
) -> tuple[Compared, ...]:
    """Writes `net` as a .tflite file, once it gives the net's scores in every installed TFLite runtime.

    Args:
      images: on which file and net are compared; the first 200 also determine the ranges of int8 formats.
      format: name in FORMATS.

    Returns:
      For each runtime its agreement with the net and the largest difference of a logit.

    Raises Refusal where the file does not agree or cannot be written; a file that is there already then stays.
    """
    try:
        format = one_of(FORMATS).parse(str(format))
    except ValueError as error:
        raise Refusal(f"format: {error}") from None
    path = Path(path)
    if path.suffix != ".tflite" or path.is_dir() or not path.parent.is_dir():
        raise Refusal(f"path: expected a file NAME.tflite in a folder that exists; got {path}")
    labels = np.zeros(len(images) if hasattr(images, "__len__") else 1, int)  # the comparison needs none
    net, images, _ = _checked(net, images, labels, trains=False)
    return export_net(net, path, format, pixels(images).numpy())


def benchmark(
    path: str | PathLike, *, images: str | PathLike | None = None, runs: int = 200, threads: int = 1, batch: int = 1
) -> tuple[Timing, ...]:
    """Latencies of a .tflite file, or of all in a folder, on this machine (bin/benchmark).

    Args:
      images: .npz file with images and labels; default: sample.npz beside the files, if there is one.
      runs, threads, batch: timed runs of each file, CPU threads, images in a run.

    Returns:
      A Timing for each file and protocol, times in milliseconds a run.

    Raises Refusal where there is no such file, a file does not run, or a number is out of its range.
    """
    argv = [f"--runs={runs}", f"--threads={threads}", f"--batch={batch}"]
    argv += [f"--images={images}"] if images is not None else []
    argv += ["--", str(path)]
    try:
        records = benchmark_tflite.timed(*benchmark_tflite.parse(argv))
    except benchmark_tflite.Refusal as refusal:
        raise Refusal(f"benchmark: {refusal}") from None
    return tuple(convert(record, Timing, str(path)) for record in records)


def _checked(net, x, y, trains=True):
    """(net, images, labels), checked; trains: whether the net must be one that this project can train."""
    net, refuse = _inner(net), refusing("net")
    check_flat(net, refuse)
    shape, classes = net.input_shape[1:], net.output_shape[-1]
    if trains:
        check(net, "net", shape, classes)
    else:
        check_logits(net, refuse)
    return net, *given(x, y, shape, classes)


def _radius(config):
    if config.eps is None:
        raise Refusal("--eps: expected a radius in pixels of [0, 1]; got none")
    return radius(config, "eps", "linf", None)


def _inner(net):
    return net.net if isinstance(net, RobustModel) else net


def _proven(net, images, labels, eps):
    """Which images are certified within eps, bool [N]; None for a function, and for a net without bounds."""
    net = _inner(net)
    if not isinstance(net, keras.Model):
        return None
    try:
        check_flat(net, refusing("net"))
    except Refusal:
        return None
    return certified(net, images, labels, eps, "linf")


def _logits_of(net, x):
    """(images -> logits as a compiled function, image shape, number of classes) of a net or a function."""
    net, refuse, shape = _inner(net), refusing("net"), (None, None, None)
    if not callable(net):
        refuse("a Keras net, or a function of images", type(net).__name__)
    if isinstance(net, keras.Model):
        try:
            check_flat(net, refuse)
            function, shape = inference(net), net.input_shape[1:]
        except Refusal:  # attacked as it is, without the faster form
            function = tf.function(lambda x: tf.cast(net(x, training=False), tf.float32))
    else:
        function = tf.function(lambda x: tf.cast(net(x), tf.float32))
    images, _ = given(x, np.zeros(len(x) if hasattr(x, "__len__") else 1, int), shape, 1)
    images = pixels(images[:8])
    try:
        with tf.GradientTape() as tape:
            tape.watch(images)
            z = function(images)
        gradient = tape.gradient(z, images)
    except Exception as error:  # the user's function may raise anything
        reason = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
        refuse("a function in TensorFlow, images -> logits", f"{type(error).__name__}: {reason[-1][:200]}")
    if z.shape.rank != 2 or z.shape[0] != len(images) or z.shape[1] is None:
        refuse("logits (None, classes)", tuple(z.shape))
    if gradient is None:
        refuse("logits with a gradient, which AutoAttack needs", "none with respect to the image")
    if are_probabilities(z):
        refuse("logits", "probabilities: remove the softmax or sigmoid")
    return function, shape, z.shape[1]
