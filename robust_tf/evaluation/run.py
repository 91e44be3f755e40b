"""evaluate(config): attacks a trained run on test images and writes one record."""

import dataclasses
import hashlib

import numpy as np

from robust_tf.certification.certified import certified
from robust_tf.data.pixels import in_batches
from robust_tf.drawing.words import percent
from robust_tf.evaluation import MODES
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.settings import on_margin, resolved, settings
from robust_tf.evaluation.subject import load_subject
from robust_tf.models.guess import guess
from robust_tf.records.interval import intervals
from robust_tf.records.record import write
from robust_tf.terminal import progress_bar, screen
from robust_tf.training.rundir import RunDirectory

CLEAN_BATCH = 500  # images without attack at once


def evaluate(config):
    """Runs a mode, and looks for signs that the net misleads attacks; returns the path of the JSON record."""
    config = resolved(config, RunDirectory.open(config.workdir).config)
    subject, mode = load_subject(config), MODES[config.mode]
    folder = subject.run.subfolder("evaluation")
    path = folder / f"{name_of(config, len(subject.images))}.json"
    eps = subject.run.config.eps if config.eps is None else config.eps
    flags, proven = [], None
    if guessing := guess(predicted(subject), subject.labels):
        print(f"warning: {guessing}", flush=True)
    with progress_bar() as progress:
        if mode.probes:
            progress.add_task("looking for signs that the net misleads attacks", total=None, unit="images")
            flags = subject.probed(subject.logits_fn, eps, config.norm, config.seed)
        if mode.certifies:
            proven = certified(subject.net, subject.images, subject.labels, eps, config.norm, config.batch_size)
    record = mode.resolve().measure(subject._replace(proven=proven), config, path)
    record = dataclasses.replace(record, guess=guessing, flags=tuple(dict.fromkeys((*record.flags, *flags))))
    if names := on_margin(config, subject.net.output_shape[-1]):
        record = dataclasses.replace(record, on_margin=names)
    if proven is not None:
        record = dataclasses.replace(record, certified_eps=eps, certified_accuracy=certified_share(proven, record))
    record = dataclasses.replace(record, intervals=intervals(record))
    write(path, record)
    for state in folder.glob(f"{path.stem}.*state.npz"):  # of interrupted evaluations
        state.unlink()
    show(record, path)
    return path


def certified_share(proven, record):
    """The certified accuracy of the record's images."""
    sample = getattr(record, "sample", None)
    return float((proven if sample is None else proven[list(sample)]).mean())


def predicted(subject):
    """The classes that the net predicts without attack, int [N]."""
    batches = in_batches(subject.images, subject.labels, CLEAN_BATCH)
    return np.concatenate([np.argmax(subject.logits_fn(x), -1) for _, x, _ in batches])


def name_of(config, num_images):
    """The record's file name, made of all settings: a command overwrites only the record of the same command."""
    named = settings(config, MODES[config.mode].Record)
    named |= named.pop("further") or {}
    order = ["norm", *(field.name for field in dataclasses.fields(EvaluateConfig)), "seed"]
    parts = [part(name, named[name]) for name in dict.fromkeys(order) if name in named and name not in SEPARATE]
    return "-".join([config.mode, *(text for text in parts if text), f"n{num_images}"])


SEPARATE = ("mode", "num_images")  # first and last in the file name


def part(name, value):
    """A setting in the file name: attacks as they are, numbers after their flag, paths as a digest; "" if unset."""
    if value is None or value is False:
        return ""
    if name in ("attacks", "version", "norm"):
        return "-".join(value) if isinstance(value, tuple) else value
    if value is True:
        return name
    if isinstance(value, tuple | str):
        return name + hashlib.sha256(str(value).encode()).hexdigest()[:8]
    return f"{name}{value:.12g}"


def show(record, path):
    """Prints the record."""
    console = screen(highlight=False, markup=False)
    MODES[record.mode].resolve().show(record, console)
    if record.certified_accuracy is not None:
        console.print(
            f"certified by interval bounds at eps {record.certified_eps:g}: "
            f"{percent(record.certified_accuracy, record.num_images)}, a lower"
            " bound of the accuracy under any attack within eps"
        )
    for flag in record.flags:
        console.print(f"suspicious: {flag}")
    console.print(f"written: {path}", soft_wrap=True)
