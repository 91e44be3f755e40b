"""tflite: the robust accuracy of the exported files.

A file gives scores but no gradients. Three kinds of attacks run in sequence, each on the images that are still
classified correctly: attacks on the float net, the run's Keras net (transfer); attacks whose forward pass is the file
and whose backward pass is the float net (a surrogate gradient, straight through the rounding); Square, from the file's
scores alone. The robust accuracy of the file is the accuracy after all of them.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.table import Table

from robust_tf.certification.file import prover
from robust_tf.data.pixels import in_batches, pixels
from robust_tf.drawing.figures import Figure, Missing, bars
from robust_tf.drawing.words import percent
from robust_tf.evaluation import tflite
from robust_tf.evaluation.autoattack import sequenced
from robust_tf.evaluation.modes.attacks import outcome
from robust_tf.evaluation.sanity import IMAGES, output_signs, sequence_flags
from robust_tf.evaluation.sequence import in_sequence
from robust_tf.evaluation.sparing import Spared, nobody
from robust_tf.files import digest
from robust_tf.records.evaluation import FileOutcome
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read
from robust_tf.refusal import Refusal
from robust_tf.terminal import number_of, progress_bar, sequence_progress
from robust_tf.tflite.graph import Graph

# A larger mean difference between the scores of a file and of the float net, as a fraction of the latter, is a sign;
# int8 files differ by a few percent.
APART = 0.25


def measure(subject, config, record_path):
    chosen = files(config, subject.run)
    ends = subject.net.input_shape[1:], subject.net.output_shape[-1]
    judges = {file: tflite.scorer(file, *ends) for file in chosen}
    outcomes, flags = {}, []
    with progress_bar() as progress:
        for file in chosen:
            judge = judges[file]
            attacks = against(judge, subject.logits_fn, config)
            found = in_sequence(
                judge, attacks, subject.images, subject.labels, seed=config.seed, batch_size=config.batch_size,
                spared=proven_of(file, subject, config),
                state_path=record_path.with_name(f"{record_path.stem}.{file.stem}.state.npz"),
                identity=json.dumps([subject.run.digest, digest(file)]),
                progress=sequence_progress(progress, f"{file.name}: "),
            )  # fmt: skip
            outcomes[file.name] = FileOutcome(**outcome(attacks, found))
            signs = sequence_flags(attacks, found) + file_signs(judge, subject)
            flags += [f"{file.name}: {sign}" for sign in signs]
    worst = min(outcomes.values(), key=lambda each: each.robust_accuracy)
    return subject.record(
        config,
        files=outcomes,
        flags=tuple(flags),
        clean_accuracy=worst.clean_accuracy,
        robust_accuracy=worst.robust_accuracy,
        seconds=round(sum(each.seconds for each in outcomes.values()), 2),
    )


def proven_of(file, subject, config):
    """The Spared of the images that the file's own bounds prove: all of them are attacked, as a check of the bounds."""
    proven = []
    try:
        prove = prover(Graph(file))
        for _, x, y in in_batches(subject.images, subject.labels, config.batch_size):
            proven.append(prove(x.numpy(), y, config.eps))
    except Refusal:  # it cannot be certified
        return nobody(len(subject.images))
    return Spared(np.concatenate(proven), np.concatenate(proven))


def files(config, run):
    """The .tflite files to attack or certify.

    Raises Refusal where there is none, or they were exported from another net.
    """
    found = [Path(config.file)] if config.file else sorted(run.export.glob("*.tflite"))
    if not config.file and found and read(run.export / "manifest.json", Manifest).model_sha256 != run.digest:
        raise Refusal(
            f"{run.export}: expected files of this run's net, as bin/export_tflite writes them; got files of an earlier"
            " net"
        )
    if not found or not found[0].is_file():
        where = config.file or run.export
        raise Refusal(
            f"--mode={config.mode}: expected a .tflite file, as bin/export_tflite writes them; got none at {where}"
        )
    return found


def file_signs(judge, subject):
    """Signs in a file's scores on the first images, and the sign that the file is not of the run's net."""
    x = pixels(subject.images[:IMAGES])
    z, expected = judge(x).numpy(), subject.logits_fn(x).numpy()
    apart = float(np.abs(z - expected).mean() / np.abs(expected - expected.mean(-1, keepdims=True)).mean())
    flags = output_signs(judge, x)
    if apart > APART:
        flags.append(
            f"its scores are {apart:.0%} away from the net's: attacks through the net say little about another one"
        )
    return flags


def against(judge, float_net, config):
    """The attacks on a file: `judge` gives its scores, `float_net` has gradients; both x -> [B, K]."""
    eps = config.eps
    surrogate = straight_through(judge, float_net)
    pgd = {name: getattr(config, name) for name in ("steps", "alpha", "restarts")}
    apgd = {name: getattr(config, name) for name in ("steps", "restarts")}
    return [
        sequenced("pgd", float_net, "pgd on the float net", eps=eps, **pgd),
        sequenced("apgd_ce", float_net, "apgd_ce on the float net", eps=eps, **apgd),
        sequenced("apgd_ce", surrogate, "apgd_ce, surrogate gradient", eps=eps, **apgd),
        sequenced("cw_linf", surrogate, "cw_linf, surrogate gradient", eps=eps, **pgd),
        sequenced("square", judge, "square on the file", eps=eps, queries=config.queries),
    ]


def straight_through(judge, float_net):
    """Scores of `judge` with the gradient of `float_net`: float_net(x) + stop_gradient(judge(x) - float_net(x))."""

    def scores(x):
        z = float_net(x)
        return z + tf.stop_gradient(judge(x) - z)

    return scores


def show(record, console):
    for name, found in record.files.items():
        table = Table(
            "after", "accuracy", "seconds",
            title=f"{name}: {number_of(record.num_images, 'test image')}, {record.norm} eps {record.eps:g}",
            caption=f"steps {record.steps}, alpha {record.alpha:g}, restarts {record.restarts}, queries"
            f" {record.queries}, seed {record.seed}; each attack on the images still classified correctly",
        )  # fmt: skip
        table.add_row("no attack", percent(found.clean_accuracy, record.num_images), "")
        for attack, accuracy in found.per_attack.items():
            table.add_row(attack, percent(accuracy, record.num_images), f"{found.per_attack_seconds[attack]:.1f}")
        table.add_row("all attacks", percent(found.robust_accuracy, record.num_images), f"{found.seconds:.1f}")
        console.print(table)


def by_file(runs):
    rows = [
        {"run": label, "file": file, "accuracy": found.robust_accuracy}
        for run in runs
        for label, record in run.labelled("tflite")
        for file, found in record.files.items()
    ]
    if not rows:
        return Missing("Robust accuracy of the exported files", "bin/evaluate --mode=tflite writes it")
    chart = bars(rows, ("file", None), ("accuracy", "robust accuracy"), "run", "%")
    caption = (
        "Images that are classified correctly under all attacks: on the float net, with a surrogate gradient, and"
        " Square on the file's scores."
    )
    return Figure("files", "Robust accuracy of the exported files", caption, chart=chart)


FIGURES = (by_file,)
